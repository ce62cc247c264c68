"""extract: the file's text in reading order, from the caged child and from the vision model."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from docmill_ingest.blocks import Block, PageCount, PageImage, Piece
from docmill_ingest.in_flight import in_flight
from docmill_ingest.provider_calls import call_provider
from docmill_ingest.resources import Resources
from docmill_ingest.sniffing import sniff
from docmill_ingest.work import Work
from docmill_shared import media_types
from docmill_shared.errors import PermanentError
from docmill_shared.states import FailureReason
from docmill_shared.vision import ImageReader

#: What a page's image is charged, about: Gemini counts 258 tokens a tile of 768 pixels.
IMAGE_TOKENS = 1_000


def run(work: Work, resources: Resources) -> None:
    """Set ``work.blocks``; the extraction itself happens as they are pulled.

    Raises:
        PermanentError: now, if the bytes are not what was declared; later, with whatever the
            extraction finds.
    """
    declared = media_types.find(work.claim.media_type)
    if declared is None:
        raise PermanentError(
            FailureReason.UNSUPPORTED_TYPE, f"Files of type {work.claim.media_type} are not read."
        )
    media_type = sniff(work.path, declared)
    work.progress.stage = "extract"

    def watch() -> None:
        """Called several times a second, also while a page is being read for a long time."""
        work.lease.check()
        work.progress.report(resources)

    pieces = _counted(resources.extractor.extract(work.path, media_type, should_stop=watch), work)
    work.blocks = work.clock.pulled("extract", _with_text(pieces, work, resources))


def _counted(pieces: Iterator[Piece], work: Work) -> Iterator[Block | PageImage]:
    for piece in pieces:
        if isinstance(piece, PageCount):
            work.progress.page_count = piece.total
        else:
            work.progress.pages_done = piece.page or 0
            yield piece


def _with_text(
    pieces: Iterator[Block | PageImage], work: Work, resources: Resources
) -> Iterator[Block]:
    found = False
    for block in _read(pieces, work, resources):
        if block.text.strip():
            found = True
            yield block
    if not found:
        raise PermanentError(
            FailureReason.NO_TEXT, "No text was found in this file, so there is nothing to search."
        )


def _read(pieces: Iterator[Block | PageImage], work: Work, resources: Resources) -> Iterator[Block]:
    """Blocks as they are; images by the model, several pages at once, in order."""
    reader = resources.image_reader
    if reader is None:
        for piece in pieces:
            assert isinstance(piece, Block), "without a vision model the child does OCR itself"
            yield piece
        return
    yield from in_flight(
        resources.executor,
        partial(_read_one, work, resources, reader),
        pieces,
        window=resources.settings.embedding_concurrency,
    )


def _read_one(
    work: Work, resources: Resources, reader: ImageReader, piece: Block | PageImage
) -> Block:
    if isinstance(piece, Block):
        return piece
    path = Path(piece.path)
    try:
        image = path.read_bytes()
    finally:
        path.unlink(missing_ok=True)
    text = call_provider(
        work,
        resources,
        partial(reader.read, image, piece.media_type),
        operation="read_image",
        texts=1,
        tokens=IMAGE_TOKENS,
    )
    return Block(text=text, page=piece.page)
