"""What extraction yields: the pieces of a document in reading order."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageCount:
    """How many pages (slides, sheets, frames) the document has; comes before its pages."""

    total: int


@dataclass(frozen=True, slots=True)
class Block:
    """One paragraph, heading, list or table of a document.

    ``text`` is clean Unicode without NUL bytes. ``page`` is 1-based, or None where the format
    has no pages. ``heading_level`` is 0 for body text, 1 for a chapter, 2 for a section, ...
    """

    text: str
    page: int | None = None
    heading_level: int = 0


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page without text, rendered to an image file for the vision model to read.

    Whoever receives it owns the file at ``path`` and removes it.
    """

    path: str
    media_type: str
    page: int | None = None


Piece = PageCount | Block | PageImage
