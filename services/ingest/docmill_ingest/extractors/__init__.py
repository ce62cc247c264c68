"""From a file to its pieces: the registry of formats. Runs inside the extraction child.

A format is one module with a generator ``extract``; its heavy libraries are imported when the
module is, and the module when its first file arrives (or :func:`prepare` asks for it).
"""

import importlib
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from docmill_ingest.blocks import Block, PageImage, Piece
from docmill_ingest.extraction_frames import MAX_HEADING_CHARACTERS
from docmill_ingest.limits import ExtractionLimits
from docmill_shared import media_types
from docmill_shared.errors import PermanentError
from docmill_shared.media_types import MediaType
from docmill_shared.states import FailureReason

if TYPE_CHECKING:
    from PIL.Image import Image

#: Reads the text in an image, paragraph by paragraph.
ImageReader = Callable[["Image"], list[str]]

#: A longer block is cut, at white space where there is some.
MAX_BLOCK_CHARACTERS = 100_000

_PACKAGE = "docmill_ingest.extractors."
_MODULES: dict[MediaType, str] = {
    media_types.PDF: "pdf",
    media_types.JPEG: "image",
    media_types.PNG: "image",
    media_types.GIF: "image",
    media_types.WEBP: "image",
    media_types.TEXT: "text",
    media_types.MARKDOWN: "markdown",
    media_types.CSV: "csv",
    media_types.DOCX: "docx",
    media_types.PPTX: "pptx",
    media_types.XLSX: "xlsx",
    media_types.HTML: "html",
    media_types.EML: "email",
}
#: Everything that UTF-8, JSON or Postgres cannot hold, and controls that no reader sees.
_UNPRINTABLE = re.compile(r"[\0-\x08\x0e-\x1f\x7f\ud800-\udfff\ufeff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Context:
    """What an extractor is given beside the file.

    ``read_image`` is None when a vision model outside reads the images: pages without text are
    then rendered into ``work_directory`` and yielded as :class:`PageImage`.
    """

    limits: ExtractionLimits
    work_directory: Path
    read_image: ImageReader | None = None
    depth: int = 0  #: how many e-mails this file is nested in
    #: Counts the pictures read; one count for a file and everything that is attached to it.
    pictures: Iterator[int] = field(default_factory=itertools.count)

    def count_picture(self) -> None:
        """To be called before a picture is read. Raises PermanentError: TOO_MANY_PAGES."""
        if next(self.pictures) >= self.limits.scanned_pages:
            raise PermanentError(
                FailureReason.TOO_MANY_PAGES,
                f"The file has more than {self.limits.scanned_pages:,} pages or pictures without "
                "text; split it, or add a text layer by OCR.",
            )


class Extractor(Protocol):
    def extract(self, path: Path, context: Context) -> Iterator[Piece]: ...


def prepare(media_type: MediaType) -> Extractor:
    """Import what this format needs, so that the import is not charged to a file."""
    return cast(Extractor, importlib.import_module(_PACKAGE + _MODULES[media_type]))


def extract(path: Path, media_type: MediaType, context: Context) -> Iterator[Piece]:
    """The pieces of the document in reading order; blocks are clean, bounded and never empty.

    Raises PermanentError: NO_TEXT when nothing was found in the end, or the format's own reason.
    """
    found = False
    for piece in prepare(media_type).extract(path, context):
        if not isinstance(piece, Block):
            found = found or isinstance(piece, PageImage)
            yield piece
            continue
        text = _UNPRINTABLE.sub("", piece.text).strip()
        if len(text) > MAX_HEADING_CHARACTERS:
            piece = replace(piece, heading_level=0)
        for part in _cut(text):
            found = True
            yield replace(piece, text=part)
    if not found:
        raise PermanentError(
            FailureReason.NO_TEXT,
            f"No text was found in this {media_type.label}; there is nothing to search in it.",
        )


def _cut(text: str) -> Iterator[str]:
    while len(text) > MAX_BLOCK_CHARACTERS:
        end = text.rfind(" ", MAX_BLOCK_CHARACTERS // 2, MAX_BLOCK_CHARACTERS)
        end = MAX_BLOCK_CHARACTERS if end < 0 else end
        yield text[:end]
        text = text[end:].lstrip()
    if text:
        yield text
