"""What the API does with files that are reserved, always for one owner."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Uuid,
    any_,
    bindparam,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from docmill_shared.files.deletions import MARKED
from docmill_shared.schema import Chunk, File
from docmill_shared.states import FailureReason, FileStatus

#: An owner may have this many files waiting before further ones count as bulk.
INTERACTIVE_FILES = 8

_FILE = File.__table__
_OTHER = aliased(File)


def find(connection: Connection, file_id: UUID, owner_id: UUID) -> Row[Any] | None:
    """The owner's file, or None; a file that is being deleted is gone for its owner."""
    return connection.execute(
        select(*_FILE.columns).where(
            File.id == file_id, File.owner_id == owner_id, File.status != FileStatus.DELETING
        )
    ).one_or_none()


def find_many(
    connection: Connection, file_ids: Collection[UUID], owner_id: UUID
) -> dict[UUID, Row[Any]]:
    """Those of these files that the owner has, by id."""
    rows = connection.execute(
        select(*_FILE.columns).where(
            File.id == any_(_ids(file_ids)),
            File.owner_id == owner_id,
            File.status != FileStatus.DELETING,
        )
    )
    return {row.id: row for row in rows}


def confirm(
    connection: Connection, file_id: UUID, owner_id: UUID, *, request_id: str | None = None
) -> Row[Any] | None:
    """PENDING to QUEUED, due at once; None when it was not PENDING.

    Where ``sent_at`` comes back set, the caller sends the message as soon as this is committed.
    """
    return confirm_many(connection, [file_id], owner_id, request_id=request_id).get(file_id)


def confirm_many(
    connection: Connection,
    file_ids: Collection[UUID],
    owner_id: UUID,
    *,
    request_id: str | None = None,
) -> dict[UUID, Row[Any]]:
    """The same for several files, in their order; those that were PENDING, by id."""
    return _queue(connection, file_ids, owner_id, request_id, File.status == FileStatus.PENDING)


def retry(
    connection: Connection, file_id: UUID, owner_id: UUID, *, request_id: str | None = None
) -> Row[Any] | None:
    """FAILED to QUEUED with all attempts before it again; None when it was not FAILED.

    A cancelled file has no object any more and is not retried. ``sent_at`` is as for
    :func:`confirm`.
    """
    failed = (
        File.status == FileStatus.FAILED,
        File.failure_reason != FailureReason.CANCELLED,
    )
    return _queue(connection, [file_id], owner_id, request_id, *failed).get(file_id)


def _queue(
    connection: Connection,
    file_ids: Collection[UUID],
    owner_id: UUID,
    request_id: str | None,
    *conditions: ColumnElement[bool],
) -> dict[UUID, Row[Any]]:
    """Files that fulfil the conditions to QUEUED as if new; by id.

    An owner's first few files are sent at once. Further ones count as bulk and wait for the
    dispatcher, so that nobody else stands behind them.
    """
    # In the order of their ids, so that two who confirm the same files never wait for each other.
    locked = (
        select(File.id)
        .where(File.id == any_(_ids(file_ids)), File.owner_id == owner_id, *conditions)
        .order_by(File.id)
        .with_for_update(key_share=True)
        .cte("locked")
    )
    order = func.array_position(_ids(file_ids), locked.c.id)
    placed = select(locked.c.id, func.row_number().over(order_by=order).label("place")).subquery(
        "placed"
    )
    waiting = (
        select(literal(1))
        .where(
            _OTHER.owner_id == owner_id,
            _OTHER.status.in_([FileStatus.QUEUED, FileStatus.PROCESSING]),
        )
        .limit(INTERACTIVE_FILES)
        .subquery()
    )
    before = select(func.count()).select_from(waiting).scalar_subquery() + placed.c.place - 1
    bulk = or_(File.bulk, before >= INTERACTIVE_FILES)
    rows = connection.execute(
        update(File)
        .where(File.id == placed.c.id)
        .values(
            status=FileStatus.QUEUED,
            bulk=bulk,
            request_id=request_id,
            failure_reason=None,
            failure_detail=None,
            attempt=0,
            deliveries=0,
            queued_at=func.now(),
            started_at=None,
            finished_at=None,
            next_attempt_at=func.now(),
            sent_at=case((bulk, None), else_=func.now()),
            page_count=None,
            pages_done=0,
            chunk_count=None,
            chunks_done=0,
        )
        .returning(*_FILE.columns)
    )
    return {row.id: row for row in rows}


def _ids(file_ids: Collection[UUID]) -> BindParameter[Any]:
    return bindparam("ids", list(file_ids), type_=ARRAY(Uuid), unique=True)


def not_sent_after_all(connection: Connection, file_id: UUID) -> None:
    """The message did not go out: let the dispatcher send it at its next turn."""
    connection.execute(
        update(File)
        .where(File.id == file_id, File.status == FileStatus.QUEUED)
        .values(sent_at=None)
    )


def cancel(connection: Connection, file_id: UUID, owner_id: UUID) -> Row[Any] | None:
    """QUEUED or PROCESSING to FAILED (``cancelled``); None in any other state.

    The worker that has it can write nothing from here on, and stops when it notices.
    """
    return connection.execute(
        update(File)
        .where(
            File.id == file_id,
            File.owner_id == owner_id,
            File.status.in_([FileStatus.QUEUED, FileStatus.PROCESSING]),
        )
        .values(
            status=FileStatus.FAILED,
            failure_reason=FailureReason.CANCELLED,
            failure_detail="Cancelled. Upload the file again if it is still wanted.",
            lease_token=None,
            lease_expires_at=None,
            stage=None,
            finished_at=func.now(),
        )
        .returning(*_FILE.columns)
    ).one_or_none()


def start_deletion(connection: Connection, file_id: UUID, owner_id: UUID) -> Row[Any] | None:
    """Any state to DELETING, its chunks gone at once; None when there is no such file.

    A worker that holds the lease loses it here and can write nothing more.
    """
    row = connection.execute(
        update(File)
        .where(File.id == file_id, File.owner_id == owner_id, File.status != FileStatus.DELETING)
        .values(**MARKED)
        .returning(*_FILE.columns)
    ).one_or_none()
    if row is not None:
        connection.execute(delete(Chunk).where(Chunk.file_id == file_id))
    return row


def finish_deletion(connection: Connection, file_id: UUID) -> None:
    """Remove the row of a DELETING file whose object is gone."""
    connection.execute(delete(File).where(File.id == file_id, File.status == FileStatus.DELETING))
