"""Live progress: what happens to files, told through Redis to whoever listens.

Each owner has a log, a Redis Stream: its ids say where a listener that comes back goes on. Every
entry is published in the same turn, for those that listen now. Nothing depends on either: what is
told has been written to the file's row before, and a listener without Redis reads that.
"""

import json
import time
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

import redis

from docmill_shared.keyvalue import connect
from docmill_shared.settings import ServiceSettings
from docmill_shared.states import FINAL, FileStatus

#: What Redis keeps of an owner's log: about so many entries, this long after the last.
KEPT_ENTRIES = 1_000
KEPT_SECONDS = 86_400
#: Redis is not asked again for this long after it gave no answer: telling must delay nobody.
SILENCE_SECONDS = 2.0
#: The longest that one who tells waits for Redis.
TIMEOUT_SECONDS = 1.0

_PREFIX = "docmill:events:"
#: Of the channels of all owners.
PATTERN = _PREFIX + "*"

#: One turn: whoever looks into the log after hearing of an entry finds it there.
_APPEND = """
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'data', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', KEYS[1], id .. ' ' .. ARGV[3])
return id
"""


@dataclass(frozen=True, slots=True)
class FileProgress:
    """How far a file is. ``DELETING`` means that it is gone for its owner."""

    file_id: UUID
    status: FileStatus
    stage: str | None = None
    page_count: int | None = None
    pages_done: int = 0
    chunk_count: int | None = None
    chunks_done: int = 0
    failure_reason: str | None = None
    failure_detail: str | None = None

    @classmethod
    def of(cls, row: Any) -> Self:
        """From a row of ``files`` with at least these columns."""
        return cls(
            row.id,
            FileStatus(row.status),
            row.stage,
            row.page_count,
            row.pages_done,
            row.chunk_count,
            row.chunks_done,
            row.failure_reason,
            row.failure_detail,
        )

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return is_final(self.status)

    def to_json(self) -> str:
        """As listeners get it, in one line."""
        failure = None
        if self.failure_reason is not None:
            failure = {"reason": self.failure_reason, "detail": self.failure_detail or ""}
        return json.dumps(
            {
                "file_id": str(self.file_id),
                "status": self.status,
                "stage": self.stage,
                "page_count": self.page_count,
                "pages_done": self.pages_done,
                "chunk_count": self.chunk_count,
                "chunks_done": self.chunks_done,
                "failure": failure,
            }
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of an owner's log; ``data`` is what :meth:`FileProgress.to_json` made."""

    id: str
    file_id: UUID
    status: FileStatus
    data: str

    @classmethod
    def parse(cls, entry_id: str, data: str) -> Self:
        """Raises ``ValueError`` or ``KeyError`` for what this release does not understand."""
        fields = json.loads(data)
        return cls(entry_id, UUID(fields["file_id"]), FileStatus(fields["status"]), data)

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return is_final(self.status)

    @property
    def place(self) -> tuple[int, int]:
        """Where in the log; later is greater."""
        return place_of(self.id)


def is_final(status: FileStatus) -> bool:
    """Whether nothing more happens by itself, or nothing that its owner could see."""
    return status in FINAL or status == FileStatus.DELETING


def place_of(entry_id: str) -> tuple[int, int]:
    """The place in the log that an id means."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)


def parse_message(channel: bytes, message: bytes) -> tuple[UUID, Entry]:
    """The owner and the entry that came through a channel; errors as of :meth:`Entry.parse`."""
    entry_id, _, data = message.decode().partition(" ")
    return UUID(channel.decode().removeprefix(_PREFIX)), Entry.parse(entry_id, data)


class ProgressLog:
    """The logs of all owners."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._append = client.register_script(_APPEND)
        self._silent_until = float("-inf")

    @classmethod
    def connect(cls, settings: ServiceSettings) -> Self:
        """With a client of its own, which waits for Redis only briefly."""
        return cls(connect(settings, seconds=TIMEOUT_SECONDS))

    def tell(self, owner_id: UUID, *files: FileProgress) -> None:
        """Write it down and tell it, after it was committed: one round trip for one file.

        Without Redis nobody is told, and nothing else happens.
        """
        if not files or time.monotonic() < self._silent_until:
            return
        try:
            if len(files) == 1:
                self._write(owner_id, files[0], self._client)
                return
            with self._client.pipeline(transaction=False) as pipeline:
                for each in files:
                    self._write(owner_id, each, pipeline)
                pipeline.execute()
        except redis.RedisError:
            self._silent_until = time.monotonic() + SILENCE_SECONDS

    def since(self, owner_id: UUID, entry_id: str) -> list[Entry] | None:
        """The entry with this id and all after it, in their order.

        None when the log cannot tell: Redis is away, or the entry is no longer in the log, and
        then others may be missing as well. What this release does not understand is left out.
        """
        try:
            found: Any = self._client.xrange(_name(owner_id), min=entry_id)
        except redis.RedisError:
            return None
        if not found or found[0][0].decode() != entry_id:
            return None
        entries = []
        for each, fields in found:
            try:
                entries.append(Entry.parse(each.decode(), fields[b"data"].decode()))
            except (ValueError, KeyError):
                if not entries:
                    return None
        return entries

    def last_id(self, owner_id: UUID) -> str | None:
        """The id of the log's last entry; None when there is none or Redis is away."""
        try:
            found: Any = self._client.xrevrange(_name(owner_id), count=1)
        except redis.RedisError:
            return None
        return found[0][0].decode() if found else None

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _write(self, owner_id: UUID, file: FileProgress, client: redis.Redis) -> None:
        args: list[str | int] = [KEPT_ENTRIES, KEPT_SECONDS, file.to_json()]
        self._append(keys=[_name(owner_id)], args=args, client=client)


def _name(owner_id: UUID) -> str:
    """Of the log and of the channel."""
    return f"{_PREFIX}{owner_id}"
