"""The media types that docmill accepts: one table, read by the API and by the workers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaType:
    """One accepted format.

    ``names`` are the media types that clients declare for it, the canonical one first.
    """

    names: tuple[str, ...]
    extensions: tuple[str, ...]
    label: str

    @property
    def name(self) -> str:
        """The canonical media type."""
        return self.names[0]


_OFFICE = "application/vnd.openxmlformats-officedocument."

PDF = MediaType(("application/pdf",), (".pdf",), "PDF")
JPEG = MediaType(("image/jpeg", "image/jpg"), (".jpg", ".jpeg"), "JPEG image")
PNG = MediaType(("image/png",), (".png",), "PNG image")
GIF = MediaType(("image/gif",), (".gif",), "GIF image")
WEBP = MediaType(("image/webp",), (".webp",), "WEBP image")
TEXT = MediaType(("text/plain",), (".txt", ".text", ".log"), "plain text")
MARKDOWN = MediaType(("text/markdown", "text/x-markdown"), (".md", ".markdown"), "Markdown")
CSV = MediaType(("text/csv", "application/csv"), (".csv",), "CSV")
DOCX = MediaType((_OFFICE + "wordprocessingml.document",), (".docx",), "Word document")
PPTX = MediaType((_OFFICE + "presentationml.presentation",), (".pptx",), "PowerPoint presentation")
XLSX = MediaType((_OFFICE + "spreadsheetml.sheet",), (".xlsx",), "Excel workbook")
HTML = MediaType(("text/html", "application/xhtml+xml"), (".html", ".htm", ".xhtml"), "HTML page")
EML = MediaType(("message/rfc822",), (".eml",), "e-mail message")

ACCEPTED = (PDF, JPEG, PNG, GIF, WEBP, TEXT, MARKDOWN, CSV, DOCX, PPTX, XLSX, HTML, EML)
IMAGES = frozenset({JPEG, PNG, GIF, WEBP})

_BY_NAME = {name: media_type for media_type in ACCEPTED for name in media_type.names}
_BY_EXTENSION = {ext: media_type for media_type in ACCEPTED for ext in media_type.extensions}


def find(declared: str) -> MediaType | None:
    """The accepted format that ``declared`` names (parameters and case ignored), or None."""
    return _BY_NAME.get(declared.partition(";")[0].strip().lower())


def guess(file_name: str) -> MediaType | None:
    """The accepted format that the file's extension suggests, or None."""
    _, dot, extension = file_name.lower().rpartition(".")
    return _BY_EXTENSION.get(dot + extension) if dot else None
