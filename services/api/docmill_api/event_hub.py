"""What all event streams of a process share: their listeners, and two threads that serve them."""

import socket
import threading
from collections.abc import Callable
from uuid import UUID

import redis

from docmill_api import metrics
from docmill_api.event_feed import EventFeed
from docmill_api.event_listeners import Ending, Listener, Listeners
from docmill_api.event_sockets import EventSockets


class EventHub:
    """Starts with the first listener, hence after gunicorn's fork, and costs nothing before."""

    def __init__(self, connect: Callable[[], redis.Redis], *, limit: int) -> None:
        self._connect = connect
        self._listeners = Listeners(limit)
        self._stopping: Callable[[], bool] = lambda: False
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._feed: EventFeed
        self._sockets: EventSockets

    def stop_when(self, stopping: Callable[[], bool]) -> None:
        """Streams end as soon as this says so; before the first listener."""
        self._stopping = stopping

    def open(self, owner_id: UUID, connection: socket.socket | None) -> Listener:
        """A listener that gets, from now on, what happens to this owner's files.

        Raises:
            Problem: 503 or 429, there are too many.
        """
        self._start()
        listener = Listener(owner_id, connection)
        self._listeners.add(listener)
        self._sockets.add(listener)
        metrics.EVENT_STREAMS.inc()
        self._feed.wait_until_tried()
        return listener

    def close(self, listener: Listener, why: Ending | None) -> None:
        """The stream has ended, or (None) did not begin; once for each listener."""
        self._sockets.remove(listener)
        self._listeners.remove(listener)
        metrics.EVENT_STREAMS.dec()
        if why is not None:
            metrics.EVENT_STREAMS_ENDED.labels(why).inc()

    def end(self) -> None:
        """End the threads."""
        with self._lock:
            if self._client is not None:
                self._feed.close()
                self._sockets.close()

    def _start(self) -> None:
        with self._lock:
            if self._client is not None:
                return
            self._client = self._connect()
            self._feed = EventFeed(self._client, self._listeners)
            self._sockets = EventSockets(self._listeners, lambda: self._stopping())
            for name, run in (("events", self._feed.run), ("event-sockets", self._sockets.run)):
                threading.Thread(target=run, name=name, daemon=True).start()
