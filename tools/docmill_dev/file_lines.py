"""A file as a line of the terminal: what became of it, in columns that fit 80."""

import textwrap
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from docmill_client import File
from docmill_dev.terminal import WIDTH, ago, count, seconds, size

_NAME = 30
_LOOK = {
    "COMPLETED": ("✓", "green"),
    "DUPLICATE": ("=", "yellow"),
    "FAILED": ("✗", "red"),
    "REFUSED": ("✗", "red"),
}
_UNDER_WAY = ("·", "cyan")


def ended_line(file: File, twin: File | None = None) -> RenderableType:
    """A file that was uploaded: its status, what came out of it, and how long that took.

    ``twin`` is the file of which it is a duplicate.
    """
    took = "" if file.seconds is None else seconds(file.seconds)
    if file.status == "FAILED":
        return _with_sentence(_line(file.name, file.status, file.reason or "", "", took), file)
    if file.status == "DUPLICATE":
        return _line(file.name, file.status, _same_as(file, twin), "", took)
    if file.status == "COMPLETED":
        return _line(file.name, file.status, _pages(file), _passages(file), took)
    return _line(file.name, file.status, size(file.size_bytes), "", took)


def refused_line(name: str, code: str, detail: str) -> RenderableType:
    """A file that the API did not take."""
    return Group(_line(name, "REFUSED", code, "", ""), _sentence(detail))


def listed(files: list[File], now: datetime) -> RenderableType:
    """The files of an account as a table; failed ones with their reason and their sentence."""
    lines: list[RenderableType] = [
        _columns(
            Text(""), Text("File", "bold"), "Status", "Pages", "Passages", "Added", style="bold"
        )
    ]
    for file in files:
        mark, style = _LOOK.get(file.status, _UNDER_WAY)
        failed = file.status == "FAILED"
        line = _columns(
            Text(mark, style),
            _name(file),
            Text(file.status, style),
            (file.reason or "") if failed else _pages(file),
            "" if failed else _passages(file),
            Text(ago(file.created_at, now), "dim"),
        )
        lines.append(_with_sentence(line, file) if failed else line)
    return Group(*lines)


def elided(name: str, width: int) -> str:
    """The name, shortened in its middle: its beginning and its extension tell files apart."""
    if len(name) <= width:
        return name
    tail = width // 3
    return f"{name[: width - tail - 1]}…{name[-tail:]}"


def _line(name: str, status: str, first: str, second: str, took: str) -> Table:
    mark, style = _LOOK.get(status, _UNDER_WAY)
    return _columns(
        Text(mark, style),
        elided(name, _NAME),
        Text(status, style),
        first,
        second,
        Text(took, "dim"),
    )


def _columns(
    mark: Text,
    name: str | Text,
    status: str | Text,
    first: str,
    second: str,
    last: str | Text,
    style: str = "",
) -> Table:
    """One row; a table of its own, so that it can be printed the moment it is known."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.style = style
    table.add_column(width=3, justify="right")
    table.add_column(width=_NAME, no_wrap=True)
    table.add_column(width=10, no_wrap=True)
    if second or not first:
        table.add_column(width=9, justify="right", no_wrap=True)
        table.add_column(width=14, justify="right", no_wrap=True)
        cells = [first, second]
    else:  # a reason or the like takes the room of both
        table.add_column(width=24, no_wrap=True)
        cells = [first]
    table.add_column(ratio=1, justify="right", no_wrap=True)
    table.add_row(mark, name, status, *cells, last)
    return table


def _same_as(file: File, twin: File | None) -> str:
    if twin is None or twin.name == file.name:
        return "is here already"
    return f"of {elided(twin.name, 19)}"


def _with_sentence(line: Table, file: File) -> RenderableType:
    return Group(line, _sentence(file.detail or ""))


def _sentence(detail: str) -> RenderableType:
    wrapped = textwrap.fill(
        detail, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False
    )
    return Text(wrapped, "red")


def _name(file: File) -> str:
    mark = " (public)" if file.visibility == "public" else ""
    return elided(file.name, _NAME - len(mark)) + mark


def _pages(file: File) -> str:
    return "" if file.page_count is None else count(file.page_count, "page")


def _passages(file: File) -> str:
    return "" if file.chunk_count is None else count(file.chunk_count, "passage")
