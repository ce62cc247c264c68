"""``python -m tests.chaos --minutes M --files N --seed S``: see the package.

It exits with 1 if a proof fails.
"""

import argparse
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from docmill_dev import terminal
from docmill_dev.processes import end_on_signals
from tests.chaos import corpus, report, scenario, schedule
from tests.chaos.docmill_system import SETTINGS, DocmillSystem
from tests.chaos.expectations import naively, undisturbed
from tests.chaos.ground import Ground
from tests.chaos.naive_system import NaiveSystem
from tests.chaos.report import Telling
from tests.chaos.scenario import Plan

#: Of the whole time, what starting, settling, the undisturbed run and stopping take.
_OVERHEAD_SECONDS = 120.0
_SHORTEST_PHASE_SECONDS = 20.0
_FILES_PER_SECOND = 10.0
_SETTLE_SECONDS = 120.0
#: The naive worker gets less: what it has not done by then hangs on retries hours away, or on none.
_NAIVE_SETTLE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class _Wish:
    minutes: float
    files: int | None
    seed: int
    naive: bool
    keep: Path | None


def main() -> int:
    """Run both and print; 0 if every proof holds for docmill."""
    wish = _read_arguments()
    console = terminal.output()
    started = time.monotonic()
    with end_on_signals():
        if wish.keep is not None:
            wish.keep.mkdir(parents=True, exist_ok=True)
            code = _run(wish, wish.keep, console)
        else:
            with tempfile.TemporaryDirectory(prefix="docmill-chaos-") as directory:
                code = _run(wish, Path(directory), console)
    console.print(f"Took {terminal.seconds(time.monotonic() - started)}.")
    return code


def _run(wish: _Wish, directory: Path, console: Console) -> int:
    phase = (wish.minutes * 60 - _OVERHEAD_SECONDS) / (2 if wish.naive else 1)
    phase = max(phase, _SHORTEST_PHASE_SECONDS)
    files = wish.files or round(phase * _FILES_PER_SECOND)
    faults = schedule.draw(wish.seed, phase)
    documents = corpus.build(files, wish.seed)
    console.print(
        f"Chaos with seed {wish.seed}: {files} files of {corpus.OWNERS} owners, and "
        f"{len(faults)} faults in {terminal.seconds(phase)}.\n"
    )
    for fault in faults:
        console.print(f"  {fault.at:6.1f} s  {fault}")
    console.print("\nSettings: " + ", ".join(f"{name}={value}" for name, value in SETTINGS.items()))

    naive = None
    with Ground(directory) as ground, Telling(console) as voice:
        console.print("\ndocmill")
        plan = Plan(documents, faults, phase, _SETTLE_SECONDS)
        with closing(DocmillSystem(ground, "chaos_docmill")) as system:
            expect = partial(undisturbed, system, voice=voice)
            docmill = scenario.run(ground, system, plan, expect, voice)
        if wish.naive:
            console.print("\nThe naive worker, with the same files and faults")
            plan = replace(plan, settle_seconds=_NAIVE_SETTLE_SECONDS)
            with closing(NaiveSystem(ground, "chaos_naive")) as rival:
                naive = scenario.run(ground, rival, plan, naively, voice)

    made = report.proofs(docmill, naive)
    console.print()
    console.print(report.table(made, docmill, naive))
    for line in report.summary(docmill, faults):
        console.print(line)
    good = report.holds(made)
    if not good:
        console.print("\nNot every proof holds for docmill.", style="bold red")
    console.print(f"\nAgain: make chaos MINUTES={wish.minutes:g} FILES={files} SEED={wish.seed}")
    return 0 if good else 1


def _read_arguments() -> _Wish:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=6.0, help="for everything, about (6)")
    parser.add_argument("--files", type=int, help="as many as the time is good for if not given")
    parser.add_argument("--seed", type=int, default=1, help="what breaks, and when (1)")
    parser.add_argument("--no-naive", action="store_true", help="docmill alone, for longer")
    parser.add_argument("--keep", type=Path, help="a folder that logs and data stay in")
    found = parser.parse_args()
    return _Wish(found.minutes, found.files, found.seed, not found.no_naive, found.keep)


if __name__ == "__main__":
    sys.exit(main())
