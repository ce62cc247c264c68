"""chunk: blocks to passages, none longer than the embedding model takes."""

from collections.abc import Iterator
from dataclasses import replace

from docmill_ingest.chunker import Chunker, Slice
from docmill_ingest.embedded_text import PREFIX_TOKENS
from docmill_ingest.resources import Resources
from docmill_ingest.work import Work
from docmill_shared.chunks import Passage


def run(work: Work, resources: Resources) -> None:
    """Set ``work.passages``; they are cut as they are pulled."""
    work.passages = work.clock.pulled("chunk", _passages(work, resources))


def _passages(work: Work, resources: Resources) -> Iterator[Passage]:
    settings = resources.settings
    limit = resources.embedder.max_text_tokens - PREFIX_TOKENS
    chunker = Chunker(settings.chunk_characters, settings.chunk_overlap)
    ordinal = 0
    for piece in chunker.cut(work.blocks):
        for part, tokens in _fitting(piece, limit, resources):
            yield Passage(
                ordinal=ordinal,
                text=part.text,
                token_count=tokens,
                page_start=part.page_start,
                page_end=part.page_end,
                heading_path=part.heading_path,
                char_start=part.char_start,
                char_end=part.char_end,
            )
            ordinal += 1


def _fitting(piece: Slice, limit: int, resources: Resources) -> Iterator[tuple[Slice, int]]:
    """The slice with its tokens, in halves where a dense script makes it too long."""
    tokens = len(resources.encoding.encode_ordinary(piece.text))
    if tokens <= limit or len(piece.text) < 2:
        yield piece, tokens
        return
    middle = len(piece.text) // 2
    space = piece.text.rfind(" ", middle // 2, middle)
    cut = space if space > 0 else middle
    for start, end in ((0, cut), (cut, len(piece.text))):
        text = piece.text[start:end]
        lead = start + len(text) - len(text.lstrip())
        half = replace(
            piece,
            text=text.strip(),
            char_start=piece.char_start + lead,
            char_end=piece.char_start + lead + len(text.strip()),
        )
        if half.text:
            yield from _fitting(half, limit, resources)
