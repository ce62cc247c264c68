"""What each group of processes uses of the machine's cores, and how many calls are in flight."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean

import psutil

_EVERY_SECONDS = 0.5
#: Stands in the command line of an extraction child.
_CHILD = "docmill_ingest.extraction_child"
EXTRACTION = "extraction"


@dataclass
class Usage:
    """Of one stretch of time. Cores are CPU seconds per second."""

    seconds: float = 0.0
    #: Cores by group of processes.
    cores: dict[str, float] = field(default_factory=dict)
    #: Cores of the whole machine, whoever uses them.
    machine: float = 0.0
    #: Calls that the provider had in hand, on average.
    in_flight: float = 0.0


@contextmanager
def measured(groups: Mapping[str, list[int]], in_flight: Callable[[], int]) -> Iterator[Usage]:
    """A usage that is filled in when the context ends.

    ``groups``: the roots of each group's processes. What they start belongs to it, unless it is
    the root of another; the extraction children of workers are a group of their own.
    """
    usage, samples, done = Usage(), [], threading.Event()

    def sample() -> None:
        while not done.wait(_EVERY_SECONDS):
            samples.append(in_flight())

    sampler = threading.Thread(target=sample, daemon=True)
    before = _seconds(groups)
    began, busy = time.monotonic(), _busy()
    sampler.start()
    try:
        yield usage
    finally:
        usage.seconds, busy = time.monotonic() - began, _busy() - busy
        for (group, process), seconds in _seconds(groups).items():
            used = (seconds - before.get((group, process), 0.0)) / usage.seconds
            usage.cores[group] = usage.cores.get(group, 0.0) + used
        usage.machine = busy / usage.seconds
        done.set()
        sampler.join()
        usage.in_flight = fmean(samples) if samples else 0.0


def _seconds(groups: Mapping[str, list[int]]) -> dict[tuple[str, psutil.Process], float]:
    """CPU seconds so far of every process, which belongs to the nearest root above it."""
    group_of = {root: group for group, roots in groups.items() for root in roots}
    processes = {each.pid: each for each in psutil.process_iter(["ppid", "cpu_times", "cmdline"])}
    found = {}
    for pid, process in processes.items():
        above: int | None = pid
        while above is not None and above not in group_of:
            above = processes[above].info["ppid"] if above in processes else None
        times = process.info["cpu_times"]
        if above is not None and times is not None:
            extracts = _CHILD in (process.info["cmdline"] or ())
            group = EXTRACTION if extracts else group_of[above]
            found[group, process] = times.user + times.system
    return found


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - _counted_twice(times))


def _counted_twice(times: object) -> float:
    """Linux counts the time of guests in that of user and nice as well."""
    return float(getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0))
