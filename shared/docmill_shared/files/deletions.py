"""What the janitor does for files that go: mark them, and remove what is left of them.

A sweep marks files DELETING in one statement and only then touches their objects, so whatever
happens to it in between, the row that knows the object's key is still there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Uuid,
    any_,
    bindparam,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from docmill_shared.schema import Chunk, File
from docmill_shared.states import FileStatus, Visibility

#: One statement makes about this many passages vanish, so that it takes a second and not minutes.
PASSAGES_AT_ONCE = 20_000

#: What becomes of a file that goes, whoever lets it go.
MARKED: dict[str, Any] = {
    "status": FileStatus.DELETING,
    "lease_token": None,
    "lease_expires_at": None,
    "failure_reason": None,
    "failure_detail": None,
    # Its owner may use the key for another file from now on.
    "idempotency_key": None,
}


@dataclass(frozen=True, slots=True)
class Doomed:
    """A file that goes, with the state it was in and since when."""

    file_id: UUID
    object_key: str
    status: FileStatus
    since: datetime
    passages: int


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A file whose object should be gone: a DELETING one, or a DUPLICATE."""

    file_id: UUID
    object_key: str
    status: FileStatus
    created_at: datetime


def take_abandoned(
    connection: Connection, *, now: datetime, age: timedelta, limit: int, dry_run: bool = False
) -> list[Doomed]:
    """PENDING since longer than ``age``, or FAILED since longer, to DELETING; a dry run looks only.

    A file that somebody is changing just now, because its owner confirms or retries it, is passed
    over.
    """
    before = now - age
    due = (
        _candidates(case((File.status == FileStatus.PENDING, File.created_at), else_=_FINISHED))
        .where(
            File.status.in_([FileStatus.PENDING, FileStatus.FAILED]),
            # Of a FAILED file as well, since it was reserved before it failed: for the index.
            File.created_at < before,
            or_(File.status == FileStatus.PENDING, File.finished_at < before),
        )
        .order_by(File.created_at, File.id)
        .limit(limit)
    )
    if dry_run:
        return _doomed(connection.execute(due))
    return _doomed(connection.execute(_mark(due.with_for_update(skip_locked=True).cte("due"))))


def take_completed(
    connection: Connection,
    *,
    visibility: Visibility,
    spare: UUID,
    limit: int,
    dry_run: bool = False,
) -> list[Doomed]:
    """COMPLETED files of everyone but ``spare`` to DELETING; their passages vanish with that.

    Takes fewer than ``limit`` where they have many passages. A dry run looks only.
    """
    found = (
        _candidates(_FINISHED)
        .where(
            File.status == FileStatus.COMPLETED,
            File.visibility == visibility,
            File.owner_id != spare,
        )
        .order_by(File.finished_at, File.id)
        .limit(limit)
    )
    return _take(connection, found, passages=PASSAGES_AT_ONCE, dry_run=dry_run)


def take_of_owners(
    connection: Connection,
    owner_ids: Sequence[UUID],
    *,
    limit: int,
    visibility: Visibility | None = None,
    passages: int = PASSAGES_AT_ONCE,
    dry_run: bool = False,
) -> list[Doomed]:
    """All files of these owners, or those of one visibility, to DELETING; public ones first.

    Takes fewer than ``limit`` where they have many passages. Workers that have one of them can
    write nothing more. A dry run looks only.
    """
    found = (
        _candidates(_FINISHED)
        .where(
            File.owner_id == any_(bindparam("owner_ids", list(owner_ids), type_=ARRAY(Uuid))),
            File.status != FileStatus.DELETING,
        )
        .order_by(_PUBLIC.desc(), _FINISHED, File.id)
        .limit(limit)
    )
    if visibility is not None:
        found = found.where(File.visibility == visibility)
    return _take(connection, found, passages=passages, dry_run=dry_run)


