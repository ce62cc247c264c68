"""What an operator sees of the queues and the workers, and the pausing of a queue.

Figures are read in one turn of Redis, so they belong together, and their cost does not grow with
the length of a queue.

That a queue is paused is known to Redis only: a Redis that loses its data forgets it, together with
the messages that waited.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import redis
from dramatiq import Message
from dramatiq.errors import DecodeError

from docmill_shared.broker import HardenedRedisBroker, QueueUnavailable
from docmill_shared.messages import QUEUES


@dataclass(frozen=True, slots=True)
class Figures:
    """One queue."""

    queue: str
    waiting: int
    in_progress: int  #: held by workers
    delayed: int  #: due later: retries after a pause
    dead: int
    oldest_seconds: float | None  #: age of the message whose turn is next
    paused_at: datetime | None


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """One worker process. One that died is listed until another notices, and so is what it held."""

    id: str
    silent_seconds: float
    alive: bool
    holds: dict[str, int]  #: messages by queue


@contextmanager
def redis_answers() -> Iterator[None]:
    """Turn every error of redis-py into :class:`QueueUnavailable`."""
    try:
        yield
    except redis.RedisError as error:
        raise QueueUnavailable("Redis did not answer.") from error


def figures(broker: HardenedRedisBroker) -> list[Figures]:
    """Every queue of docmill, then every other that was ever consumed.

    Raises:
        QueueUnavailable: Redis did not answer.
    """
    with redis_answers():
        now, *rows = broker.script("look", *QUEUES)
    return [
        Figures(
            queue=name.decode(),
            waiting=waiting,
            in_progress=in_progress,
            delayed=delayed,
            dead=dead,
            oldest_seconds=_age(message, now),
            paused_at=None if paused is None else moment(float(paused)),
        )
        for name, waiting, in_progress, delayed, dead, paused, message in rows
    ]


def workers(broker: HardenedRedisBroker) -> list[WorkerFigures]:
    """Every worker process, whatever it consumes; the one that was heard of last comes last.

    Raises:
        QueueUnavailable: Redis did not answer.
    """
    with redis_answers():
        now, *rows = broker.script("workers")
    found = []
    for worker, heartbeat, *held in rows:
        silent = max(0.0, now - float(heartbeat))
        holds = {name.decode(): count for name, count in zip(held[::2], held[1::2], strict=True)}
        alive = silent < broker.heartbeat_timeout
        found.append(WorkerFigures(worker.decode(), silent / 1000, alive, holds))
    return found


def pause(broker: HardenedRedisBroker, queue: str) -> bool:
    """Hand out nothing more of this queue until it is resumed; False when there is no such queue.

    Workers finish what they hold, go on telling that they live, and take over from dead ones.
    Messages may still be sent to the queue, and delayed ones that fall due join it. Pausing twice
    is harmless.

    Raises:
        QueueUnavailable: Redis did not answer.
    """
    return _set("pause", broker, queue)


def resume(broker: HardenedRedisBroker, queue: str) -> bool:
    """Hand out messages again, at once; False when there is no such queue.

    Raises:
        QueueUnavailable: Redis did not answer.
    """
    return _set("resume", broker, queue)


def is_known(broker: HardenedRedisBroker, queue: str) -> bool:
    """Whether this is a queue of docmill or one that was ever consumed.

    Raises:
        QueueUnavailable: Redis did not answer.
    """
    if queue in QUEUES:
        return True
    with redis_answers():
        consumed = broker.client.sismember(f"{broker.namespace}:__queues__", queue)
    return bool(consumed) and not queue.endswith(".DQ")


def clock(broker: HardenedRedisBroker) -> datetime:
    """The time by Redis' clock, by which letters die.

    Raises:
        QueueUnavailable: Redis did not answer.
    """
    with redis_answers():
        seconds, microseconds = broker.client.time()
    return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)


def moment(milliseconds: float) -> datetime:
    """A time of Redis' clock as this package writes it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _set(script: str, broker: HardenedRedisBroker, queue: str) -> bool:
    if not is_known(broker, queue):
        return False
    with redis_answers():
        broker.script(script, queue)
    return True


def _age(message: bytes | None, now: int) -> float | None:
    """Seconds since it was first sent; None when there is no message, or no reading it."""
    if message is None:
        return None
    try:
        return max(0.0, (now - int(Message.decode(message).message_timestamp)) / 1000)
    except (DecodeError, TypeError, ValueError):
        return None
