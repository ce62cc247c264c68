"""Dead letters: messages that failed for good, to be read, tried again or thrown away.

They are kept for a week (``DEAD_MESSAGE_TTL_MS``). One that nobody can decode is listed and deleted
like the others; only it cannot be tried again.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self
from uuid import uuid4

from dramatiq import Message
from dramatiq.errors import DecodeError

from docmill_shared.broker import HardenedRedisBroker
from docmill_shared.broker.queues import figures, moment, redis_answers

#: Letters that one turn of Redis revives.
_BATCH = 100
#: What Dramatiq notes about the attempts that failed; a new life has none.
_OF_PAST_ATTEMPTS = frozenset({"retries", "traceback", "requeue_timestamp", "eta"})
_UNREADABLE = "The message cannot be read."
_KILLER = "It was handed out again and again, and no worker came to an end with it."

#: Where a list goes on: behind the letter with this time of death (ms) and id.
Place = tuple[float, str]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that failed for good; of one that cannot be read, only the bytes are known."""

    id: str
    queue: str
    died_ms: float
    data: bytes
    message: Message[Any] | None

    @classmethod
    def of(cls, queue: str, dead_id: bytes, died_ms: float, data: bytes | None) -> Self:
        """As Redis has it."""
        message = _decoded(data or b"")
        return cls(dead_id.decode(errors="replace"), queue, died_ms, data or b"", message)

    @property
    def died_at(self) -> datetime:
        """When it was given up."""
        return moment(self.died_ms)

    @property
    def place(self) -> Place:
        """Where it stands in a list."""
        return self.died_ms, self.id

    @property
    def retries(self) -> int:
        """How often it was tried again."""
        found = self.message.options.get("retries") if self.message else None
        return found if isinstance(found, int) else 0

    @property
    def traceback(self) -> str | None:
        """Of its last attempt; None when its workers died, or it never reached one."""
        found = self.message.options.get("traceback") if self.message else None
        return found if isinstance(found, str) else None

    @property
    def error(self) -> str:
        """Why it died, in one line."""
        if self.message is None:
            return _UNREADABLE
        return _KILLER if self.traceback is None else _last_error(self.traceback)


def listed(
    broker: HardenedRedisBroker, *, limit: int, queue: str | None = None, after: Place | None = None
) -> list[DeadLetter]:
    """The dead letters of one queue or of all, those that died last first, at most ``limit``.

    Raises:
        QueueUnavailable: Redis did not answer.
    """
    names = [queue] if queue else [each.queue for each in figures(broker) if each.dead]
    with redis_answers():
        found = [letter for name in names for letter in _newest(broker, name, limit, after)]
    return sorted(found, key=lambda letter: letter.place, reverse=True)[:limit]


def find(broker: HardenedRedisBroker, queue: str, dead_id: str) -> DeadLetter | None:
    """One dead letter.

    Raises:
        QueueUnavailable: Redis did not answer.
    """
    key = _key(broker, queue)
    with redis_answers():
        pipeline = broker.client.pipeline()
        pipeline.zscore(key, dead_id)
        pipeline.hget(f"{key}.msgs", dead_id)
        died_ms, data = pipeline.execute()
    return None if died_ms is None else DeadLetter.of(queue, dead_id.encode(), died_ms, data)


def revive(broker: HardenedRedisBroker, letter: DeadLetter) -> bool:
    """Back to its queue, with all attempts before it; False when somebody else was first.

    Raises:
        ValueError: it cannot be read, so there is nothing to send.
        QueueUnavailable: Redis did not answer.
    """
    if letter.message is None:
        raise ValueError(_UNREADABLE)
    return _revive(broker, letter.queue, [letter]) == 1


@dataclass(frozen=True, slots=True)
class Revived:
    """How many went back to their queue, how many stay because they cannot be read."""

    revived: int = 0
    unreadable: int = 0
    more: bool = False  #: stopped at its bound


