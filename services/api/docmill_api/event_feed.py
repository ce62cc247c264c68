"""One thread of a process that hears what is told of all files and hands it to the listeners."""

import threading
from typing import Any

import redis

from docmill_api.event_listeners import Listeners
from docmill_shared.observability import get_logger
from docmill_shared.progress import PATTERN, parse_message

#: Between two attempts to subscribe.
PAUSE_SECONDS = 0.5
#: The longest that a new listener waits for the first of them.
FIRST_WAIT_SECONDS = 2.0
_POLL_SECONDS = 1.0

log = get_logger(__name__)


class EventFeed:
    """A subscription to the channels of all owners, renewed for as long as the process lives."""

    def __init__(self, client: redis.Redis, listeners: Listeners) -> None:
        self._client = client
        self._listeners = listeners
        self._tried = threading.Event()
        self._closed = threading.Event()

    def run(self) -> None:
        """Until ``close``."""
        away = False
        while not self._closed.is_set():
            try:
                self._listen()
            except (redis.RedisError, OSError) as error:
                if not away:
                    log.warning("live events stop until Redis is back", reason=str(error))
                away = True
                self._tried.set()
                self._closed.wait(PAUSE_SECONDS)
            else:
                away = False

    def wait_until_tried(self) -> None:
        """Until it has subscribed or failed for the first time; afterwards it returns at once.

        A listener that came while there was no subscription is interrupted once there is one.
        """
        self._tried.wait(FIRST_WAIT_SECONDS)

    def close(self) -> None:
        """End ``run``, soon."""
        self._closed.set()

    def _listen(self) -> None:
        with self._client.pubsub() as subscription:  # type: ignore[no-untyped-call]
            subscription.psubscribe(PATTERN)
            while not self._closed.is_set():
                message = subscription.get_message(timeout=_POLL_SECONDS)
                if subscription.health_check_response_counter > 1:
                    raise redis.ConnectionError("Redis does not answer.")
                if message is not None:
                    self._handle(message)

    def _handle(self, message: dict[str, Any]) -> None:
        if message["type"] == "psubscribe":
            # Also after the client library has connected anew by itself.
            for listener in self._listeners.all():
                listener.interrupt()
            self._tried.set()
        elif message["type"] == "pmessage":
            try:
                owner_id, entry = parse_message(message["channel"], message["data"])
            except (ValueError, KeyError):
                log.warning("an event that this release does not understand")
                return
            self._listeners.deliver(owner_id, entry)
