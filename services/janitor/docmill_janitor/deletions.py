"""How files go: their objects first, many in a call, and a row only once its object is gone.

What every job that deletes files does after it has marked them. Whatever is left when it ends, in
whichever way, stays DELETING with its key, and ``finish_deletions`` takes it up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection

from docmill_janitor.resources import Resources
from docmill_shared.database import autocommit
from docmill_shared.errors import StorageUnavailable
from docmill_shared.files import deletions
from docmill_shared.files.deletions import Doomed
from docmill_shared.objects import DELETE_BATCH
from docmill_shared.observability import get_logger
from docmill_shared.states import FileStatus

_log = get_logger(__name__)

#: Passages that one statement deletes.
_CHUNKS = 10_000


class _Marked(Protocol):
    @property
    def file_id(self) -> UUID: ...
    @property
    def object_key(self) -> str: ...
    @property
    def status(self) -> FileStatus: ...


@dataclass
class Finished:
    """What became of a sweep's files."""

    gone: set[UUID] = field(default_factory=set)  #: that this call, and nobody else, finished
    kept: int = 0  #: whose objects could not be deleted
    away: bool = False  #: the store did not answer; there is no use in going on


def finish(resources: Resources, files: Sequence[_Marked], *, now: datetime) -> Finished:
    """Delete the objects of these files, then their rows; a DUPLICATE keeps its row.

    Never raises for the store's sake: what it refuses is kept and counted.
    """
    finished = Finished()
    for start in range(0, len(files), DELETE_BATCH):
        batch = files[start : start + DELETE_BATCH]
        try:
            refused = set(resources.objects.delete_many([each.object_key for each in batch]))
        except StorageUnavailable as error:
            _log.warning("objects not deleted; finish_deletions will", why=str(error))
            finished.kept += len(files) - start
            finished.away = True
            break
        if refused:
            _log.warning("the store refuses to delete objects", objects=len(refused))
            finished.kept += len(refused)
        with autocommit(resources.engine) as connection:
            bare = [each for each in batch if each.object_key not in refused]
            finished.gone |= _end(connection, bare, now)
    return finished


def _end(connection: Connection, files: Sequence[_Marked], now: datetime) -> set[UUID]:
    duplicates = [each.file_id for each in files if each.status == FileStatus.DUPLICATE]
    rest = [each.file_id for each in files if each.status != FileStatus.DUPLICATE]
    gone: set[UUID] = set()
    if duplicates:
        gone |= deletions.mark_objects_deleted(connection, duplicates, now=now)
    if rest:
        while deletions.delete_chunks(connection, rest, limit=_CHUNKS) == _CHUNKS:
            pass
        gone |= deletions.remove(connection, rest)
    return gone


def finding(file: Doomed) -> str:
    """The line of a dry run for a file."""
    since = file.since.isoformat(sep=" ", timespec="seconds")
    return f"delete file {file.file_id} ({file.status} since {since})"
