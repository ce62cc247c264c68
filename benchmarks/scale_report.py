"""The tables of ``benchmarks.scale``, and what is at its limit in them."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks.scale_fleet import LEASE_SECONDS
from benchmarks.scale_usage import EXTRACTION

if TYPE_CHECKING:
    from benchmarks.scale import Deaths, Round

_WIDTH = 78
_BAR = 40
#: Of all cores: more than this and everybody waits for a core now and then.
_FULL = 0.9
#: Cores that others may use without a word about it.
_NOISE = 0.2
_GROUPS = ("workers", EXTRACTION, "provider", "janitor", "Postgres", "Valkey", "S3", "benchmark")


def show(console: Console, rounds: Sequence["Round"], deaths: "Deaths") -> int:
    """Print everything; the exit status: 1 if a file was lost, doubled or is different."""
    console.print()
    console.print(_speeds(rounds))
    console.print(_bars(rounds))
    console.print(_cores(rounds))
    for each in rounds:
        console.print(f"{_processes(each)}: {limit(each)}")
    console.print(_cost(rounds))
    noise = max(each.others for each in rounds)
    if noise > _NOISE:
        console.print(
            f"Other programs used up to {noise:.1f} cores meanwhile: the speeds are lower and"
            " less even than on an idle machine.",
            style="yellow",
        )
    console.print()
    console.print(
        f"kill -9 of {deaths.killed} of {deaths.of} processes under load, none restarted:"
        f" {deaths.interrupted} of {deaths.files} files"
    )
    console.print(
        f"were interrupted; the last of them was done {deaths.recovered_seconds:.1f} s later,"
        f" all files {deaths.all_seconds:.1f} s"
    )
    console.print(f"later (LEASE_SECONDS={LEASE_SECONDS}; the default is 30).")
    for sentence in deaths.wrong[:20]:
        console.print(sentence, style="red")
    if not deaths.wrong:
        console.print("Every file is COMPLETED with its own passages, each once.", style="green")
    return 1 if deaths.wrong else 0


def _processes(each: "Round") -> str:
    return f"{each.processes} process{'es' if each.processes > 1 else ''}"


def limit(each: "Round") -> str:
    """What keeps this fleet from doing more, as far as processor times tell."""
    cores = os.cpu_count() or 1
    if each.usage.machine >= _FULL * cores:
        largest = sorted(each.usage.cores, key=lambda group: -each.usage.cores[group])[:2]
        named = " and ".join(f"{group} {each.usage.cores[group]:.2f}" for group in largest)
        whose = f", {each.others:.2f} of it by others" if each.others > 0.1 else ""
        return f"the processors are at their limit{whose}; most use {named}."
    # One thread each: they cannot use a second core.
    for group in ("provider", "Valkey"):
        if each.usage.cores.get(group, 0.0) >= _FULL:
            return f"{group} is at its limit, one core."
    return (
        f"waits for the provider: {each.usage.in_flight:.1f} calls in flight on average, "
        f"{each.usage.machine:.1f} of {cores} cores busy."
    )


def _cost(rounds: Sequence["Round"]) -> str:
    """Does not depend on who else is there, unlike the speeds."""
    files = sum(each.files_per_second * each.usage.seconds for each in rounds)

    def milliseconds(*groups: str) -> float:
        return sum(
            each.usage.cores.get(group, 0.0) * each.usage.seconds * 1000
            for each in rounds
            for group in groups
        ) / max(1.0, files)

    everything, workers = milliseconds(*_GROUPS), milliseconds("workers", EXTRACTION)
    return (
        f"A file costs {everything:.0f} ms of processor time, {workers:.0f} ms of it in the "
        f"workers; {os.cpu_count()} cores can do {(os.cpu_count() or 1) * 1000 / everything:.0f} "
        "files/s at most."
    )


def _speeds(rounds: Sequence["Round"]) -> Table:
    table = Table(title="Files a second by number of ingest processes", width=_WIDTH)
    for heading in ("processes", "files", "files/s", "speed-up", "efficiency", "calls in flight"):
        table.add_column(heading, justify="right")
    first = rounds[0]
    for each in rounds:
        ratio = each.files_per_second / first.files_per_second
        table.add_row(
            f"{each.processes}",
            f"{each.files}",
            f"{each.files_per_second:.1f}",
            f"{ratio:.2f}",
            f"{ratio * first.processes / each.processes:.0%}",
            f"{each.usage.in_flight:.1f}",
        )
    return table


def _bars(rounds: Sequence["Round"]) -> Table:
    """Beside each bar, a dot where the first fleet's speed for each process would be."""
    table = Table(title="files/s; the dot is perfect scaling", width=_WIDTH)
    table.add_column("processes", justify="right", width=9)
    table.add_column("", width=_BAR + 10)
    perfect = [rounds[0].files_per_second * each.processes / rounds[0].processes for each in rounds]
    longest = max([*perfect, *(each.files_per_second for each in rounds)])
    for each, goal in zip(rounds, perfect, strict=True):
        length = max(1, round(each.files_per_second / longest * _BAR))
        dot = max(1, round(goal / longest * _BAR))
        bar = "█" * length + " " * max(0, dot - length - 1) + ("·" if dot > length else "")
        table.add_row(f"{each.processes}", f"{bar} {each.files_per_second:.1f}")
    return table


def _cores(rounds: Sequence["Round"]) -> Table:
    table = Table(title=f"Cores in use, of {os.cpu_count()}", width=_WIDTH)
    table.add_column("processes", width=12)
    for each in rounds:
        table.add_column(f"{each.processes}", justify="right")
    for group in _GROUPS:
        table.add_row(group, *(f"{each.usage.cores.get(group, 0.0):.2f}" for each in rounds))
    table.add_row("others", *(f"{each.others:.2f}" for each in rounds))
    table.add_row("all", *(f"{each.usage.machine:.2f}" for each in rounds), style="bold")
    return table
