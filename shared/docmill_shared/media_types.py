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


#: So much of a file shows its signature, if its type has one: a PDF's may be this far in.
SIGNATURE_BYTES = 1024

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_OLE = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)
_SIGNATURES: dict[MediaType, tuple[bytes, ...]] = {
    PDF: (b"%PDF-",),
    JPEG: (b"\xff\xd8\xff",),
    PNG: (b"\x89PNG\r\n\x1a\n",),
    GIF: (b"GIF87a", b"GIF89a"),
    # Encrypted documents are OLE; the worker has a better sentence for these.
    **dict.fromkeys((DOCX, PPTX, XLSX), _ZIP + _OLE),
}
_WITHOUT_SIGNATURE = frozenset({TEXT, MARKDOWN, CSV, HTML, EML})


def may_begin_with(media_type: MediaType, first_bytes: bytes) -> bool:
    """Whether a file of this type can begin like this; true of every type without a signature."""
    if media_type in _WITHOUT_SIGNATURE:
        return True
    if media_type is PDF:
        return b"%PDF-" in first_bytes[:SIGNATURE_BYTES]
    if media_type is WEBP:
        return first_bytes.startswith(b"RIFF") and first_bytes[8:12] == b"WEBP"
    return first_bytes.startswith(_SIGNATURES[media_type])


def describe_beginning(first_bytes: bytes) -> str:
    """What these first bytes look like, for people: "a PNG image"."""
    if first_bytes.startswith(_ZIP):
        return "a zip archive"
    for media_type in (PDF, JPEG, PNG, GIF, WEBP):
        if may_begin_with(media_type, first_bytes):
            return f"a {media_type.label}"
    return "something else"
