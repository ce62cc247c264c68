"""DOCX, PPTX, XLSX and HTML: structure kept, nothing downloaded, bombs defused."""

import sys
from collections.abc import Callable
from datetime import datetime

import docx.document
import pytest

from docmill_ingest.blocks import Block, PageCount, Piece
from docmill_ingest.limits import ExtractionLimits
from docmill_shared import media_types as m
from docmill_shared.errors import PermanentError
from docmill_shared.states import FailureReason
from tests import documents

Pieces = Callable[..., list[Piece]]


def _report(document: docx.document.Document) -> None:
    document.sections[0].header.paragraphs[0].text = "Confidential"
    document.add_heading("The report", 1)
    document.add_paragraph("It was a good year.")
    document.add_heading("Sales", 2)
    document.add_paragraph("Cars", style="List Bullet")
    table = document.add_table(rows=2, cols=3)
    for row, texts in zip(
        table.rows, (("Year", "City", "Cars"), ("2020", "Oslo", "7")), strict=True
    ):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    document.add_section()


def test_a_word_document_keeps_headings_lists_and_tables(pieces: Pieces) -> None:
    assert pieces(documents.word(_report), m.DOCX) == [
        Block("Confidential"),
        Block("The report", heading_level=1),
        Block("It was a good year."),
        Block("Sales", heading_level=2),
        Block("- Cars"),
        Block("Year: 2020 | City: Oslo | Cars: 7"),
    ]


def test_a_word_document_has_pages_where_word_recorded_them(pieces: Pieces) -> None:
    plain = documents.word(lambda document: document.add_paragraph("First"))
    broken = documents.repacked(
        plain,
        {
            "word/document.xml": lambda xml: xml.replace(
                b"<w:sectPr",
                b"<w:p><w:r><w:lastRenderedPageBreak/><w:t>Second</w:t></w:r></w:p><w:sectPr",
                1,
            )
        },
    )
    assert pieces(broken, m.DOCX) == [Block("First", 1), Block("Second", 2)]


def test_no_language_model_is_loaded(pieces: Pieces) -> None:
    pieces(documents.word(_report), m.DOCX)
    pieces("<h1>Hello</h1>", m.HTML)
    assert "unstructured" in sys.modules
    assert "spacy" not in sys.modules


def test_a_slide_is_a_page_with_its_title_first_and_its_notes_last(pieces: Pieces) -> None:
    content = documents.powerpoint(
        ("Adding a slide", "Find the layout", "Remember to smile"), ("The end", "Questions?", "")
    )
    assert pieces(content, m.PPTX) == [
        PageCount(2),
        Block("Adding a slide", 1, heading_level=1),
        Block("Find the layout", 1),
        Block("Notes: Remember to smile", 1),
        Block("The end", 2, heading_level=1),
        Block("Questions?", 2),
    ]


def test_a_sheet_is_a_page_of_labelled_rows(pieces: Pieces) -> None:
    content = documents.excel(
        Cups=[["Cups"], ["Team", "Won", "Last"], ["Leafs", 13.0, datetime(1967, 5, 2)]],
        Empty=[],
        Numbers=[[1, 2.5], [None, True]],
    )
    assert pieces(content, m.XLSX) == [
        PageCount(3),
        Block("Cups", 1, heading_level=1),
        Block("Cups", 1),
        Block("Team: Leafs | Won: 13 | Last: 1967-05-02", 1),
        Block("Numbers", 3, heading_level=1),
        Block("1 | 2.5", 3),
        Block("True", 3),
    ]


def test_a_cell_in_the_far_corner_costs_no_more_than_any_other(pieces: Pieces) -> None:
    content = documents.repacked(
        documents.excel(Sheet=[["near"]]),
        {"xl/worksheets/sheet1.xml": lambda xml: xml.replace(b'r="A1"', b'r="XFD1"')},
    )
    assert pieces(content, m.XLSX)[-1] == Block("near", 1)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (documents.word(lambda document: document.add_paragraph(" ")), m.DOCX),
        (documents.powerpoint(("", "", "")), m.PPTX),
        (documents.excel(Sheet=[]), m.XLSX),
        ("<html><body><script>var text = 1</script></body></html>", m.HTML),
        ("<!-- nothing -->", m.HTML),
    ],
)
def test_documents_without_text(
    pieces: Pieces, content: bytes | str, media_type: m.MediaType
) -> None:
    _fails(pieces, content, media_type, FailureReason.NO_TEXT)


