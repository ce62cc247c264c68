"""How much memory a real ingest worker takes for large files: ``python -m benchmarks.memory``.

Also ``make bench-memory``; ``--scale 0.1`` for a short run. Ends with status 1 if the worker (its
largest process) passes 300 MB, an extraction child its cap, or a file does not end as it must.
"""

import argparse
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from unittest import mock
from uuid import UUID

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.memory_files import LargeFile, large_files
from benchmarks.memory_watch import Peaks, watched
from docmill_dev.processes import Process, Processes, ProcessFailed, end_on_signals
from docmill_dev.stack import Stack, StackError
from docmill_ingest.settings import IngestSettings
from docmill_shared import migrate
from docmill_shared.broker import HardenedRedisBroker, create_broker, send
from docmill_shared.database import create_engine
from docmill_shared.messages import IngestFile
from docmill_shared.objects import S3ObjectStore
from docmill_shared.states import FINAL
from tests.conftest import SECRET, without_docmill
from tests.owners import Owner, new_owner

_MEGABYTE = 1024**2
PARENT_BOUND = 300 * _MEGABYTE
_PATIENCE_SECONDS = 1_800.0
_SETTINGS = {
    "EMBEDDING_PROVIDER": "local",
    "MAX_FILE_BYTES": str(512 * _MEGABYTE),
    "EXTRACTION_CHARACTERS": "400000000",
    "EXTRACTION_SECONDS": "900",
    "JWT_SECRET": SECRET,
}


@dataclass(frozen=True)
class Outcome:
    """How one file ended, and what it took."""

    name: str
    size_bytes: int
    end: str
    as_expected: bool
    seconds: float
    chunks: int
    peaks: Peaks


class Workplace:
    """A stack, an owner, and one worker process as production runs it."""

    def __init__(self, settings: IngestSettings, owner: Owner, worker: Process) -> None:
        self.settings = settings
        self.owner = owner
        self.worker = worker
        self._broker: HardenedRedisBroker = create_broker(settings)

    def ingest(self, name: str, media_type: str, path: Path) -> UUID:
        """Upload the file without reading it whole, send its message, wait for its end.

        Raises TimeoutError, ProcessFailed.
        """
        owner, size = self.owner, path.stat().st_size
        file_id = owner.reserve(name, size, media_type)
        url = owner.objects.presign_put(
            f"uploads/{owner.id}/{file_id}",
            timedelta(minutes=5),
            media_type=media_type,
            size_bytes=size,
        )
        with path.open("rb") as stream:
            request = urllib.request.Request(url, data=stream, method="PUT")  # noqa: S310 - ours
            request.add_header("Content-Length", str(size))
            request.add_header("Content-Type", media_type)
            urllib.request.urlopen(request, timeout=300).close()  # noqa: S310 - loopback
        owner.confirm(file_id, sent=True)
        send(self._broker, IngestFile(file_id=str(file_id)))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            file = owner.file(file_id)
            if file is not None and file.status in FINAL:
                return file_id
            if self.worker.exit_code is not None:
                raise self.worker.failure(f"exited with code {self.worker.exit_code}")
            time.sleep(0.1)
        raise TimeoutError(f"{name} did not end within {_PATIENCE_SECONDS:.0f} s.")


@contextmanager
def workplace(folder: Path) -> Iterator[Workplace]:
    """Everything that an ingest worker needs, and one that is warm."""
    with (
        Stack(folder / "stack", environ={}, postgres_settings={"fsync": "off"}) as stack,
        Processes(log_directory=folder / "logs") as processes,
    ):
        environment = {**without_docmill(os.environ), **stack.environment(), **_SETTINGS}
        with mock.patch.dict("os.environ", environment, clear=True):
            settings = IngestSettings.load()
        engine = create_engine(settings, "docmill-bench")
        migrate.upgrade(engine)
        owner = new_owner(engine, S3ObjectStore(settings))
        argv = [sys.executable, "-m", "dramatiq", "docmill_ingest.worker"]
        argv += ["--processes", "1", "--threads", "2"]
        worker = processes.start("ingest", argv, env=environment, ready_line="ready for messages")
        processes.wait_ready()
        small = folder / "small"
        small.write_text("A first file, so that everything is loaded.")
        place = Workplace(settings, owner, worker)
        place.ingest("small.txt", "text/plain", small)
        try:
            yield place
        finally:
            engine.dispose()


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(prog="make bench-memory", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="0.1 for files a tenth as large")
    scale = parser.parse_args().scale
    console = Console(width=80, highlight=False)
    try:
        with (
            end_on_signals(),
            tempfile.TemporaryDirectory(prefix="docmill-bench-") as folder,
            workplace(Path(folder)) as place,
        ):
            with watched(place.worker.pid) as idle:
                time.sleep(1)
            outcomes = [Outcome("(idle, warm)", 0, "", True, 1.0, 0, idle)]
            for file in large_files(scale):
                with console.status(file.name):
                    outcomes.append(_measure(place, file, Path(folder) / "file"))
            cap = place.settings.extraction_memory_bytes
    except (StackError, ProcessFailed, TimeoutError) as error:
        console.print(str(error), style="red")
        return 1
    console.print(_table(outcomes))
    broken = [sentence for each in outcomes for sentence in _broken(each, cap)]
    for sentence in broken:
        console.print(sentence, style="red")
    if not broken:
        console.print(f"The worker stays below 300 MB, a child below {cap / _MEGABYTE:,.0f} MB.")
    return 1 if broken else 0


def _measure(place: Workplace, file: LargeFile, path: Path) -> Outcome:
    file.write(path)
    size = path.stat().st_size
    with watched(place.worker.pid) as peaks:
        started = time.monotonic()
        file_id = place.ingest(file.name, file.media_type.name, path)
        seconds = time.monotonic() - started
    row = place.owner.file(file_id)
    assert row is not None
    end = row.status if row.failure_reason is None else f"{row.status} ({row.failure_reason})"
    as_expected = row.status == file.expected
    return Outcome(file.name, size, end, as_expected, seconds, row.chunk_count or 0, peaks)


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(
        title="Peaks in MB: worker and child resident, all by PSS",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("file", min_width=18)
    for name in ("size", "s", "chunks", "worker", "child", "all"):
        table.add_column(name, justify="right")
    table.add_column("ends")
    for each in outcomes:
        peaks = each.peaks
        table.add_row(
            each.name,
            f"{each.size_bytes / _MEGABYTE:,.0f}",
            f"{each.seconds:,.0f}",
            f"{each.chunks:,}",
            *(f"{peak / _MEGABYTE:,.0f}" for peak in (peaks.parent, peaks.child, peaks.all_pss)),
            each.end,
        )
    return table


def _broken(outcome: Outcome, cap: int) -> list[str]:
    """A sentence for each promise that this file broke."""
    peaks = outcome.peaks
    sentences = []
    if peaks.parent > PARENT_BOUND:
        sentences.append(f"{outcome.name}: the worker took {peaks.parent / _MEGABYTE:,.0f} MB.")
    if peaks.child > cap:
        sentences.append(f"{outcome.name}: a child took {peaks.child / _MEGABYTE:,.0f} MB.")
    if not outcome.as_expected:
        sentences.append(f"{outcome.name} ended {outcome.end}.")
    return sentences


if __name__ == "__main__":
    sys.exit(main())
