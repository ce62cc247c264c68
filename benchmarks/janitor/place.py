"""Where the measurements are made, and how they fill it and show how far they are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import TextClause, text

from docmill_janitor.resources import Resources
from docmill_shared.database import autocommit

_AT_ONCE = 50_000


@dataclass(frozen=True)
class Place:
    """A migrated stack of its own; ``bucket`` is the folder in which the store keeps objects."""

    resources: Resources
    bucket: Path
    console: Console

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar; call what it gives with how many more are done."""
        columns = (
            TextColumn("{task.description:<30}"),
            BarColumn(bar_width=14),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(what, total=total)
            yield lambda more: progress.update(task, advance=more)

    def fill(self, what: str, statement: TextClause, count: int) -> None:
        """Run an insert of the rows ``:first`` to ``:last`` until there are ``count``."""
        with (
            self.progress(what, count) as advance,
            autocommit(self.resources.engine) as connection,
        ):
            for first in range(0, count, _AT_ONCE):
                last = min(first + _AT_ONCE, count) - 1
                connection.execute(statement, {"first": first, "last": last})
                advance(last - first + 1)

    def settle(self, *tables: str) -> None:
        """As after a night's autovacuum, so that no backlog of it runs into a measurement."""
        with autocommit(self.resources.engine) as connection:
            connection.execute(text("set statement_timeout = 0"))
            for table in tables:
                connection.execute(text(f"vacuum analyze {table}"))
            connection.execute(text("reset statement_timeout"))
