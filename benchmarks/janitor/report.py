"""The tables of ``benchmarks.janitor``, and whether the janitor keeps its promises in them."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.janitor.files import Deleted, SweptFiles
from benchmarks.janitor.tokens import SweptTokens
from benchmarks.queue_report import percentile

_LONGEST_MS = 100.0
_TIMES_FEWER = 10


def show(console: Console, tokens: SweptTokens, files: SweptFiles) -> int:
    """Print everything; the exit status: 1 if a promise is broken."""
    console.print()
    console.print(_sweep(tokens))
    console.print(_logins(tokens))
    console.print(_files(files))
    broken = _broken(tokens, files)
    for sentence in broken:
        console.print(sentence, style="red")
    if not broken:
        console.print("No lock is held for 100 ms; ten times fewer calls.", style="green")
    return 1 if broken else 0


def _sweep(tokens: SweptTokens) -> Table:
    title = f"{tokens.deleted:,} expired of {tokens.tokens:,} tokens"
    table = Table(title=title, width=78)
    for name in ("seconds", "tokens/s", "sweeps", "deletes", "p50 ms", "p99 ms", "longest"):
        table.add_column(name, justify="right")
    table.add_row(
        f"{tokens.seconds:,.1f}",
        f"{tokens.deleted / tokens.seconds:,.0f}",
        f"{tokens.sweeps:,}",
        f"{len(tokens.statements):,}",
        f"{percentile(tokens.statements, 0.5):.1f}",
        f"{percentile(tokens.statements, 0.99):.1f}",
        f"{tokens.statements[-1]:.1f}",
    )
    return table


def _logins(tokens: SweptTokens) -> Table:
    table = Table(title="A login's work in the database meanwhile (ms)", width=78)
    table.add_column("")
    for name in ("logins", "p50", "p99", "max"):
        table.add_column(name, justify="right")

    def row(name: str, samples: Sequence[float]) -> None:
        figures = (percentile(samples, 0.5), percentile(samples, 0.99), samples[-1])
        table.add_row(name, f"{len(samples):,}", *(f"{each:.2f}" for each in figures))

    row("without the sweep", tokens.logins_alone)
    row("with the sweep", tokens.logins_beside)
    return table


def _files(files: SweptFiles) -> Table:
    table = Table(title="Abandoned files with their objects", width=78)
    table.add_column("")
    for name in ("files", "seconds", "files/s", "S3 calls", f"calls for {files.sweep.files:,}"):
        table.add_column(name, justify="right")

    def row(name: str, deleted: Deleted) -> None:
        table.add_row(
            name,
            f"{deleted.files:,}",
            f"{deleted.seconds:.1f}",
            f"{deleted.files / deleted.seconds:,.0f}",
            f"{deleted.calls:,}",
            f"{_scaled(deleted, files.sweep.files):,.0f}",
        )

    row("the janitor", files.sweep)
    row("one by one (sample)", files.one_by_one)
    return table


def _scaled(deleted: Deleted, count: int) -> float:
    """The calls for this many files, from those for a sample."""
    return deleted.calls * count / deleted.files


def _broken(tokens: SweptTokens, files: SweptFiles) -> list[str]:
    """A sentence for each promise that these numbers do not keep."""
    sentences = []
    longest = tokens.statements[-1]
    if longest >= _LONGEST_MS:
        sentences.append(f"A delete held its locks for {longest:.0f} ms.")
    if tokens.left:
        sentences.append(f"{tokens.left:,} expired tokens are left.")
    if files.sweep.rows_left or files.sweep.objects_left:
        sentences.append(
            f"{files.sweep.rows_left:,} rows and {files.sweep.objects_left:,} objects are left."
        )
    if files.sweep.calls * _TIMES_FEWER > _scaled(files.one_by_one, files.sweep.files):
        sentences.append(f"{files.sweep.calls:,} calls are not ten times fewer.")
    return sentences
