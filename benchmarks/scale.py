"""How ingestion scales with the number of worker processes, and what half a fleet's death costs.

``python -m benchmarks.scale`` or ``make scale``. Real workers, janitor, Postgres, Valkey and S3;
the provider is the emulator, 50 ms a call, without a quota. All figures are of one run on one
machine: compare them with each other, not with those of another machine.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import scale_report
from benchmarks.scale_fleet import ScaledSystem
from benchmarks.scale_usage import Usage, measured
from docmill_dev.processes import ProcessFailed, end_on_signals
from docmill_dev.stack import StackError
from tests.chaos.ground import LATENCY_MS, Ground
from tests.migration.traffic import wrong

#: The first fleet's round, from which the others' number of files follows.
_FIRST_FILES = 80
#: Nobody expects more of twice the workers.
_GROWTH = 2
_LONGEST_ROUND_SECONDS = 120.0


@dataclass(frozen=True)
class Round:
    """One size of the fleet."""

    processes: int
    files: int
    files_per_second: float
    usage: Usage

    @property
    def others(self) -> float:
        """Cores that other programs used meanwhile."""
        return max(0.0, self.usage.machine - sum(self.usage.cores.values()))


@dataclass(frozen=True)
class Deaths:
    """What came of killing half of the workers at once."""

    killed: int
    of: int
    files: int
    interrupted: int  #: files that a killed worker had in hand
    recovered_seconds: float  #: from the kill until the last of them was done
    all_seconds: float  #: from the kill until every file was done
    wrong: list[str]  #: a sentence for each file that is lost, doubled or different


def main() -> int:
    """Run it; 0 if nothing was lost."""
    parser = argparse.ArgumentParser(prog="make scale")
    parser.add_argument("--processes", default="1,2,4,8", help="sizes of the fleet, growing")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--seconds", type=float, default=15.0, help="of load for each size")
    parser.add_argument("--passes", type=int, default=2, help="the less disturbed one counts")
    parser.add_argument("--files", type=int, help="for each size, instead of a time")
    parser.add_argument("--quick", action="store_true", help="two sizes, a few seconds each")
    options = parser.parse_args()
    sizes = [1, 2] if options.quick else [int(each) for each in options.processes.split(",")]
    seconds = min(options.seconds, 5.0) if options.quick else options.seconds
    console = Console(width=80, highlight=False)
    console.print(
        f"{os.cpu_count()} cores; provider {LATENCY_MS:g} ms a call, no quota;"
        f" {options.threads} thread(s) a process; one call a file"
    )
    try:
        with (
            end_on_signals(),
            tempfile.TemporaryDirectory(prefix="docmill-scale-") as folder,
            Ground(Path(folder)) as ground,
        ):
            system = ScaledSystem(ground, options.threads)
            try:
                best: dict[int, Round] = {}
                for size in sizes * (1 if options.quick else options.passes):
                    files = options.files or _files(best, size, seconds)
                    this = _round(system, size, files, console)
                    # Whatever else the machine does meanwhile is not what is measured.
                    best[size] = min(best.get(size, this), this, key=lambda each: each.others)
                rounds = [best[size] for size in sizes]
                deaths = _kill_half(system, rounds[-1], seconds, console)
            finally:
                system.engine.dispose()
    except (StackError, ProcessFailed, TimeoutError) as error:
        console.print(str(error), style="red")
        return 1
    return scale_report.show(console, rounds, deaths)


def _files(best: Mapping[int, Round], size: int, seconds: float) -> int:
    """As many as take about so many seconds."""
    if not best:
        return _FIRST_FILES
    nearest = best.get(size, list(best.values())[-1])
    growth = min(size / nearest.processes, _GROWTH)
    return max(size * 20, round(nearest.files_per_second * growth * seconds))


def _round(system: ScaledSystem, size: int, files: int, console: Console) -> Round:
    with _progress(console, f"fleet of {size}: starting") as told:
        told(total=None)
        system.resize(size)
    system.ground.forget_calls()
    with _progress(console, f"fleet of {size}: uploading") as told:
        told(total=files)
        before = len(system.finished())
        system.load(files, lambda more: told(advance=more))
    with _progress(console, f"fleet of {size}") as told:
        told(total=files)
        with measured(system.groups(), system.in_flight) as usage:
            # Until there is less work than workers.
            system.settle(
                _LONGEST_ROUND_SECONDS,
                lambda left: told(completed=files - left),
                down_to=size * system.threads,
            )
        system.settle(60, lambda left: told(completed=files - left))
    # Without the ends: at the first, workers wait for files, at the last, some have none.
    times = [row.at for row in system.finished()[before:]]
    first, last = len(times) // 10, len(times) - 1 - len(times) // 10
    return Round(size, files, (last - first) / (times[last] - times[first]), usage)


def _kill_half(system: ScaledSystem, fleet: Round, seconds: float, console: Console) -> Deaths:
    files = round(fleet.files_per_second * max(seconds, 8.0))
    with _progress(console, "killing half: uploading") as told:
        told(total=files)
        system.load(files, lambda more: told(advance=more))
    with _progress(console, "killing half, restarting none") as told:
        told(total=files)
        system.settle(
            _LONGEST_ROUND_SECONDS, lambda left: told(completed=files - left), files * 3 // 4
        )
        victims = list(system.workers)[: max(1, len(system.workers) // 2)]
        # With one worker in the fleet there would be nobody left to show anything.
        victims = victims if len(system.workers) > 1 else []
        killed_at = time.time()
        system.kill(victims)
        in_hand = system.in_hand()
        system.settle(_LONGEST_ROUND_SECONDS * 2, lambda left: told(completed=files - left))
    done = system.finished()
    # The survivors' files are done as they were begun; the others were begun again.
    interrupted = [row.at for row in done if in_hand.get(row.id, row.started_at) < row.started_at]
    return Deaths(
        killed=len(victims),
        of=len(victims) + len(system.workers),
        files=files,
        interrupted=len(interrupted),
        recovered_seconds=max([at - killed_at for at in interrupted], default=0.0),
        all_seconds=done[-1].at - killed_at,
        wrong=wrong(system.engine, system.uploaded),
    )


@contextmanager
def _progress(console: Console, what: str) -> Iterator[Callable[..., None]]:
    """A bar; what it gives takes ``total``, ``completed`` and ``advance``."""
    columns = (
        TextColumn("{task.description:<30}"),
        BarColumn(bar_width=14),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what)
        yield lambda **changes: progress.update(task, **changes)


if __name__ == "__main__":
    sys.exit(main())
