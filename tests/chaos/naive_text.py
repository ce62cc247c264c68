"""How the naive worker reads and cuts: pure functions, so that what it should store is known."""

import pypdfium2


def extract(content: bytes, media_type: str) -> str:
    """Plain decoding, or the PDF's text layer."""
    if media_type == "application/pdf":
        with pypdfium2.PdfDocument(content) as document:
            return "\n".join(page.get_textpage().get_text_range() for page in document)
    return content.decode("utf-8")


def split(text: str, size: int = 1_000, overlap: int = 200) -> list[str]:
    """Pieces of 1,000 characters with 200 of overlap."""
    step = size - overlap
    return [text[start : start + size] for start in range(0, max(len(text) - overlap, 1), step)]