@pytest.mark.parametrize("limits", [ExtractionLimits(), ExtractionLimits(unpacked_bytes=10_000)])
def test_a_bomb_is_refused_by_what_it_declares(pieces: Pieces, limits: ExtractionLimits) -> None:
    bomb = documents.repacked(
        documents.word(_report), {"word/media/image1.bmp": lambda _: bytes(60 * 1024**2)}
    )
    _fails(pieces, bomb, m.DOCX, FailureReason.TOO_LARGE, limits)


def test_slides_and_sheets_are_bounded(pieces: Pieces) -> None:
    limits = ExtractionLimits(pages=1)
    slides = documents.powerpoint(("One", "", ""), ("Two", "", ""))
    _fails(pieces, slides, m.PPTX, FailureReason.TOO_MANY_PAGES, limits)
    sheets = documents.excel(One=[], Two=[])
    _fails(pieces, sheets, m.XLSX, FailureReason.TOO_MANY_PAGES, limits)


def test_an_external_entity_is_not_followed(pieces: Pieces, tmp_path: object) -> None:
    secret = documents.write(tmp_path / "secret", "the secret")  # type: ignore[operator] # a Path
    hostile = documents.repacked(
        documents.word(lambda document: document.add_paragraph("Hello")),
        {
            "word/document.xml": lambda xml: xml.replace(
                b"<w:document",
                b'<!DOCTYPE d [<!ENTITY x SYSTEM "%s">]><w:document' % secret.as_uri().encode(),
                1,
            ).replace(b"Hello", b"Hello &x;")
        },
    )
    assert all("secret" not in str(piece) for piece in pieces(hostile, m.DOCX))


def test_html_headings_lists_and_tables(pieces: Pieces) -> None:
    page = (
        "<title>Tab</title><style>p {}</style><h1>Big &amp; bold</h1><p>Some <b>text</b></p>"
        "<h3>Small</h3><ul><li>one<li>two</ul><script>alert(1)</script>"
        "<table><tr><th>A<th>B<th>C<tr><td>1<td>2<td>3</table>SHORT LINE IN CAPITALS"
    )
    assert pieces(page, m.HTML) == [
        Block("Big & bold", heading_level=1),
        Block("Some text"),
        Block("Small", heading_level=3),
        Block("- one"),
        Block("- two"),
        Block("A: 1 | B: 2 | C: 3"),
        Block("SHORT LINE IN CAPITALS"),
    ]


def test_html_tables_that_only_arrange_the_page_are_undone(pieces: Pieces) -> None:
    page = (
        "<table><tr><td><h2>News</h2>First line<br>goes on<br><br>Second paragraph"
        "<script>var x</script></td><td><table><tr><td>Year<td>2020</table></table>"
    )
    assert pieces(page, m.HTML) == [
        Block("News", heading_level=2),
        Block("First line goes on"),
        Block("Second paragraph"),
        Block("Year | 2020"),
    ]


@pytest.mark.parametrize("declaration", ['<meta charset="{}">', '<?xml encoding="{}"?>', ""])
def test_html_in_the_charset_that_it_names(pieces: Pieces, declaration: str) -> None:
    page = declaration.format("windows-1252") + "<p>Die schöne Frau hat einen Kaffee</p>"
    found = pieces(page.encode("cp1252"), m.HTML)
    assert found == [Block("Die schöne Frau hat einen Kaffee")]


def _fails(
    pieces: Pieces,
    content: bytes | str,
    media_type: m.MediaType,
    reason: FailureReason,
    limits: ExtractionLimits = ExtractionLimits(),  # noqa: B008 - frozen
) -> None:
    with pytest.raises(PermanentError) as caught:
        pieces(content, media_type, limits)
    assert caught.value.reason is reason
