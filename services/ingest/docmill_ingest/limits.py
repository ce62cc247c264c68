"""How much one file may ask for; every field is a setting (see ``.env.example``)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExtractionLimits:
    """Bounds that hold inside the extraction child."""

    seconds: float = 300.0  #: wall time for one file, without the reading of scanned pages
    memory_bytes: int = 2 * 1024**3  #: address space that one file may add to a warm child
    pages: int = 5_000
    scanned_pages: int = 500  #: pages without a text layer, read by OCR or the vision model
    scanned_page_seconds: float = 20.0  #: what each page read by OCR adds to ``seconds``
    characters: int = 200_000_000  #: of text; a PDF may show one endless stream on every page
    unpacked_bytes: int = 512 * 1024**2  #: DOCX, PPTX, XLSX: the sum of the archive's members
    image_pixels: int = 100_000_000
    attachment_depth: int = 3  #: e-mail within e-mail
