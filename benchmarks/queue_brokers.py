"""The two Dramatiq brokers that ``benchmarks.queue`` compares, and the actors that both run.

Used by the sending side and by :mod:`benchmarks.queue_worker`, so that both mean the same.
"""

import itertools
import time
from pathlib import Path

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from pydantic import SecretStr

from docmill_shared.broker import create_broker
from docmill_shared.settings import ServiceSettings

QUEUE = "bench"


def make_broker(kind: str, url: str) -> RedisBroker:
    """``hardened``: as docmill's services make it; ``stock``: as Dramatiq's documentation does."""
    if kind == "stock":
        return RedisBroker(url=url)  # type: ignore[no-untyped-call]
    return create_broker(
        ServiceSettings(
            redis_url=url,
            s3_endpoint="http://unused",
            s3_access_key="unused",
            s3_secret_key=SecretStr("unused-by-this-part"),
        )
    )


def declare(broker: RedisBroker, results: Path, total: int) -> None:
    """The actors.

    ``note(sent)`` appends the nanoseconds since ``sent`` to ``results``; the clock is the
    machine's monotonic one, which every process (Node's too) reads alike. ``nothing()`` does
    nothing; the ``total``-th appends the nanoseconds since the first.
    """
    count = itertools.count(1)
    begun_at = [0]

    def write(nanoseconds: int) -> None:
        with results.open("a") as stream:
            stream.write(f"{nanoseconds}\n")

    @dramatiq.actor(broker=broker, queue_name=QUEUE)
    def note(sent: int) -> None:
        write(time.monotonic_ns() - sent)

    @dramatiq.actor(broker=broker, queue_name=QUEUE)
    def nothing() -> None:
        number = next(count)
        if number == 1:
            begun_at[0] = time.monotonic_ns()
        elif number == total:
            write(time.monotonic_ns() - begun_at[0])
