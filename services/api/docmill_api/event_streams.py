"""An event stream: what happened since, how things stand, and then what happens.

A listener is registered first, then the log is read, then what arrived meanwhile is sent, unless
the log had it: ids tell. So nothing is lost and nothing sent twice. Where the log cannot tell
(nobody said where to go on, Redis was away, the entry is no longer there), the rows are read
instead. Every heartbeat reads them as well: an end that Redis lost is told a little later.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from docmill_api import event_frames, uploads
from docmill_api.event_listeners import Ending, Listener
from docmill_api.resources import Resources
from docmill_shared.files import watching
from docmill_shared.progress import Entry, FileProgress, place_of
from docmill_shared.row_security import statements_of
from docmill_shared.states import FileStatus

HEARTBEAT_SECONDS = 15.0
#: How long a client waits before it comes back; after a shutdown up to so much longer, so that
#: not all of them come at once.
RETRY_MS = 1_000
SHUTDOWN_SPREAD_MS = 2_000
#: Files that a stream without a log begins with, of the newest and of those under way.
OVERVIEW = 100
#: Unfinished files whose rows a stream of all files reads at its heartbeats.
FOLLOWED = 200

_LAST_WORDS = {
    Ending.TOO_SLOW: "too slow; come back with Last-Event-ID",
    Ending.REFUSED: "the token or the key is no longer valid",
    Ending.AGED: "open for long enough; come back with Last-Event-ID",
    Ending.FAILED: "the database is away; come back with Last-Event-ID",
}


@dataclass
class EventStream:
    """One stream: of one file, which ends with it, or of all files of an owner."""

    resources: Resources
    owner_id: UUID
    file_id: UUID | None
    listener: Listener
    #: Whether the caller would still be let in.
    welcome: Callable[[], bool]
    _place: tuple[int, int] = (0, 0)
    _last_id: str | None = None
    #: Unfinished files, and what was last told of each.
    _told: dict[UUID, str] = field(default_factory=dict)
    _ending: Ending | None = None
    _begun: bool = False
    _first: bytes = b""

    def begin(self, last_event_id: str | None) -> bool:
        """Prepare what is sent first; False when this client knows the file's end already.

        Raises:
            Problem: 404, there is no such file.
        """
        frames = self._catch_up(last_event_id)
        self._begun = True
        self._first = event_frames.retry(RETRY_MS) + b"".join(frames)
        return bool(frames) or self._ending is None

    def __iter__(self) -> Iterator[bytes]:
        """The stream; it holds a slot and a connection to the database only while it reads."""
        now = time.monotonic()
        ends_at = now + self.resources.settings.api_event_stream_seconds
        # Streams that began together should not all wake together.
        heartbeat_at = now + HEARTBEAT_SECONDS * random.uniform(0.5, 1.0)  # noqa: S311
        yield self._first
        while self._ending is None:
            arrived = self.listener.take(min(heartbeat_at, ends_at) - time.monotonic())
            self._ending = self.listener.ending
            if self._ending is not None:
                break
            frames = []
            try:
                if self.listener.interrupted:
                    with self.resources.request_slots.held():
                        frames += self._catch_up(self._last_id)
                frames += self._news(arrived)
                if time.monotonic() >= heartbeat_at:
                    heartbeat_at = time.monotonic() + HEARTBEAT_SECONDS
                    frames += self._heartbeat()
            except SQLAlchemyError:
                self._ending = Ending.FAILED
            if frames:
                yield b"".join(frames)
            if self._ending is None and time.monotonic() >= ends_at:
                self._ending = Ending.AGED
        yield from self._last_words(self._ending)

    def close(self) -> None:
        """Give up its place; whoever opened the listener calls this, once."""
        why = self._ending or self.listener.ending or Ending.HUNG_UP
        self.resources.events.close(self.listener, why if self._begun else None)

    def _catch_up(self, last_id: str | None) -> list[bytes]:
        """From the log if it can tell, else from the rows."""
        # First: what is told from here on arrives.
        self.listener.interrupted = False
        entries = None if last_id is None else self.resources.progress.since(self.owner_id, last_id)
        if entries is None:
            self._last_id = self.resources.progress.last_id(self.owner_id)
            self._place = (0, 0) if self._last_id is None else place_of(self._last_id)
            # After the id was read: whatever the log has up to there is in the rows.
            return self._snapshot(self._rows())
        known, *news = entries
        self._last_id, self._place = known.id, known.place
        frames = self._news(news)
        if self._ending is None:
            frames += self._end_in(self._rows(), known)
        return frames

    def _rows(self) -> list[FileProgress]:
        with statements_of(self.resources.engine, self.owner_id) as connection:
            if self.file_id is None:
                return watching.overview(connection, self.owner_id, limit=OVERVIEW)
            found = watching.look(connection, self.owner_id, [self.file_id])
        if not (found or self._begun):
            raise uploads.not_found()
        return [found.get(self.file_id, _gone(self.file_id))]

    def _snapshot(self, files: list[FileProgress]) -> list[bytes]:
        """A ``state`` of each; the id comes with the last, when all have arrived."""
        frames = []
        for number, file in enumerate(files, start=1):
            event_id = self._last_id if number == len(files) else None
            frames.append(self._frame("state", file.file_id, file.status, file.to_json(), event_id))
        return frames

    def _end_in(self, files: list[FileProgress], known: Entry) -> list[bytes]:
        """The end of the file if it is in its row and not in the log."""
        if self.file_id is None:
            for file in files:
                self._follow(file.file_id, file.to_json(), final=file.is_final)
            return []
        (file,) = files
        if not file.is_final:
            self._follow(file.file_id, file.to_json(), final=False)
            return []
        if (known.file_id, known.status) == (file.file_id, file.status):
            self._ending = Ending.FINISHED
            return []
        return [self._frame("state", file.file_id, file.status, file.to_json())]

    def _news(self, entries: Iterable[Entry]) -> list[bytes]:
        """Entries that were not sent yet, up to the file's end."""
        frames = []
        for entry in entries:
            if entry.place <= self._place or self._ending is not None:
                continue
            self._place, self._last_id = entry.place, entry.id
            if self.file_id in {None, entry.file_id}:
                frames.append(
                    self._frame("progress", entry.file_id, entry.status, entry.data, entry.id)
                )
        return frames

    def _heartbeat(self) -> list[bytes]:
        with self.resources.request_slots.held():
            try:
                if not self.welcome():
                    self._ending = Ending.REFUSED
                    return []
                with statements_of(self.resources.engine, self.owner_id) as connection:
                    found = (
                        watching.look(connection, self.owner_id, list(self._told))
                        if self._told
                        else {}
                    )
            except SQLAlchemyError:
                # The next heartbeat asks again.
                return [event_frames.HEARTBEAT]
        frames = [event_frames.HEARTBEAT]
        for file_id, told in list(self._told.items()):
            file = found.get(file_id, _gone(file_id))
            if file.to_json() != told:
                frames.append(self._frame("state", file_id, file.status, file.to_json()))
        return frames

    def _frame(
        self, name: str, file_id: UUID, status: FileStatus, data: str, event_id: str | None = None
    ) -> bytes:
        """The event, noted as told."""
        gone = status == FileStatus.DELETING
        final = FileProgress(file_id, status).is_final
        self._follow(file_id, data, final=final)
        if final and file_id == self.file_id:
            self._ending = Ending.FINISHED
        return event_frames.event("deleted" if gone else name, data, event_id)

    def _follow(self, file_id: UUID, data: str, *, final: bool) -> None:
        if final:
            self._told.pop(file_id, None)
        elif file_id in self._told or len(self._told) < FOLLOWED:
            self._told[file_id] = data

    def _last_words(self, ending: Ending) -> Iterator[bytes]:
        if ending is Ending.SHUTDOWN:
            spread = random.randrange(SHUTDOWN_SPREAD_MS)  # noqa: S311
            yield event_frames.retry(RETRY_MS + spread)
        elif ending in _LAST_WORDS:
            yield event_frames.comment(_LAST_WORDS[ending])


def _gone(file_id: UUID) -> FileProgress:
    return FileProgress(file_id, FileStatus.DELETING)
