"""Plain text, its charsets, Markdown and CSV."""

import csv
import io
from collections.abc import Callable

import pytest

from docmill_ingest.blocks import Block
from docmill_ingest.extractors import MAX_BLOCK_CHARACTERS
from docmill_ingest.extractors.charsets import decode
from docmill_ingest.extractors.tables import labelled_rows
from docmill_shared import media_types as m
from docmill_shared.errors import PermanentError
from docmill_shared.states import FailureReason

Blocks = Callable[..., list[Block]]
SENTENCE = "Die schöne Frau trinkt Kaffee; das müßte genügen, um den Zeichensatz zu erkennen."


@pytest.mark.parametrize(
    "encoding",
    [
        *("utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-32"),
        *("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"),
    ],
)
def test_every_charset_gives_the_same_text(blocks: Blocks, encoding: str) -> None:
    assert blocks(SENTENCE.encode(encoding), m.TEXT) == [Block(SENTENCE)]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "Все счастливые семьи похожи друг на друга, каждая несчастлива по-своему. " * 5),
        ("shift_jis", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 5),
    ],
)
def test_legacy_charsets_beyond_the_western_ones(blocks: Blocks, encoding: str, text: str) -> None:
    assert blocks(text.encode(encoding), m.TEXT) == [Block(text.strip())]


def test_the_first_odd_byte_may_be_far_into_the_file(blocks: Blocks) -> None:
    text = "All plain here.\n\n" * 200_000 + SENTENCE
    assert blocks(text.encode("cp1252"), m.TEXT)[-1].text == SENTENCE


def test_a_damaged_spot_does_not_change_the_charset(blocks: Blocks) -> None:
    content = (SENTENCE * 3).encode() + b"\xff" + (SENTENCE * 3).encode()
    (block,) = blocks(content, m.TEXT)
    assert block.text == SENTENCE * 3 + "\ufffd" + SENTENCE * 3


def test_a_declared_charset_holds_only_where_it_fits() -> None:
    assert decode("Привет".encode("koi8-r"), "koi8-r") == "Привет"
    assert decode(SENTENCE.encode(), "ascii") == SENTENCE
    assert decode(SENTENCE.encode(), "no such charset") == SENTENCE


def test_blank_lines_part_paragraphs_and_nul_is_removed(blocks: Blocks) -> None:
    found = blocks(b"one\0 two\nthree  \r\n\r\n  \nfour\r\n", m.TEXT)
    assert found == [Block("one two\nthree"), Block("four")]


def test_one_endless_line_is_cut_into_bounded_blocks(blocks: Blocks) -> None:
    found = blocks("word " * 100_000, m.TEXT)
    assert "".join(block.text for block in found).count("word") == 100_000
    assert max(len(block.text) for block in found) <= MAX_BLOCK_CHARACTERS


@pytest.mark.parametrize("content", [" \n\t\n", "\0\0\0 ", "\ufeff"])
def test_nothing_to_read(blocks: Blocks, content: str) -> None:
    with pytest.raises(PermanentError) as caught:
        blocks(content, m.TEXT)
    assert caught.value.reason is FailureReason.NO_TEXT


def test_markdown_headings_make_an_outline(blocks: Blocks) -> None:
    found = blocks(
        "# A *title* #\n\nSome\ntext.\n## [Linked](http://example.org) part\n"
        "Underlined\n===\n\nLess\n---\n\n#hashtag\n",
        m.MARKDOWN,
    )
    assert found == [
        Block("A title", heading_level=1),
        Block("Some\ntext."),
        Block("Linked part", heading_level=2),
        Block("Underlined", heading_level=1),
        Block("Less", heading_level=2),
        Block("#hashtag"),
    ]


def test_markdown_code_is_kept_in_one_piece(blocks: Blocks) -> None:
    code = "````python\n# no heading\n\n```\nstill code\n````"
    assert blocks(f"Before\n{code}\nAfter", m.MARKDOWN) == [
        Block("Before"),
        Block(code),
        Block("After"),
    ]


def test_markdown_code_that_is_never_closed(blocks: Blocks) -> None:
    assert blocks("```\n# code", m.MARKDOWN) == [Block("```\n# code")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_each_csv_row_carries_its_labels(blocks: Blocks, delimiter: str, encoding: str) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter)
    writer.writerow(["Team", "City", "Cups, so far"])
    writer.writerows([[f"Team {n}", "Toronto", n] for n in range(500)])
    found = blocks(stream.getvalue().encode(encoding), m.CSV)
    assert len(found) == 500
    assert found[-1].text == "Team: Team 499 | City: Toronto | Cups, so far: 499"


def test_csv_cells_with_quotes_and_line_breaks(blocks: Blocks) -> None:
    found = blocks('Name,Note\nAda,"first, and\n""best"""\nBob,\n', m.CSV)
    assert [block.text for block in found] == ['Name: Ada | Note: first, and "best"', "Name: Bob"]


def test_a_csv_quote_that_is_never_closed(blocks: Blocks) -> None:
    with pytest.raises(PermanentError) as caught:
        blocks('a,b\n"' + "x,y\n" * 2_000_000, m.CSV)
    assert caught.value.reason is FailureReason.CORRUPT


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([["Title"], ["A", "B"], ["1", "2"]], ["Title", "A: 1 | B: 2"]),
        ([["1", "2"], ["3", "4"]], ["1 | 2", "3 | 4"]),
        ([["A", "B"]], ["A | B"]),
        ([["A", "B"], [], ["C", "D"], ["1", "2"]], ["A | B", "C: 1 | D: 2"]),
        ([["A", "B"], ["1", "", "extra"]], ["A: 1 | extra"]),
        ([["A", "B"], ["1", "2"], [""], ["3"]], ["A: 1 | B: 2", "3"]),
    ],
)
def test_labels_come_from_a_row_that_can_be_a_header(
    rows: list[list[str]], expected: list[str]
) -> None:
    assert list(labelled_rows(rows)) == expected
