"""The consumer of one queue: blocks on Redis instead of polling it, and loses nothing."""

import math
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dramatiq import Message, MessageProxy
from dramatiq.broker import Consumer
from dramatiq.common import q_name
from dramatiq.errors import DecodeError
from redis import RedisError

from docmill_shared.broker.connection_errors import connection_errors
from docmill_shared.observability import get_logger

if TYPE_CHECKING:
    from docmill_shared.broker.redis_broker import HardenedRedisBroker

_log = get_logger(__name__)

#: The longest blocking wait, in seconds: how long a shutdown or a delayed message can go unnoticed,
#: and how often an idle worker says that it lives.
_WAIT_SECONDS = 0.5


class HardenedConsumer(Consumer):
    """Fetches messages of one queue for one worker process.

    ``prefetch`` bounds how many messages the process holds at once.
    """

    def __init__(
        self, broker: "HardenedRedisBroker", queue_name: str, prefetch: int, timeout: int
    ) -> None:
        self.broker = broker
        self.queue_name = queue_name
        self.prefetch = prefetch
        self.timeout = timeout
        self._cache: list[tuple[str, bytes]] = []
        self._fetched_at = -math.inf
        self._room = threading.Event()
        self._wake_key = f"{broker.namespace}:{queue_name}.wake"

    def __next__(self) -> MessageProxy | None:
        """The next message, or None after a wait in which none came."""
        with connection_errors():
            while True:
                if self._cache:
                    message = self._decode(*self._cache.pop(0))
                    if message is not None:
                        return message
                    continue
                self._room.clear()
                room = self.prefetch - len(self.broker.running(self.queue_name))
                wanted = 0 if self.broker.draining else max(room, 0)
                # With nothing wanted it is the heartbeat, which need not follow every message.
                if wanted or time.monotonic() - self._fetched_at > _WAIT_SECONDS:
                    self._cache = self.broker.fetch(self.queue_name, wanted)
                    self._fetched_at = time.monotonic()
                    if self._cache:
                        continue
                if wanted:
                    self.broker.client.blpop([self._wake_key], timeout=_WAIT_SECONDS)
                else:
                    self._room.wait(_WAIT_SECONDS)
                return None

    def ack(self, message: MessageProxy) -> None:
        """The message has been dealt with; a retry that was not sent yet goes first."""
        key = message.options["redis_message_id"]
        if key in self.broker.unsent_retries:
            self.broker.enqueue(message, delay=self.broker.unsent_retries[key])
            self.broker.unsent_retries.pop(key, None)
        with connection_errors():
            self.broker.script("ack", self.queue_name, self.broker.broker_id, key)
        self._released([key])

    def nack(self, message: MessageProxy) -> None:
        """The message has failed for good; it becomes a dead letter with its traceback."""
        key = message.options["redis_message_id"]
        self._bury(key, message.encode())

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give messages back that have not begun.

        Does not raise when Redis is away: they are in this worker's ack set, from where its next
        consumer, or another worker once this one is dead, puts them back.
        """
        self._hand_back([message.options["redis_message_id"] for message in messages])

    def close(self) -> None:
        """Give back what was fetched and not handed on."""
        cached, self._cache = self._cache, []
        self._hand_back([key for key, _ in cached])

    def _hand_back(self, keys: list[str]) -> None:
        if not keys:
            return
        try:
            self.broker.script("requeue", self.queue_name, self.broker.broker_id, *keys)
        except RedisError as error:
            _log.warning("messages could not be handed back", count=len(keys), error=str(error))
        self._released(keys)

    def _decode(self, key: str, data: bytes) -> MessageProxy | None:
        try:
            message = Message.decode(data)
            if message.options["redis_message_id"] == key:
                return MessageProxy(message)
            error = "its id is not the one it is stored under"
        except (DecodeError, KeyError, TypeError) as problem:
            error = str(problem)
        # Not one of our senders wrote it, and it would come back for ever.
        _log.error("a message cannot be read", queue=self.queue_name, id=key, error=error)
        self._bury(key, data)
        return None

    def _bury(self, key: str, data: bytes) -> None:
        with connection_errors():
            self.broker.script(
                "nack",
                self.queue_name,
                self.broker.broker_id,
                key,
                data,
                q_name(self.queue_name),
            )
        self._released([key])

    def _released(self, keys: list[str]) -> None:
        self.broker.release(self.queue_name, keys)
        self._room.set()
