"""Answers and passages as a reader of a terminal sees them."""

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from docmill_client import Citation, Found, Notice, Passage, Reply
from docmill_dev import citations, replies, terminal

QUOTE = "it lasts ten days"
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


def passage(**changes: object) -> Passage:
    values: dict[str, object] = {
        "file_id": "f1",
        "file_name": "handbook.pdf",
        "chunk_id": "c1",
        "page_start": 5,
        "page_end": 5,
        "heading_path": ["4 Power", "4.1 Battery"],
        "text": "4.1 Battery\n\nWithout sun it lasts ten days.",
    }
    return Passage(**{**values, **changes})  # type: ignore[arg-type]


def reply(answer: str, *cited: Citation, **changes: object) -> Reply:
    values: dict[str, object] = {
        "answered": True,
        "model": "m-1",
        "notice": None,
        "degraded": False,
        "took_ms": 1.0,
        "history": (),
    }
    return Reply(answer=answer, citations=list(cited), **{**values, **changes})  # type: ignore[arg-type]


def shown(what: Reply, width: int = 80, **how: bool) -> str:
    console = terminal.output()
    console.width = width
    with console.capture() as capture:
        replies.show(console, what, "How long does the battery last?", **how)
    return fitting(capture.get(), width)


def fitting(text: str, width: int = 80) -> str:
    """The same, once it is certain that a terminal of this width shows all of it."""
    assert all(cell_len(line) <= width for line in text.splitlines()), text
    assert not any(line != line.rstrip() for line in text.splitlines()), text
    return text


def test_an_answer_stands_above_its_sources() -> None:
    text = shown(
        reply(
            "It lasts ten days [1].\n\nThe heating goes off first [2].",
            Citation(1, passage(), QUOTE),
            Citation(2, passage(file_name="notes.md", page_start=None, heading_path=[]), None),
        )
    )

    assert text.splitlines() == [
        "    It lasts ten days [1].",
        "",
        "    The heating goes off first [2].",
        "",
        "[1] handbook.pdf, page 5",
        "    │ 4 Power › 4.1 Battery",
        "    │ it lasts ten days",
        "",
        "[2] notes.md",
        "    │ 4.1 Battery",
        "    │ Without sun it lasts ten days.",
        "",
    ]


def test_quotes_are_not_read_twice_and_the_notice_introduces_them() -> None:
    quotes = reply(
        f"“{QUOTE}” [1]", Citation(1, passage(), QUOTE), model=None, notice=Notice("c", "D. " * 40)
    )

    text = shown(quotes)

    assert text.count(QUOTE) == 1
    assert text.startswith("    D. D.")
    assert text.index("D.") < text.index("“")
    assert "D." not in shown(quotes, with_notice=False)


def test_lines_are_filled_and_no_marker_begins_one() -> None:
    for length in range(1, 20):
        text = shown(reply("abc " * 16 + "x" * length + " [1]", Citation(1, passage(), QUOTE)))
        assert not re.search(r"^\s+\[1\]", text.partition("\n\n")[0], re.MULTILINE)


@pytest.mark.parametrize(
    ("beginning", "hanging"), [("- ", 6), ("12. ", 8), ("“", 5), ("", 4), ("3.5 ", 4)]
)
def test_what_goes_on_is_below_the_first_word(beginning: str, hanging: int) -> None:
    first, second, *_ = shown(reply(beginning + "word " * 25)).splitlines()

    assert first.startswith(f"    {beginning}word")
    assert second.startswith(" " * hanging + "word")


@pytest.mark.parametrize("width", [30, 52, 80])
def test_letters_of_two_columns_are_shown_whole(width: int) -> None:
    words = "漢字" * 60
    quote = "電池" * 50
    long = passage(heading_path=["見出し" * 30], file_name="a.pdf")

    text = shown(reply(words + " [1]", Citation(1, long, quote)), width)

    letters = re.sub(r"[\s│]", "", text)
    assert words in letters
    assert quote in letters


def test_only_markers_of_sources_are_styled() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    answer = reply("In [2019] it was ten days [1], see a[3].", Citation(1, passage(), QUOTE))

    replies.show(console, answer, "How long?")

    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"\x1b\[[\d;]*m ?\[1\]\x1b\[0m", written.partition("\n")[0])
    assert "In [2019] it" in written
    assert "a[3]." in written


def test_words_alone_are_told() -> None:
    assert shown(reply("Ten days.", degraded=True)).startswith("    By words alone")


def test_nothing_in_an_answer_steers_the_terminal() -> None:
    evil = passage(file_name=EVIL, heading_path=[EVIL], text=f"battery {EVIL}")
    answer = reply(
        f"{EVIL} [1]", Citation(1, evil, None), notice=Notice("c", EVIL), model=None, degraded=True
    )

    text = shown(answer)

    assert not CONTROL.search(text)
    assert text.count("owned") == 5


def test_nothing_that_a_search_finds_steers_the_terminal() -> None:
    evil = passage(file_name=EVIL, heading_path=[EVIL], text=f"battery {EVIL}", score=1.0)
    console = terminal.output()
    with console.capture() as capture:
        citations.show(console, Found([evil], degraded=False, took_ms=1.0), "battery")

    assert not CONTROL.search(capture.get())
    assert capture.get().count("owned") == 3


def test_a_found_passage_of_letters_of_two_columns_is_shown_whole() -> None:
    words = "電池" * 50
    console = terminal.output()
    with console.capture() as capture:
        citations.show_one(console, passage(text=words, heading_path=[]), "電池")

    assert words in re.sub(r"[\s│]", "", fitting(capture.get()))
