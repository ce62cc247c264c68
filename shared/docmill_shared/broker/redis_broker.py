"""Dramatiq's Redis broker without the faults that were measured in it (docs/adr/0009).

The keys are those of the stock broker, so dashboards and autoscalers that know them work, plus
``Q.wake`` (a list that idle consumers block on), ``Q.deliveries`` (how often each message was
handed out) and ``__queues__`` (the names of all queues). Time is the server's: heartbeats by
workers' clocks let one whose clock is ahead steal messages that run.
"""

import threading
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import redis
from dramatiq import MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import Middleware

from docmill_shared.broker.connection_errors import connection_errors
from docmill_shared.broker.consumer import HardenedConsumer

#: A worker that was silent for this long is dead, and what it held goes back to the queue.
HEARTBEAT_TIMEOUT_MS = 15_000
#: A message that was handed out this often without an end kills its workers: a dead letter.
MAX_DELIVERIES = 5
#: Dead letters are kept this long.
DEAD_MESSAGE_TTL_MS = 7 * 86_400_000

_SCRIPTS = ("enqueue", "fetch", "ack", "nack", "requeue", "reclaim")


class HardenedRedisBroker(RedisBroker):
    """See the module."""

    def __init__(
        self,
        *,
        client: redis.Redis,
        middleware: list[Middleware],
        heartbeat_timeout: int = HEARTBEAT_TIMEOUT_MS,
        max_deliveries: int = MAX_DELIVERIES,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            client=client,
            middleware=middleware,
            heartbeat_timeout=heartbeat_timeout,
            dead_message_ttl=DEAD_MESSAGE_TTL_MS,
        )
        self.max_deliveries = max_deliveries
        #: Set when the worker shuts down: nothing more is fetched.
        self.draining = False
        #: Retries that could not be enqueued, by the id of the message that failed.
        self.unsent_retries: dict[str, int | None] = {}
        self._running: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        folder = files("docmill_shared.broker") / "lua"
        self._scripts = {
            name: client.register_script((folder / f"{name}.lua").read_text()) for name in _SCRIPTS
        }

    @property
    def consumer_class(self) -> type[HardenedConsumer]:
        """The consumer that belongs to this broker."""
        return HardenedConsumer

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> HardenedConsumer:
        """A consumer; first, whatever this worker was given and does not hold goes back.

        That is what a lost answer to a fetch, or a restart of Redis, leaves in its ack set.
        """
        if queue_name.endswith(".DQ"):
            # The consumer thread drops the delayed messages that it held when it reconnects.
            self._running.pop(queue_name, None)
        with connection_errors():
            self.script("reclaim", queue_name, self.broker_id, *self.running(queue_name))
        return HardenedConsumer(self, queue_name, prefetch, timeout)

    def enqueue(self, message: Any, *, delay: int | None = None) -> Any:
        """See Dramatiq; raises ``ConnectionClosed`` when Redis does not take it.

        A retry that Redis does not take is remembered, and sent before its message is acked.
        """
        try:
            return super().enqueue(message, delay=delay)
        except BrokerConnectionError:
            if isinstance(message, MessageProxy):
                self.unsent_retries[message.options["redis_message_id"]] = delay
            raise

    def do_enqueue(self, queue_name: str, redis_message_id: str, data: bytes) -> None:
        """Called by the stock broker's ``enqueue``."""
        with connection_errors():
            self.script("enqueue", queue_name, redis_message_id, data)

    def fetch(self, queue_name: str, count: int) -> list[tuple[str, bytes]]:
        """Up to ``count`` messages with their ids, which this process holds from now on.

        With 0 it only says that this worker lives and recovers what dead ones held.
        """
        limit = 0 if queue_name.endswith(".DQ") else self.max_deliveries
        answer = self.script(
            "fetch",
            queue_name,
            self.broker_id,
            count,
            self.heartbeat_timeout,
            self.dead_message_ttl,
            limit,
        )
        fetched = [
            (key.decode(), data) for key, data in zip(answer[::2], answer[1::2], strict=True)
        ]
        with self._lock:
            self._running.setdefault(queue_name, set()).update(key for key, _ in fetched)
        return fetched

    def script(self, name: str, *args: Any) -> Any:
        """Run one of our scripts."""
        return self._scripts[name](keys=[self.namespace], args=list(args))

    def running(self, queue_name: str) -> set[str]:
        """The ids of the messages of a queue that this process holds."""
        with self._lock:
            return set(self._running.get(queue_name, ()))

    def release(self, queue_name: str, redis_message_ids: Iterable[str]) -> None:
        """Note that this process holds these messages no longer."""
        with self._lock:
            self._running.get(queue_name, set()).difference_update(redis_message_ids)
