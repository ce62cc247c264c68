"""How the command line speaks: consoles, steps with their times, numbers for people.

Colours and live parts appear in a terminal only, and no colours with NO_COLOR; in a pipe every
line is plain and complete.
"""

import contextlib
import re
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 80
#: Controls but for tabs and line ends, and what turns the direction of the text behind it.
_STEERING = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def output() -> Console:
    """The console for what was asked for. At most 80 columns: lines of text read best so."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that is not UTF-8 gets a question mark for a check mark, not a traceback.
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    # Names of files are printed, and must not be taken for markup.
    console = Console(highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDTH)
    return console


def complain(sentence: str) -> None:
    """One sentence to stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        Text.assemble(("docmill: ", "bold red"), harmless(sentence))
    )


def harmless(text: str) -> str:
    """Without anything that a terminal would obey: for what others wrote."""
    return _STEERING.sub("�", text)


def wrapped(console: Console, text: str, columns: int) -> list[str]:
    """Harmless lines of at most so many columns, of which some characters take two."""
    lines = Text(harmless(text)).wrap(console, max(columns, 10))
    return [line.plain.rstrip() for line in lines]


@contextlib.contextmanager
def busy(console: Console, what: str) -> Iterator[None]:
    """A spinner while it runs; nothing in a pipe."""
    if console.is_terminal:
        with console.status(f"{what} …", spinner="dots", spinner_style="cyan"):
            yield
    else:
        yield


@contextlib.contextmanager
def step(console: Console, what: str, done: str = "") -> Iterator[None]:
    """A spinner while it runs, a line with its seconds when it is done, nothing if it fails."""
    started = time.monotonic()
    with busy(console, what):
        yield
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(width=3, justify="right")
    line.add_column(ratio=1)
    line.add_column(justify="right")
    line.add_row(Text("✓", "green"), done or what, Text(seconds(time.monotonic() - started), "dim"))
    console.print(line)


def seconds(value: float) -> str:
    """A duration: ``0.8 s``, ``42 s``, ``3 min 20 s``."""
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02d} s"


def size(count: int) -> str:
    """A number of bytes: ``812 B``, ``49 kB``, ``3.2 MB``."""
    if count < 1_000:
        return f"{count} B"
    value, unit = count / 1_000, "kB"
    for larger in ("MB", "GB"):
        if value < 999.5:
            break
        value, unit = value / 1_000, larger
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def ago(then: datetime, now: datetime) -> str:
    """How long ago: ``just now``, ``5 min ago``, ``3 h ago``, ``2 days ago``, else the date."""
    passed = now - then
    if passed < timedelta(minutes=1):
        return "just now"
    if passed < timedelta(hours=1):
        return f"{passed.seconds // 60} min ago"
    if passed < timedelta(days=1):
        return f"{passed.seconds // 3600} h ago"
    if passed < timedelta(days=14):
        return count(passed.days, "day") + " ago"
    return then.astimezone().strftime("%Y-%m-%d")


def count(number: int, noun: str) -> str:
    """``1 page``, ``5 pages``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
