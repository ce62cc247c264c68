"""``python -m benchmarks.janitor [--tokens 2000000] [--files 50000] [--sample 2000]``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from rich.console import Console

from benchmarks import janitor
from benchmarks.janitor import files, report, tokens
from benchmarks.janitor.place import Place
from docmill_dev.processes import ProcessFailed, end_on_signals
from docmill_dev.stack import Stack, StackError
from docmill_janitor import resources as composition
from docmill_janitor.settings import JanitorSettings
from docmill_shared import migrate
from tests.conftest import SECRET, without_docmill


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(prog="make bench-janitor", description=janitor.__doc__)
    parser.add_argument("--tokens", type=int, default=2_000_000, help="half of them expired")
    parser.add_argument("--files", type=int, default=50_000, help="abandoned, with objects")
    parser.add_argument("--sample", type=int, default=2_000, help="further ones, one by one")
    options = parser.parse_args()
    console = Console(width=80, highlight=False)
    try:
        with (
            end_on_signals(),
            tempfile.TemporaryDirectory(prefix="docmill-bench-") as folder,
            _place(Path(folder), console) as place,
        ):
            swept_tokens = tokens.measure(place, options.tokens)
            swept_files = files.measure(place, options.files, options.sample)
    except (StackError, ProcessFailed, TimeoutError) as error:
        console.print(str(error), style="red")
        return 1
    return report.show(console, swept_tokens, swept_files)


@contextmanager
def _place(folder: Path, console: Console) -> Iterator[Place]:
    with Stack(folder, environ={}) as stack:
        environment = {**without_docmill(os.environ), **stack.environment(), "JWT_SECRET": SECRET}
        with mock.patch.dict("os.environ", environment, clear=True):
            resources = composition.build(JanitorSettings.load())
        migrate.upgrade(resources.engine)
        try:
            yield Place(resources, stack.s3.home / stack.s3.bucket, console)
        finally:
            resources.engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
