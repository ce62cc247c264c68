"""The folder of hostile files: what each is, how it is made, and how it must end."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from docmill_shared import media_types as m
from docmill_shared.media_types import MediaType
from docmill_shared.states import FailureReason as Reason
from tests.hostile import archives, entities, images, mails, pdfs, texts

COMPLETED = "completed"


@dataclass(frozen=True)
class HostileFile:
    """``ends``: every way in which it may end; more than one where the machine's speed decides."""

    name: str
    media_type: MediaType
    build: Callable[[], bytes]
    ends: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def _file(name: str, media_type: MediaType, build: Callable[[], bytes], *ends: str) -> HostileFile:
    return HostileFile(name, media_type, build, ends)


_UNPACKED = (Reason.EXTRACTION_MEMORY, Reason.CORRUPT)
_OUTLASTS = (Reason.EXTRACTION_TIMEOUT, Reason.EXTRACTION_MEMORY)

ARCHIVES = (
    _file("docx-bomb", m.DOCX, partial(archives.flat_bomb, "docx"), Reason.TOO_LARGE),
    _file("pptx-bomb", m.PPTX, partial(archives.flat_bomb, "pptx"), Reason.TOO_LARGE),
    _file("xlsx-bomb", m.XLSX, partial(archives.flat_bomb, "xlsx"), Reason.TOO_LARGE),
    _file("docx-lying-sizes", m.DOCX, partial(archives.lying_bomb, "docx"), *_UNPACKED),
    _file("pptx-lying-sizes", m.PPTX, partial(archives.lying_bomb, "pptx"), *_UNPACKED),
    _file("xlsx-lying-sizes", m.XLSX, partial(archives.lying_bomb, "xlsx"), *_UNPACKED),
    _file("docx-lying-bzip2", m.DOCX, archives.lying_bzip2_bomb, *_UNPACKED),
    _file("docx-lying-lzma", m.DOCX, archives.lying_lzma_bomb, *_UNPACKED),
    _file("docx-overlapping", m.DOCX, archives.overlapping_bomb, Reason.TOO_LARGE),
    _file("docx-archives-in-archives", m.DOCX, archives.archives_in_archives, COMPLETED),
    _file("docx-many-paragraphs", m.DOCX, archives.many_paragraphs, Reason.TOO_LARGE),
    _file("docx-climbing-names", m.DOCX, archives.climbing_names, COMPLETED),
    _file("docx-encrypted-members", m.DOCX, archives.encrypted, Reason.ENCRYPTED),
    _file("docx-tables-in-tables", m.DOCX, partial(archives.nested_tables, 5_000), Reason.CORRUPT),
    _file("xlsx-claimed-size", m.XLSX, archives.sheet_of_claimed_size, COMPLETED),
    _file("xlsx-far-cells", m.XLSX, partial(archives.sheet_of_far_cells, 40_000), *_OUTLASTS),
    _file("xlsx-gap", m.XLSX, archives.sheet_with_a_gap, COMPLETED),
    _file("pptx-circle", m.PPTX, archives.slides_in_a_circle, COMPLETED),
    _file(
        "pptx-repeated-slide",
        m.PPTX,
        partial(archives.repeated_slide, 40_000),
        Reason.TOO_MANY_PAGES,
    ),
)
ENTITIES = tuple(
    _file(f"{kind}-{name}", media_type, partial(build, bomb), COMPLETED, Reason.CORRUPT)
    for kind, media_type, build in (
        ("docx", m.DOCX, entities.word),
        ("xlsx", m.XLSX, entities.sheet),
        ("pptx", m.PPTX, entities.slide),
        ("html", m.HTML, entities.page),
    )
    for name, bomb in (
        ("billion-laughs", entities.BILLION_LAUGHS),
        ("quadratic-blowup", entities.QUADRATIC),
        ("entity-loop", entities.LOOP),
    )
)
PDFS = (
    _file("pdf-million-objects", m.PDF, pdfs.million_objects, COMPLETED),
    _file("pdf-million-drawn", m.PDF, pdfs.million_objects_on_a_page, COMPLETED, *_OUTLASTS),
    _file("pdf-tree-loops", m.PDF, pdfs.page_tree_that_loops, COMPLETED),
    _file("pdf-tree-circle", m.PDF, pdfs.page_tree_in_a_circle, Reason.CORRUPT, Reason.NO_TEXT),
    _file("pdf-tree-deep", m.PDF, partial(pdfs.page_tree_of_depth, 100_000), Reason.NO_TEXT),
    _file("pdf-claimed-pages", m.PDF, partial(pdfs.claimed_pages, 2**31 - 2), COMPLETED),
    _file("pdf-empty-pages", m.PDF, partial(pdfs.empty_pages, 100_000), Reason.TOO_MANY_PAGES),
    _file("pdf-stream-bomb", m.PDF, pdfs.stream_bomb, COMPLETED, *_OUTLASTS),
    _file("pdf-text-bomb", m.PDF, pdfs.text_bomb, Reason.TOO_LARGE),
    _file("pdf-form-draws-itself", m.PDF, pdfs.form_that_draws_itself, COMPLETED, *_OUTLASTS),
    _file("pdf-forms-multiply", m.PDF, pdfs.forms_that_multiply, COMPLETED, *_OUTLASTS),
    _file("pdf-bookmarks-circle", m.PDF, pdfs.bookmarks_in_a_circle, COMPLETED),
    _file("pdf-tables-circle", m.PDF, pdfs.tables_in_a_circle, COMPLETED, Reason.CORRUPT),
    _file("pdf-picture-claims", m.PDF, pdfs.picture_of_claimed_size, Reason.NO_TEXT),
    _file("pdf-endless-page", m.PDF, pdfs.endless_page, Reason.NO_TEXT),
)
IMAGES = (
    _file("png-header", m.PNG, images.png_header, Reason.TOO_LARGE),
    _file("png-comment-bomb", m.PNG, images.png_of_text, Reason.CORRUPT),
    _file("png-of-zeros", m.PNG, partial(images.png_of_zeros, 9_900), Reason.EXTRACTION_MEMORY),
    _file("jpeg-header", m.JPEG, images.jpeg_header, Reason.TOO_LARGE),
    _file("webp-header", m.WEBP, images.webp_header, Reason.TOO_LARGE),
    _file("gif-header", m.GIF, images.gif_header, Reason.TOO_LARGE),
    _file("gif-frames", m.GIF, partial(images.gif_of_frames, 100_000), Reason.NO_TEXT, *_OUTLASTS),
)
TEXTS = (
    _file("text-one-line", m.TEXT, partial(texts.one_line, 50), Reason.TOO_LARGE),
    _file("text-one-line-within-limits", m.TEXT, partial(texts.one_line, 1), COMPLETED),
    _file("text-mixed-encodings", m.TEXT, texts.mixed_encodings, COMPLETED),
    _file("text-broken-utf16", m.TEXT, texts.broken_utf16, COMPLETED),
    _file("text-noise", m.TEXT, texts.noise_with_a_mark, COMPLETED),
    _file("csv-million-columns", m.CSV, texts.million_columns, Reason.TOO_LARGE),
    _file("csv-unclosed-quote", m.CSV, texts.unclosed_quote, Reason.CORRUPT),
    _file("html-deep", m.HTML, partial(texts.deep_html, 200_000), Reason.CORRUPT),
    _file("html-lists", m.HTML, partial(texts.deep_lists, 1_000), COMPLETED, Reason.CORRUPT),
    _file("html-tables", m.HTML, partial(texts.deep_tables, 50_000), Reason.CORRUPT),
    _file("html-attributes", m.HTML, partial(texts.many_attributes, 60_000), COMPLETED, *_OUTLASTS),
    _file("html-breaks", m.HTML, partial(texts.breaks, 500_000), COMPLETED),
    _file("markdown-headings", m.MARKDOWN, texts.long_heading, COMPLETED),
    _file("markdown-brackets", m.MARKDOWN, texts.open_brackets, COMPLETED),
    _file("polyglot-gif-html", m.HTML, texts.gif_and_page, COMPLETED),
    _file("polyglot-html-gif", m.GIF, lambda: texts.gif_and_page() + b"\n", Reason.TYPE_MISMATCH),
    _file("polyglot-pdf-zip", m.PDF, lambda: pdfs.claimed_pages(1) + archives.docx(), COMPLETED),
    _file(
        "polyglot-zip-pdf",
        m.DOCX,
        lambda: pdfs.claimed_pages(1) + archives.docx() + b"\n",
        Reason.TYPE_MISMATCH,
    ),
)
MAILS = (
    _file("mail-attaches-itself", m.EML, partial(mails.attaches_itself, 20), COMPLETED),
    _file("mail-in-mail", m.EML, partial(mails.attaches_itself, 1_000), COMPLETED, Reason.CORRUPT),
    _file("mail-deep-parts", m.EML, partial(mails.parts_in_parts, 5_000), Reason.CORRUPT),
    _file("mail-many-parts", m.EML, partial(mails.many_parts, 5_000), COMPLETED),
    _file("mail-long-headers", m.EML, partial(mails.long_headers, 20_000), COMPLETED, *_OUTLASTS),
    _file("mail-with-a-bomb", m.EML, mails.carries_a_bomb, COMPLETED),
)
FILES = (*ARCHIVES, *ENTITIES, *PDFS, *IMAGES, *TEXTS, *MAILS)
