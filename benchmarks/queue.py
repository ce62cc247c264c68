"""Latency and throughput of docmill's queue beside stock Dramatiq and BullMQ, in one run.

``python -m benchmarks.queue [--messages 200] [--prefilled 20000] [--rounds 3]``, or
``make bench-queue``. Ends with status 1 if docmill's latency is worse than BullMQ's or its
throughput below stock Dramatiq's.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks import queue_report
from benchmarks.queue_contenders import (
    BULLMQ,
    BullMQ,
    Dramatiq,
    Schedule,
    forget,
    results,
    wait_for,
    working,
)
from docmill_dev.processes import Processes, ProcessFailed, end_on_signals
from docmill_dev.stack import Stack

_INTERVAL_SECONDS = 0.5
#: The first messages load scripts and open connections; they are sent and not counted.
_WARM_UP = 5
_LEAD_SECONDS = 2.0
#: A drain that is slower than this many messages a second is not waited for.
_SLOWEST = 50
Contenders = Sequence[Dramatiq | BullMQ]


def main() -> int:
    """Run what the command line asks for; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description=__doc__)
    parser.add_argument("--messages", type=int, default=200, help="sent 500 ms apart, to each")
    parser.add_argument("--prefilled", type=int, default=20_000, help="worked off in a drain")
    parser.add_argument("--rounds", type=int, default=3, help="drains of each; the median counts")
    options = parser.parse_args()
    console = Console(width=80, highlight=False)
    try:
        with end_on_signals(), ExitStack() as stack:
            contenders, processes = _prepare(stack)
            latencies = _latencies(contenders, processes, options.messages, console)
            rates = _rates(contenders, processes, options.prefilled, options.rounds, console)
    except (RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
        console.print(str(error), style="red")
        return 1
    return queue_report.show(console, latencies, rates)


def _prepare(stack: ExitStack) -> tuple[Contenders, Processes]:
    """A Valkey of our own, and the three contenders, each with a database in it."""
    node = shutil.which("node")
    if node is None:
        raise ProcessFailed("Node 20 or newer is needed for BullMQ's side; there is no `node`.")
    if not (BULLMQ / "node_modules" / "bullmq").is_dir():
        subprocess.run(["npm", "ci", "--no-progress"], cwd=BULLMQ, check=True, timeout=300)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="docmill-bench-")))
    elsewhere = {"DATABASE_URL": "postgresql://elsewhere/x", "S3_ENDPOINT": "http://elsewhere"}
    valkey = stack.enter_context(Stack(folder / "stack", environ=elsewhere))
    server = valkey.environment()["REDIS_URL"].rpartition("/")[0]
    processes = stack.enter_context(Processes(log_directory=folder / "logs"))
    contenders = (
        Dramatiq("docmill", "hardened", f"{server}/0", folder / "docmill"),
        Dramatiq("stock Dramatiq", "stock", f"{server}/1", folder / "stock"),
        BullMQ(node, f"{server}/2", folder / "bullmq", processes),
    )
    return contenders, processes


def _latencies(
    contenders: Contenders, processes: Processes, messages: int, console: Console
) -> dict[str, list[float]]:
    """From just before the enqueue to the first line of the job, in milliseconds, sorted.

    All three idle side by side, and get their messages in turn, so that whatever else the
    machine does meets all of them.
    """
    count = messages + _WARM_UP
    console.print(
        f"{messages} messages to each of {len(contenders)} idle workers, "
        f"{_INTERVAL_SECONDS * 1000:.0f} ms apart, takes {count * _INTERVAL_SECONDS:.0f} s"
    )
    interval = int(_INTERVAL_SECONDS * 1e9)
    with ExitStack() as stack:
        for each in contenders:
            forget(each)
            stack.enter_context(working(each, processes))
        start = time.monotonic_ns() + int(_LEAD_SECONDS * 1e9)
        senders = [
            threading.Thread(
                target=each.send,
                args=(Schedule(start + place * interval // len(contenders), interval, count),),
                name=f"sender to {each.name}",
                daemon=True,
            )
            for place, each in enumerate(contenders)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(count * _INTERVAL_SECONDS + 90)
        for each in contenders:
            wait_for(partial(_has_all, each, count), 30, f"all jobs of {each.name}")
        return {
            each.name: sorted(value / 1e6 for value in results(each)[_WARM_UP:])
            for each in contenders
        }


def _has_all(contender: Dramatiq | BullMQ, count: int) -> bool:
    return len(results(contender)) >= count


def _rates(
    contenders: Contenders, processes: Processes, prefilled: int, rounds: int, console: Console
) -> dict[str, list[float]]:
    """Jobs a second of each drain, from the start of the first job to that of the last."""
    console.print(f"{prefilled:,} jobs that do nothing, {rounds} drains of each, in turn")
    rates: dict[str, list[float]] = {each.name: [] for each in contenders}
    for number in range(rounds):
        # Not always in the same order: the machine may be slower later on.
        for each in contenders if number % 2 == 0 else tuple(reversed(contenders)):
            forget(each)
            each.fill(prefilled)
            with working(each, processes, total=prefilled):
                patience = 30 + prefilled / _SLOWEST
                wait_for(partial(results, each), patience, f"a drain of {each.name}")
            rates[each.name].append(prefilled / results(each)[0] * 1e9)
            console.print(f"  {each.name:<15} {rates[each.name][-1]:7,.0f} jobs/s")
    return rates


if __name__ == "__main__":
    sys.exit(main())