def _take(
    connection: Connection, found: Select[Any], *, passages: int, dry_run: bool
) -> list[Doomed]:
    if dry_run:
        return _doomed(connection.execute(found))
    locked = found.with_for_update(skip_locked=True).cte("locked")
    so_far = func.sum(locked.c.passages).over(
        order_by=(locked.c.public.desc(), locked.c.since, locked.c.id), rows=(None, 0)
    )
    added = select(locked, so_far.label("so_far")).cte("added")
    due = select(added).where(added.c.so_far - added.c.passages < passages).cte("due")
    marked = _mark(due).cte("marked")
    gone = delete(Chunk).where(Chunk.file_id.in_(select(marked.c.id))).cte("gone")
    return _doomed(connection.execute(select(marked).add_cte(gone)))


def unfinished(
    connection: Connection, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Unfinished]:
    """Files whose object should be gone, oldest first, from behind ``after``.

    Nothing is locked: whoever else finishes them meanwhile does the same.
    """
    states = (
        File.status == FileStatus.DELETING,
        (File.status == FileStatus.DUPLICATE) & File.object_deleted_at.is_(None),
    )
    legs = []
    for state in states:  # each has an index of its own
        leg = select(File.id, File.object_key, File.status, File.created_at).where(state)
        if after is not None:
            leg = leg.where(tuple_(File.created_at, File.id) > after)
        legs.append(leg.order_by(File.created_at, File.id).limit(limit).subquery().select())
    both = union_all(*legs).subquery()
    rows = connection.execute(select(both).order_by(both.c.created_at, both.c.id).limit(limit))
    return [
        Unfinished(row.id, row.object_key, FileStatus(row.status), row.created_at) for row in rows
    ]


def delete_chunks(connection: Connection, file_ids: Sequence[UUID], *, limit: int) -> int:
    """Delete up to ``limit`` passages of DELETING files; return how many.

    There are none: they go as the file is marked. Should there be some, no row's deletion takes
    thousands of them along.
    """
    some = (
        select(Chunk.id)
        .join(File, File.id == Chunk.file_id)
        .where(_is_one_of(file_ids), File.status == FileStatus.DELETING)
        .limit(limit)
    )
    return connection.execute(delete(Chunk).where(Chunk.id.in_(some))).rowcount


def remove(connection: Connection, file_ids: Sequence[UUID]) -> set[UUID]:
    """Delete the rows of DELETING files whose objects are gone; the ids that this call deleted."""
    rows = connection.execute(
        delete(File)
        .where(_is_one_of(file_ids), File.status == FileStatus.DELETING)
        .returning(File.id)
    )
    return set(rows.scalars())


def mark_objects_deleted(
    connection: Connection, file_ids: Sequence[UUID], *, now: datetime
) -> set[UUID]:
    """The objects of these DUPLICATE files are gone; the ids that this call marked."""
    rows = connection.execute(
        update(File)
        .where(
            _is_one_of(file_ids),
            File.status == FileStatus.DUPLICATE,
            File.object_deleted_at.is_(None),
        )
        .values(object_deleted_at=now)
        .returning(File.id)
    )
    return set(rows.scalars())


_FINISHED: ColumnElement[Any] = func.coalesce(File.finished_at, File.created_at)
_PUBLIC: ColumnElement[bool] = File.visibility == Visibility.PUBLIC


def _candidates(since: ColumnElement[Any]) -> Select[Any]:
    return select(
        File.id,
        File.object_key,
        File.status,
        since.label("since"),
        func.coalesce(File.chunk_count, literal(0)).label("passages"),
        _PUBLIC.label("public"),
    )


def _mark(due: FromClause) -> Any:
    was = (due.c.object_key, due.c.status, due.c.since, due.c.passages)
    return update(File).where(File.id == due.c.id).values(**MARKED).returning(File.id, *was)


def _doomed(rows: Any) -> list[Doomed]:
    def doomed(row: Row[Any]) -> Doomed:
        status = FileStatus(row.status)
        return Doomed(row.id, row.object_key, status, row.since, row.passages)

    return [doomed(row) for row in rows]


def _is_one_of(file_ids: Sequence[UUID]) -> ColumnElement[bool]:
    return File.id == any_(bindparam("file_ids", list(file_ids), type_=ARRAY(Uuid)))
