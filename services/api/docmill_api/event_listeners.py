"""Those who listen to events in this process: one listener for each open stream.

Whoever delivers never waits: an inbox that is full ends its stream, and its client resumes where
it was.
"""

import socket
import threading
import time
from enum import StrEnum
from uuid import UUID

from docmill_api.problems import Problem, unavailable
from docmill_shared.progress import Entry

#: Streams that one owner may have open in one process.
OWNER_STREAMS = 20
#: Entries that wait for a stream to send them.
INBOX = 256
_RETRY_AFTER_SECONDS = 5


class Ending(StrEnum):
    """Why a stream ends, as it is counted."""

    FINISHED = "finished"  #: everything was said
    HUNG_UP = "hung_up"  #: the client is gone
    TOO_SLOW = "too_slow"
    REFUSED = "refused"  #: the token or the key is no longer valid
    AGED = "aged"  #: open for as long as a stream may be
    SHUTDOWN = "shutdown"
    FAILED = "failed"  #: the database was away when it was needed


class Listener:
    """The inbox of one stream."""

    def __init__(self, owner_id: UUID, connection: socket.socket | None) -> None:
        self.owner_id = owner_id
        self.connection = connection
        #: Set once; nothing is delivered any more.
        self.ending: Ending | None = None
        self.ended_at = 0.0
        #: Entries may be missing: the log must be read.
        self.interrupted = False
        self._inbox: list[Entry] = []
        self._changed = threading.Condition(threading.Lock())

    def put(self, entry: Entry) -> None:
        """Deliver an entry."""
        with self._changed:
            if len(self._inbox) >= INBOX:
                self._end(Ending.TOO_SLOW)
            elif self.ending is None:
                self._inbox.append(entry)
                self._changed.notify()

    def interrupt(self) -> None:
        """Tell it that entries may be missing."""
        with self._changed:
            self.interrupted = True
            self._changed.notify()

    def end(self, why: Ending) -> None:
        """End the stream; the first reason counts."""
        with self._changed:
            self._end(why)

    def take(self, timeout: float) -> list[Entry]:
        """Wait until there is something to do or the time is over; return what has arrived."""
        with self._changed:
            if not (self._inbox or self.interrupted or self.ending):
                self._changed.wait(max(0.0, timeout))
            taken, self._inbox = self._inbox, []
            return taken

    def _end(self, why: Ending) -> None:
        if self.ending is None:
            self.ending = why
            self.ended_at = time.monotonic()
            self._changed.notify()


class Listeners:
    """All listeners of a process, by owner."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._of_owner: dict[UUID, set[Listener]] = {}
        self._count = 0
        self._lock = threading.Lock()

    def add(self, listener: Listener) -> None:
        """From now on it gets what is delivered.

        Raises:
            Problem: 503 or 429, there are too many.
        """
        with self._lock:
            of_owner = self._of_owner.get(listener.owner_id, set())
            if len(of_owner) >= OWNER_STREAMS:
                raise Problem(
                    429,
                    "too_many_own_streams",
                    f"You have {OWNER_STREAMS} event streams open here; close one first.",
                    headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
                )
            if self._count >= self._limit:
                raise unavailable(
                    "too_many_streams", "No more event streams can be opened here now."
                )
            self._of_owner.setdefault(listener.owner_id, of_owner).add(listener)
            self._count += 1

    def remove(self, listener: Listener) -> None:
        """It gets nothing more; doing so twice is harmless."""
        with self._lock:
            of_owner = self._of_owner.get(listener.owner_id, set())
            if listener in of_owner:
                of_owner.remove(listener)
                self._count -= 1
                if not of_owner:
                    del self._of_owner[listener.owner_id]

    def deliver(self, owner_id: UUID, entry: Entry) -> None:
        """To all listeners of this owner."""
        for listener in self._some(owner_id):
            listener.put(entry)

    def all(self) -> list[Listener]:
        """Every listener there is now."""
        with self._lock:
            return [each for of_owner in self._of_owner.values() for each in of_owner]

    def _some(self, owner_id: UUID) -> list[Listener]:
        with self._lock:
            return list(self._of_owner.get(owner_id, ()))
