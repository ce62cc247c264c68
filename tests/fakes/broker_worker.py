"""A worker process for tests of the broker: ``python -m tests.fakes.broker_worker``.

Arguments: the kind of broker ("hardened" or "stock"), Redis' URL, a file to which every event is
appended as a line, the heartbeat time-out in milliseconds, by how many seconds this process' clock
is ahead, and how often out of a million commands the stock broker looks for dead workers.
"""

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

import dramatiq
import redis
from dramatiq.brokers import redis as redis_module
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from dramatiq.middleware import Retries
from redis.backoff import NoBackoff
from redis.retry import Retry

from docmill_shared.broker import HardenedRedisBroker
from docmill_shared.broker.handover import HandOverOnShutdown, PrefetchWhatRuns


def make_broker(
    kind: str, url: str, *, heartbeat_timeout: int = 15_000, maintenance_chance: int = 1_000
) -> RedisBroker:
    """A broker of this kind, both with the same client: one that gives up quickly."""
    client = redis.Redis.from_url(
        url, socket_connect_timeout=2, socket_timeout=5, retry=Retry(NoBackoff(), 0)
    )
    if kind == "stock":
        return RedisBroker(  # type: ignore[no-untyped-call]
            client=client,
            heartbeat_timeout=heartbeat_timeout,
            maintenance_chance=maintenance_chance,
        )
    return HardenedRedisBroker(
        client=client,
        middleware=[Retries(max_retries=3), PrefetchWhatRuns(), HandOverOnShutdown()],
        heartbeat_timeout=heartbeat_timeout,
    )


def declare(broker: RedisBroker, events: Path) -> None:
    """Actors that say what happens to them in ``events``."""

    def note(what: str) -> None:
        with events.open("a") as stream:
            stream.write(f"{what}\n")

    @dramatiq.actor(broker=broker, actor_name="note")
    def note_actor(what: str) -> None:
        note(what)

    @dramatiq.actor(broker=broker, actor_name="slow")
    def slow(what: str, seconds: float) -> None:
        note(f"begin {what}")
        time.sleep(seconds)
        note(f"end {what}")

    @dramatiq.actor(broker=broker, actor_name="held")
    def held(what: str, until: str) -> None:
        note(f"begin {what}")
        while not Path(until).exists():
            time.sleep(0.02)
        note(f"end {what}")

    @dramatiq.actor(broker=broker, actor_name="fail_once", min_backoff=200, max_backoff=300)
    def fail_once(what: str, until: str) -> None:
        note(f"run {what}")
        while not Path(until).exists():
            time.sleep(0.02)
        if events.read_text().count(f"run {what}\n") == 1:
            raise RuntimeError("on purpose")
        note(f"done {what}")

    @dramatiq.actor(broker=broker, actor_name="suicide")
    def suicide(what: str) -> None:
        note(f"killed by {what}")
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Consume until SIGTERM."""
    kind, url, events, heartbeat_timeout, ahead, maintenance_chance = sys.argv[1:]
    logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
    if float(ahead):
        shift = int(float(ahead) * 1000)
        redis_module.__dict__["current_millis"] = lambda: current_millis() + shift
    broker = make_broker(
        kind,
        url,
        heartbeat_timeout=int(heartbeat_timeout),
        maintenance_chance=int(maintenance_chance),
    )
    declare(broker, Path(events))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    print("ready", flush=True)
    stop.wait()
    worker.stop()


if __name__ == "__main__":
    main()
