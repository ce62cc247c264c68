"""The queue: Dramatiq on Redis or Valkey, with every default chosen on purpose.

Messages are hints; Postgres is the queue of record. So a message that cannot be sent is not an
error for the caller: the janitor's dispatcher sends whatever is due and was not picked up.
"""

import redis
from dramatiq import Message as Envelope
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import AgeLimit, Callbacks, Retries, ShutdownNotifications

from docmill_shared.broker.handover import HandOverOnShutdown, PrefetchWhatRuns
from docmill_shared.broker.redis_broker import HardenedRedisBroker
from docmill_shared.errors import TransientError
from docmill_shared.keyvalue import connect
from docmill_shared.log_context import LogContext, travelling
from docmill_shared.messages import Message
from docmill_shared.settings import ServiceSettings

__all__ = ["HardenedRedisBroker", "QueueUnavailable", "create_broker", "depth", "send"]


class QueueUnavailable(TransientError):
    """Redis cannot be reached or refuses to write."""


def create_broker(
    settings: ServiceSettings, *, answer_seconds: float | None = None
) -> HardenedRedisBroker:
    """The broker of one process; it connects on first use, and Redis has ``answer_seconds`` if
    given.

    There is no time limit on actors: it cannot interrupt a system call, and ingestion and sweeps
    carry bounds of their own.
    """
    return HardenedRedisBroker(
        client=connect(settings, seconds=answer_seconds),
        middleware=[
            LogContext(),
            AgeLimit(),
            ShutdownNotifications(),
            Callbacks(),
            Retries(max_retries=3),
            PrefetchWhatRuns(),
            HandOverOnShutdown(),
        ],
    )


def send(broker: HardenedRedisBroker, message: Message) -> None:
    """Put a message on its queue.

    Raises:
        QueueUnavailable: Redis did not take it, or its answer was lost.
    """
    envelope: Envelope[object] = Envelope(
        queue_name=message.queue,
        actor_name=message.actor,
        args=(),
        kwargs=message.to_fields(),
        options=travelling(),
    )
    try:
        broker.enqueue(envelope)
    except BrokerConnectionError as error:
        raise QueueUnavailable("Redis did not take the message.") from error


def depth(broker: HardenedRedisBroker, queue: str) -> int:
    """How many messages of a queue wait, are prefetched or run.

    Raises:
        QueueUnavailable: Redis did not answer.
    """
    try:
        return int(broker.client.hlen(f"{broker.namespace}:{queue}.msgs"))
    except redis.RedisError as error:
        raise QueueUnavailable("Redis did not answer.") from error
