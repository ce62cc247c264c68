"""The three queues in ``benchmarks.queue``: how each is sent to, filled and worked off.

Each has a database of its own in one Valkey, and one worker process of ``THREADS`` threads
(BullMQ: of that concurrency).
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import redis
from dramatiq.brokers.redis import RedisBroker

from benchmarks.queue_brokers import declare, make_broker
from docmill_dev.processes import Processes

THREADS = 8
BULLMQ = Path(__file__).with_name("bullmq")
_ROOT = Path(__file__).parents[1]
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Schedule:
    """When messages are sent: ``count`` of them, from ``first_at`` (monotonic) on."""

    first_at: int  #: nanoseconds
    interval: int  #: nanoseconds
    count: int

    def times(self) -> Iterator[int]:
        """Wait for each moment, then yield its number."""
        for number in range(self.count):
            due = self.first_at + number * self.interval
            time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
            yield number


class Contender(Protocol):
    """One queue under comparison."""

    name: str

    def worker(self, total: int) -> tuple[list[str], Mapping[str, str], str]:
        """Its worker's command and environment, and the line that says that it is ready."""

    def send(self, schedule: Schedule) -> None:
        """Send ``note`` at each moment of the schedule; returns after the last."""

    def fill(self, count: int) -> None:
        """Send ``nothing`` this often, as fast as it goes."""


class Dramatiq:
    """Either broker of :mod:`benchmarks.queue_brokers`."""

    def __init__(self, name: str, kind: str, url: str, results: Path) -> None:
        self.name = name
        self.url = url
        self.results = results
        self._kind = kind
        self._broker: RedisBroker = make_broker(kind, url)
        declare(self._broker, results, 0)

    def worker(self, total: int) -> tuple[list[str], Mapping[str, str], str]:
        """See :class:`Contender`."""
        argv = [sys.executable, "-m", "dramatiq", "benchmarks.queue_worker"]
        argv += ["--processes", "1", "--threads", str(THREADS)]
        environment = {
            "PYTHONPATH": str(_ROOT),
            "BENCH_BROKER": self._kind,
            "BENCH_REDIS_URL": self.url,
            "BENCH_RESULTS": str(self.results),
            "BENCH_TOTAL": str(total),
        }
        return argv, environment, "Worker process is ready for action"

    def send(self, schedule: Schedule) -> None:
        """See :class:`Contender`."""
        note = self._broker.get_actor("note")
        for _ in schedule.times():
            note.send(time.monotonic_ns())

    def fill(self, count: int) -> None:
        """See :class:`Contender`."""
        nothing = self._broker.get_actor("nothing")
        for _ in range(count):
            nothing.send()


class BullMQ:
    """BullMQ from npm, on Node."""

    name = "BullMQ"

    def __init__(self, node: str, url: str, results: Path, processes: Processes) -> None:
        self.url = url
        self.results = results
        self._node = node
        self._processes = processes

    def worker(self, total: int) -> tuple[list[str], Mapping[str, str], str]:
        """See :class:`Contender`."""
        argv = [self._node, str(BULLMQ / "worker.js"), self.url, str(self.results)]
        return [*argv, str(THREADS), str(total)], {}, "ready"

    def send(self, schedule: Schedule) -> None:
        """See :class:`Contender`."""
        patience = schedule.count * schedule.interval / 1e9 + _START_SECONDS
        numbers = (schedule.count, schedule.interval, schedule.first_at)
        self._run(patience, "note", *map(str, numbers))

    def fill(self, count: int) -> None:
        """See :class:`Contender`."""
        self._run(_START_SECONDS + count / 500, "nothing", str(count))

    def _run(self, patience: float, *arguments: str) -> None:
        argv = [self._node, str(BULLMQ / "sender.js"), self.url, *arguments]
        process = self._processes.start("bullmq-sender", argv, env={})
        process.stopped = True  # it ends by itself, and is no failure then
        wait_for(lambda: process.exit_code is not None, patience, "BullMQ's sender to end")
        if process.exit_code not in {0, -signal.SIGTERM}:  # asked to end: the run is broken off
            raise process.failure(f"exited with code {process.exit_code}")


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Return once it holds. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds:.0f} s in vain for {what}.")
        time.sleep(0.05)


@contextmanager
def working(
    contender: Dramatiq | BullMQ, processes: Processes, *, total: int = 0
) -> Iterator[None]:
    """The contender's worker runs inside the block."""
    argv, environment, ready = contender.worker(total)
    processes.start(contender.name, argv, env=environment, ready_line=ready)
    processes.wait_ready(_START_SECONDS)
    try:
        yield
    finally:
        processes.stop(contender.name)


def forget(contender: Dramatiq | BullMQ) -> None:
    """Empty the contender's database and its results."""
    with redis.Redis.from_url(contender.url) as client:
        client.flushdb()
    contender.results.write_text("")


def results(contender: Dramatiq | BullMQ) -> list[int]:
    """What its worker has written so far, in nanoseconds."""
    return [int(line) for line in contender.results.read_text().splitlines()]
