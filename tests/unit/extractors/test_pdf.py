"""PDF: pages, paragraphs, headings from bookmarks, and pages that only look like text."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from docmill_ingest.blocks import Block, PageCount, PageImage, Piece
from docmill_ingest.extractors import ocr
from docmill_ingest.extractors.page_text import is_garbage, split_page
from docmill_ingest.limits import ExtractionLimits
from docmill_shared import media_types as m
from docmill_shared.errors import PermanentError
from docmill_shared.states import FailureReason
from tests import documents

Pieces = Callable[..., list[Piece]]
SCAN = documents.picture("The minutes of the meeting", size=(1240, 1754))


def test_every_block_knows_its_page(pieces: Pieces) -> None:
    content = documents.pdf("First page.", "Second page.", "Third page.")
    assert documents.page_count(content) == 3
    assert pieces(content, m.PDF) == [
        PageCount(3),
        Block("First page.", 1),
        Block("Second page.", 2),
        Block("Third page.", 3),
    ]


def test_bookmarks_become_headings_where_their_title_stands(pieces: Pieces) -> None:
    content = documents.pdf(
        "Chapter One\nIt begins here.",
        "Chapter  Two\nIt ends here.",
        outline=[("Chapter One", 1), ("Chapter Two", 2), ("Not on its page", 2)],
    )
    assert pieces(content, m.PDF)[1:] == [
        Block("Chapter One", 1, heading_level=1),
        Block("It begins here.", 1),
        Block("Chapter Two", 2, heading_level=1),
        Block("It ends here.", 2),
    ]


def test_what_was_filled_into_a_form_is_text(pieces: Pieces) -> None:
    assert Block("Jane Doe", 1) in pieces(documents.form_pdf("Jane Doe"), m.PDF)


def test_a_scanned_page_is_read_by_ocr_at_its_place(pieces: Pieces) -> None:
    found = pieces(documents.scanned_pdf(SCAN), m.PDF, read_image=ocr.read)
    assert found == [PageCount(1), Block("The minutes of the meeting", 1)]


def test_without_ocr_a_scanned_page_is_handed_on_as_an_image(
    pieces: Pieces, tmp_path: Path
) -> None:
    count, image = pieces(documents.scanned_pdf(SCAN), m.PDF)
    assert count == PageCount(1)
    assert isinstance(image, PageImage)
    assert (image.page, image.media_type) == (1, "image/jpeg")
    with Image.open(image.path) as opened:
        assert opened.format == "JPEG"
        assert Path(image.path).parent == tmp_path


def test_a_stamp_on_a_scan_is_not_its_text(pieces: Pieces) -> None:
    content = _scan_with_layer(b"Scanned by X")
    found = pieces(content, m.PDF, read_image=lambda image: ["What the scan really says"])
    assert found[1:] == [Block("What the scan really says", 1)]


def test_where_ocr_finds_less_the_stamp_is_kept(pieces: Pieces) -> None:
    content = _scan_with_layer(b"Scanned by X")
    assert pieces(content, m.PDF, read_image=lambda image: [])[1:] == [Block("Scanned by X", 1)]


def test_blank_pages_are_neither_read_nor_missed(pieces: Pieces) -> None:
    def read_image(image: object) -> list[str]:
        raise AssertionError("a blank page was read")

    found = pieces(documents.pdf("", "Text here.", ""), m.PDF, read_image=read_image)
    assert found == [PageCount(3), Block("Text here.", 2)]


def test_a_pdf_of_blank_pages_has_no_text(pieces: Pieces) -> None:
    _fails(pieces, documents.pdf("", ""), FailureReason.NO_TEXT)


def test_a_pdf_behind_a_password(pieces: Pieces) -> None:
    _fails(pieces, documents.encrypted_pdf(), FailureReason.ENCRYPTED)


@pytest.mark.parametrize("content", [b"%PDF-1.7\nnothing", documents.pdf("Text")[:300]])
def test_a_pdf_that_is_damaged(pieces: Pieces, content: bytes) -> None:
    _fails(pieces, content, FailureReason.CORRUPT)


def test_pages_are_bounded(pieces: Pieces) -> None:
    content = documents.pdf("One", "Two", "Three")
    _fails(pieces, content, FailureReason.TOO_MANY_PAGES, ExtractionLimits(pages=2))


def test_scanned_pages_are_bounded(pieces: Pieces) -> None:
    content = documents.scanned_pdf(SCAN, SCAN, SCAN)
    limits = ExtractionLimits(scanned_pages=2)
    _fails(pieces, content, FailureReason.TOO_MANY_PAGES, limits)


def test_lines_are_joined_into_paragraphs() -> None:
    text = (
        "A long line that goes on until the margin, and then be\x02"
        "yond it, for the sentence is long and\r\nends.\r\n"
        "The next paragraph begins here, as a new line of text\r\n"
        "• with an item\r\n• and another\r\n"
    )
    assert [block.text for block in split_page(text, 1, [])] == [
        "A long line that goes on until the margin, and then beyond it, "
        "for the sentence is long and ends.",
        "The next paragraph begins here, as a new line of text",
        "• with an item",
        "• and another",
    ]


def test_a_layer_whose_fonts_name_no_letters_is_garbage() -> None:
    assert is_garbage("\ufffd\ufffd\ue001\ue002 ab")
    assert not is_garbage("A page with one odd \ue001 symbol in it")


def _scan_with_layer(text: bytes) -> bytes:
    """One page: a picture all over it, and a few words of text."""
    picture = documents.image_bytes(SCAN.convert("L"), "JPEG")
    content = b"q 600 0 0 800 0 0 cm /I Do Q BT /F Tf 12 Tf /F 12 Tf 50 20 Td (%s) Tj ET" % text
    return documents.pdf_of_objects(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R"
            b"/Resources<</XObject<</I 5 0 R>>/Font<</F 6 0 R>>>>>>",
            b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
            b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray"
            b"/BitsPerComponent 8/Filter/DCTDecode/Length %d>>stream\n%s\nendstream"
            % (*SCAN.size, len(picture), picture),
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        ]
    )


def _fails(
    pieces: Pieces,
    content: bytes,
    reason: FailureReason,
    limits: ExtractionLimits = ExtractionLimits(),  # noqa: B008 - frozen
) -> None:
    with pytest.raises(PermanentError) as caught:
        pieces(content, m.PDF, limits)
    assert caught.value.reason is reason