def revive_all(
    broker: HardenedRedisBroker, queue: str, *, died_before: datetime, limit: int
) -> Revived:
    """Send up to ``limit`` dead letters of a queue again, those that died first coming first.

    ``died_before`` keeps a caller who repeats this until there is no more from meeting those again
    that have died anew.

    Raises:
        QueueUnavailable: Redis did not answer. What was revived before that stays so.
    """
    revived = unreadable = 0
    until = died_before.timestamp() * 1000
    while revived < limit:
        wanted = min(_BATCH, limit - revived)
        # Those that cannot be read stay where they are: the first of the queue.
        with redis_answers():
            batch = _oldest(broker, queue, until, offset=unreadable, count=wanted)
        readable = [letter for letter in batch if letter.message is not None]
        unreadable += len(batch) - len(readable)
        revived += _revive(broker, queue, readable)
        if len(batch) < wanted:
            return Revived(revived, unreadable)
    return Revived(revived, unreadable, more=True)


def delete(broker: HardenedRedisBroker, queue: str, dead_id: str) -> bool:
    """Throw it away; False when there is none.

    Raises:
        QueueUnavailable: Redis did not answer.
    """
    key = _key(broker, queue)
    with redis_answers():
        pipeline = broker.client.pipeline(transaction=True)
        pipeline.zrem(key, dead_id)
        pipeline.hdel(f"{key}.msgs", dead_id)
        removed, _ = pipeline.execute()
    return bool(removed)


def _newest(
    broker: HardenedRedisBroker, queue: str, limit: int, after: Place | None
) -> Iterator[DeadLetter]:
    """Up to ``limit`` of one queue behind a place; many may have died in the same millisecond."""
    key, offset, yielded = _key(broker, queue), 0, 0
    while yielded < limit:
        page: Any = broker.client.zrevrangebyscore(
            key, after[0] if after else "+inf", "-inf", start=offset, num=limit, withscores=True
        )
        for letter in _read(broker, queue, page):
            if (after is None or letter.place < after) and yielded < limit:
                yielded += 1
                yield letter
        if len(page) < limit:
            return
        offset += len(page)


def _oldest(
    broker: HardenedRedisBroker, queue: str, until: float, *, offset: int, count: int
) -> list[DeadLetter]:
    page: Any = broker.client.zrangebyscore(
        _key(broker, queue), "-inf", until, start=offset, num=count, withscores=True
    )
    return _read(broker, queue, page)


def _read(
    broker: HardenedRedisBroker, queue: str, page: list[tuple[bytes, float]]
) -> list[DeadLetter]:
    if not page:
        return []
    ids = [dead_id for dead_id, _ in page]
    bodies: Any = broker.client.hmget(f"{_key(broker, queue)}.msgs", ids)
    return [
        DeadLetter.of(queue, dead_id, died_ms, data)
        for (dead_id, died_ms), data in zip(page, bodies, strict=True)
    ]


def _revive(broker: HardenedRedisBroker, queue: str, letters: list[DeadLetter]) -> int:
    if not letters:
        return 0
    arguments: list[str | bytes] = []
    for letter in letters:
        assert letter.message is not None
        new_id = str(uuid4())
        arguments += [letter.id, new_id, _anew(letter.message, queue, new_id).encode()]
    with redis_answers():
        return int(broker.script("revive", queue, *arguments))


def _anew(message: Message[Any], queue: str, new_id: str) -> Message[Any]:
    options = {
        name: value for name, value in message.options.items() if name not in _OF_PAST_ATTEMPTS
    }
    # One that died as a delayed message names the queue of those.
    return replace(
        message,
        queue_name=queue,
        options={**options, "redis_message_id": new_id},
        message_timestamp=int(time.time() * 1000),
    )


def _decoded(data: bytes) -> Message[Any] | None:
    try:
        message = Message.decode(data)
    except DecodeError:
        return None
    sound = isinstance(message.options, dict) and isinstance(message.kwargs, dict)
    return message if sound and isinstance(message.actor_name, str) else None


def _last_error(traceback: str) -> str:
    """The first line of the exception that ended it; exceptions may have many lines."""
    lines = traceback.splitlines()
    frames = [place for place, line in enumerate(lines) if line.startswith('  File "')]
    behind = lines[frames[-1] + 1 :] if frames else lines
    plain = (line.strip() for line in behind if line.strip() and not line.startswith(" "))
    return next(plain, "The error has no text.")


def _key(broker: HardenedRedisBroker, queue: str) -> str:
    return f"{broker.namespace}:{queue}.XQ"
