"""Passages as a reader wants them: where each stands and the part that answers, in 80 columns."""

import textwrap

from rich.console import Console
from rich.text import Text

from docmill_client import Found, Passage
from docmill_dev.excerpts import excerpt, matches
from docmill_dev.file_lines import elided

_INDENT = "    "
_NAME = 40


def show(console: Console, found: Found, query: str) -> None:
    """Print the passages of a search; a sentence when there is none."""
    if found.degraded:
        console.print(Text("    By words alone: the query could not be embedded.\n", "yellow"))
    if not found.passages:
        console.print(Text("    No passage found.\n", "yellow"))
    for passage in found.passages:
        show_one(console, passage, query)


def show_one(console: Console, passage: Passage, query: str) -> None:
    """File, page and score in one line, below it the headings and an excerpt."""
    place = Text.assemble(_INDENT, (elided(passage.file_name, _NAME), "bold cyan"))
    if passage.pages:
        place.append(f", {passage.pages}", "bold")
    score = _score(passage)
    room = console.width - place.cell_len - len(score)
    console.print(place + Text(" " * max(room, 2)) + Text(score, "dim"))
    columns = console.width - len(_INDENT) - 2
    text = passage.text
    if passage.heading_path:
        _quote(console, Text(_headings(passage.heading_path, columns), "italic"))
        # The heading itself begins the passage; it need not be read twice.
        text = text.removeprefix(passage.heading_path[-1]).strip() or text
    for paragraph in excerpt(text, query).splitlines():
        for line in textwrap.wrap(paragraph, columns, break_on_hyphens=False):
            shown = Text(line)
            for start, end in matches(line, query):
                shown.stylize("bold yellow", start, end)
            _quote(console, shown)
    console.print()


def _quote(console: Console, line: Text) -> None:
    console.print(Text.assemble(_INDENT, ("│ ", "cyan")) + line, no_wrap=True)


def _headings(path: list[str], columns: int) -> str:
    """The path to the passage; its beginning is left out first."""
    shown = " › ".join(path)
    if len(shown) <= columns:
        return shown
    return textwrap.shorten(path[-1], columns, placeholder=" …")


def _score(passage: Passage) -> str:
    if passage.score is None:
        return ""
    if passage.similarity is None:
        return f"score {passage.score:.3f}"
    return f"score {passage.score:.3f}, similarity {passage.similarity:.2f}"
