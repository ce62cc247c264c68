"""The queue: Dramatiq's Redis broker with every default chosen on purpose.

Messages are hints; Postgres is the queue of record. So a message that cannot be sent is not an
error for the caller: the janitor's dispatcher sends whatever is due and was not picked up.
"""

import redis
from dramatiq import Broker, Middleware, Worker
from dramatiq import Message as Envelope
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AgeLimit, Callbacks, Retries, ShutdownNotifications
from redis.backoff import NoBackoff
from redis.retry import Retry

from docmill_shared.errors import TransientError
from docmill_shared.messages import Message
from docmill_shared.settings import ServiceSettings

#: A worker that was silent this long is dead, and what it held goes back to the queue.
HEARTBEAT_TIMEOUT_MS = 15_000


class PrefetchWhatRuns(Middleware):
    """Fetch no more messages than there are threads.

    Dramatiq would prefetch twice as many, and those would wait behind a long file while another
    pod is idle.
    """

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Called by Dramatiq before its consumers start."""
        worker.queue_prefetch = worker.worker_threads


class QueueUnavailable(TransientError):
    """Redis cannot be reached or refuses to write."""


def connect(settings: ServiceSettings) -> redis.Redis:
    """A Redis client that gives up in seconds; redis-py by itself waits and retries far longer."""
    client: redis.Redis = redis.Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=2,
        socket_timeout=5,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=30,
    )
    return client


def create_broker(settings: ServiceSettings) -> RedisBroker:
    """The broker of one process; it connects on first use.

    There is no time limit on actors: it cannot interrupt a system call, and ingestion and sweeps
    carry bounds of their own.
    """
    broker: RedisBroker = RedisBroker(  # type: ignore[no-untyped-call]
        client=connect(settings),
        middleware=[
            AgeLimit(),
            ShutdownNotifications(),
            Callbacks(),
            Retries(max_retries=3),
            PrefetchWhatRuns(),
        ],
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        # Out of a million commands: look for dead workers at every one, not at one in a thousand.
        maintenance_chance=1_000_000,
    )
    return broker


def send(broker: RedisBroker, message: Message) -> None:
    """Put a message on its queue.

    Raises:
        QueueUnavailable: Redis did not take it.
    """
    envelope: Envelope[object] = Envelope(
        queue_name=message.queue,
        actor_name=message.actor,
        args=(),
        kwargs=message.to_fields(),
        options={},
    )
    try:
        broker.enqueue(envelope)
    except redis.RedisError as error:
        raise QueueUnavailable("Redis did not take the message.") from error


def depth(broker: RedisBroker, queue: str) -> int:
    """How many messages of a queue wait, are prefetched or run.

    Raises:
        QueueUnavailable: Redis did not answer.
    """
    try:
        return int(broker.client.hlen(f"{broker.namespace}:{queue}.msgs"))
    except redis.RedisError as error:
        raise QueueUnavailable("Redis did not answer.") from error
