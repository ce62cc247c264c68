"""Peaks of memory of a worker and of its extraction children, while they work.

Used by :mod:`benchmarks.memory` and by ``tests/integration/ingest/test_memory.py``. Linux only.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import psutil

from docmill_ingest.child_process import CHILD_MODULE

_INTERVAL_SECONDS = 0.05
#: Reading PSS walks the page tables; every fifth sample is enough.
_PSS_EVERY = 5
_RESET_PEAK = "5"  # proc(5), /proc/pid/clear_refs


@dataclass
class Peaks:
    """Bytes. ``parent`` and ``child`` are of the largest single process of their kind.

    Resident peaks are the kernel's own (VmHWM), so nothing falls between two samples.
    """

    parent: int = 0
    child: int = 0
    parent_pss: int = 0  #: what the worker's processes hold together, shared pages divided
    all_pss: int = 0  #: the same with the extraction children


@contextmanager
def watched(worker_pid: int) -> Iterator[Peaks]:
    """Inside the block the peaks are kept up to date, 20 times a second.

    ``worker_pid`` is the process that was started (``dramatiq``); all its descendants count.
    """
    peaks = Peaks()
    for process in _descendants(worker_pid):
        with suppress(OSError):
            Path(f"/proc/{process.pid}/clear_refs").write_text(_RESET_PEAK)
    ended = threading.Event()
    sampler = threading.Thread(
        target=_sample, args=(worker_pid, peaks, ended), name="memory", daemon=True
    )
    sampler.start()
    try:
        yield peaks
    finally:
        ended.set()
        sampler.join(timeout=5)


def _sample(worker_pid: int, peaks: Peaks, ended: threading.Event) -> None:
    turn = 0
    while True:
        last = ended.wait(_INTERVAL_SECONDS)
        parent_pss = child_pss = 0
        wants_pss = last or turn % _PSS_EVERY == 0
        turn += 1
        for process in _descendants(worker_pid):
            with suppress(psutil.Error, OSError, StopIteration):
                resident = _high_water(process.pid)
                pss = _pss(process.pid) if wants_pss else 0
                if CHILD_MODULE in process.cmdline():
                    peaks.child = max(peaks.child, resident)
                    child_pss += pss
                else:
                    peaks.parent = max(peaks.parent, resident)
                    parent_pss += pss
        peaks.parent_pss = max(peaks.parent_pss, parent_pss)
        peaks.all_pss = max(peaks.all_pss, parent_pss + child_pss)
        if last:
            return


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *cast(list[psutil.Process], process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _high_water(pid: int) -> int:
    """The most that the process has had in memory since its peak was reset."""
    return _field(Path(f"/proc/{pid}/status"), "VmHWM:")


def _pss(pid: int) -> int:
    return _field(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")


def _field(path: Path, name: str) -> int:
    """A field of kilobytes, in bytes; raises StopIteration where the process is going away."""
    line = next(line for line in path.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
