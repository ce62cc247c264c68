"""``docmill corpus``: a folder of real documents, what each must yield against what it does.

The documents go through the public API one after the other, so that the seconds of each are its
own: from its confirmation to its end, by the database's clock.
"""

import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from docmill_client import ApiError, Chunk, Client, File, UploadRefused
from docmill_dev import corpus_manifest, terminal
from docmill_dev.corpus_manifest import Row
from docmill_dev.development import Development
from docmill_dev.file_lines import elided
from docmill_dev.terminal import count, seconds

#: What is left of 80 columns beside the others.
_NAME = 23
_LONGEST_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Actual:
    """What became of a row's document."""

    status: str
    reason: str | None = None
    detail: str | None = None
    chunks: int = 0
    phrase_found: bool | None = None  #: None: there was none to look for
    pages_of_phrase: tuple[int, ...] = ()
    seconds: float | None = None

    def problems(self, row: Row) -> list[str]:
        """In what way this is not what the row expects."""
        if self.status == "REFUSED" and (row.is_optional or self.reason == row.reason):
            # What must fail may be refused before it is ingested, for the same reason.
            return []
        wrong = []
        if self.status != row.status:
            wrong.append(f"{row.status} was expected")
        elif row.reason is not None and self.reason != row.reason:
            wrong.append(f"the reason {row.reason} was expected")
        if row.status == "COMPLETED" == self.status:
            if not self.chunks:
                wrong.append("there is no passage")
            if self.phrase_found is False:
                wrong.append(f"no passage has “{row.phrase}”")
            elif row.phrase and row.page is not None and row.page not in self.pages_of_phrase:
                wrong.append(f"the phrase was expected on page {row.page}")
        return wrong


def run(folder: Path, console: Console) -> bool:
    """Print the table; whether every row is as expected.

    Raises:
        ManifestError: the folder is not a corpus.
    """
    rows = corpus_manifest.load(folder)
    numbers = corpus_manifest.accounts(rows)
    console.print(Text("\nStarting a fresh docmill\n", "bold"))
    started = time.monotonic()
    step = partial(terminal.step, console)
    with (
        tempfile.TemporaryDirectory(prefix="docmill-corpus-") as directory,
        Development(Path(directory), step=step) as development,
        ExitStack() as stack,
    ):
        # A prefix of its own: in the user's own database there may be accounts of earlier runs.
        prefix = f"corpus-{secrets.token_hex(4)}"
        clients = []
        for number in range(max(numbers) + 1):
            email, password = f"{prefix}-{number}@docmill.example", secrets.token_hex(16)
            client = Client(development.url, email=email, password=password)
            clients.append(stack.enter_context(client))
            client.register()
        console.print()
        console.print(_columns("", "File", "Expected", "Actual", "Phrase", "Time", "bold"))
        failed = 0
        for row, number in zip(rows, numbers, strict=True):
            with _under_way(console, row):
                actual = check(clients[number], row, development.require_alive)
            problems = actual.problems(row)
            failed += bool(problems)
            _print(console, row, actual, problems)
    console.print()
    verdict = Text("All as expected", "bold green")
    if failed:
        verdict = Text(f"{failed} of {len(rows)} not as expected", "bold red")
    took = seconds(time.monotonic() - started)
    console.print(verdict + f": {count(len(rows), 'file')} in {took}.\n")
    return not failed


def check(client: Client, row: Row, watch: Callable[[], None]) -> Actual:
    """Ingest the row's document and look at what is stored."""
    try:
        reserved = client.upload(row.path, media_type=row.media_type, wait=False)
    except (ApiError, UploadRefused) as error:
        return Actual("REFUSED", reason=error.code, detail=error.detail)
    try:
        found = client.wait([reserved.id], lambda files: watch(), timeout=_LONGEST_SECONDS)
    except TimeoutError as error:
        return Actual("TIMEOUT", detail=str(error))
    file = found.get(reserved.id)
    if file is None:
        return Actual("GONE", detail="The file was deleted before it was ingested.")
    chunks = list(client.chunks(file.id)) if file.status == "COMPLETED" else []
    return _actual(row, file, chunks)


def _actual(row: Row, file: File, chunks: list[Chunk]) -> Actual:
    holding = [
        chunk for chunk in chunks if row.phrase and _squeezed(row.phrase) in _squeezed(chunk.text)
    ]
    pages = {
        page
        for chunk in holding
        if chunk.page_start is not None
        for page in range(chunk.page_start, (chunk.page_end or chunk.page_start) + 1)
    }
    return Actual(
        status=file.status,
        reason=file.reason,
        detail=file.detail,
        chunks=len(chunks),
        phrase_found=bool(holding) if row.phrase else None,
        pages_of_phrase=tuple(sorted(pages)),
        seconds=file.seconds,
    )


def _squeezed(text: str) -> str:
    """Without any white space: where a line breaks is layout, not content."""
    return "".join(text.split())


def _under_way(console: Console, row: Row) -> Progress:
    progress = Progress(
        TextColumn(" "),
        SpinnerColumn(style="cyan"),
        TextColumn("{task.description}", style="dim", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    progress.add_task(row.path.name, total=None)
    return progress


def _print(console: Console, row: Row, actual: Actual, problems: list[str]) -> None:
    console.print(
        _columns(
            Text("✗", "bold red") if problems else Text("✓", "green"),
            row.path.name,
            _status(row.status, row.reason) + (" (optional)" if row.is_optional else ""),
            Text(_status(actual.status, actual.reason), "red" if problems else ""),
            "" if row.phrase is None else _where(row, actual),
            Text("" if actual.seconds is None else f"{actual.seconds:.2f} s", "dim"),
        )
    )
    if problems:
        text = "; ".join(problems) + (f". ({actual.detail})" if actual.detail else ".")
        console.print(Text(f"      {text}", "red"))


def _where(row: Row, actual: Actual) -> str:
    if not actual.phrase_found:
        return "missing" if actual.status == "COMPLETED" else "–"
    return "found" if row.page is None else f"p. {_ranges(actual.pages_of_phrase)}"


def _ranges(pages: tuple[int, ...]) -> str:
    """``1``, ``299–300``, ``1, 7``: a passage may run over two pages."""
    parts: list[str] = []
    for page in pages:
        if parts and page - 1 in pages:
            parts[-1] = f"{parts[-1].partition('–')[0]}–{page}"
        else:
            parts.append(str(page))
    return ", ".join(parts)


def _status(status: str, reason: str | None) -> str:
    return f"{status} {reason}" if reason else status


def _columns(
    mark: str | Text,
    name: str,
    expected: str,
    actual: str | Text,
    phrase: str,
    took: str | Text,
    style: str = "",
) -> Table:
    """One row, printed the moment it is known; long cells take a second line."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.style = style
    table.add_column(width=2, justify="right")
    table.add_column(ratio=1, no_wrap=True)
    table.add_column(width=16, overflow="fold")
    table.add_column(width=16, overflow="fold")
    table.add_column(width=10)
    table.add_column(width=8, justify="right")
    table.add_row(mark, elided(name, _NAME), expected, actual, phrase, took)
    return table
