"""One thread of a process that watches the connections of event streams.

A stream sleeps, or waits until a slow client reads, and notices neither that its client hangs up
nor that the process is to end. This thread does both, and cuts whoever does not read to the end.
"""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable

from docmill_api.event_listeners import Ending, Listener, Listeners

TICK_SECONDS = 0.25
#: For the last line of a stream that ends, after which its connection is shut.
LAST_LINE_SECONDS = 1.0
#: The kernel holds no more than about this much for a client that does not read...
SEND_BUFFER_BYTES = 64 * 1024
#: ...and takes one for gone that does not confirm what was sent.
UNCONFIRMED_SECONDS = 45


class EventSockets:
    """The connections of one process's streams."""

    def __init__(self, listeners: Listeners, stopping: Callable[[], bool]) -> None:
        self._listeners = listeners
        self._stopping = stopping
        # Not before the fork: two processes would share one epoll.
        self._epoll = select.epoll()
        self._by_number: dict[int, Listener] = {}
        self._closed = threading.Event()

    def add(self, listener: Listener) -> None:
        """Watch its connection, if it has one (under a test's client it has none)."""
        connection = listener.connection
        if connection is None:
            return
        self._by_number[connection.fileno()] = listener
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            if connection.family in {socket.AF_INET, socket.AF_INET6}:
                unconfirmed_ms = UNCONFIRMED_SECONDS * 1000
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unconfirmed_ms)
            self._epoll.register(connection.fileno(), select.EPOLLRDHUP)
        except OSError:
            listener.end(Ending.HUNG_UP)

    def remove(self, listener: Listener) -> None:
        """Before the connection is closed or used for the client's next request."""
        if listener.connection is None:
            return
        number = listener.connection.fileno()
        if self._by_number.get(number) is listener:
            del self._by_number[number]
            self._forget(number)

    def run(self) -> None:
        """Until ``close``."""
        while not self._closed.is_set():
            for number, _ in self._epoll.poll(TICK_SECONDS):
                self._forget(number)  # it would be reported again at once
                listener = self._by_number.get(number)
                if listener is not None:
                    listener.end(Ending.HUNG_UP)
                    _cut(listener.connection)
            stopping = self._stopping()
            late = time.monotonic() - LAST_LINE_SECONDS
            for listener in self._listeners.all():
                if stopping:
                    listener.end(Ending.SHUTDOWN)
                if listener.ending is not None and listener.ended_at < late:
                    _cut(listener.connection)
        self._epoll.close()

    def close(self) -> None:
        """End ``run``, soon."""
        self._closed.set()

    def _forget(self, number: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._epoll.unregister(number)


def _cut(connection: socket.socket | None) -> None:
    """Wake whoever waits to send, with an error."""
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
