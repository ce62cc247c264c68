"""What the API does with files, always for one owner."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import aliased

from docmill_shared.files.deletions import MARKED
from docmill_shared.schema import Chunk, File
from docmill_shared.states import FailureReason, FileStatus, Visibility

#: An owner may have this many files waiting before further ones count as bulk.
INTERACTIVE_FILES = 8

_FILE = File.__table__
_OTHER = aliased(File)


def reserve(
    connection: Connection,
    *,
    file_id: UUID,
    owner_id: UUID,
    name: str,
    media_type: str,
    size_bytes: int,
    visibility: Visibility,
    object_key: str,
    bulk: bool = False,
) -> Row[Any]:
    """Insert a PENDING file; return its row."""
    return connection.execute(
        insert(File)
        .values(
            id=file_id,
            owner_id=owner_id,
            name=name,
            media_type=media_type,
            size_bytes=size_bytes,
            visibility=visibility,
            object_key=object_key,
            bulk=bulk,
        )
        .returning(*_FILE.columns)
    ).one()


def find(connection: Connection, file_id: UUID, owner_id: UUID) -> Row[Any] | None:
    """The owner's file, or None; a file that is being deleted is gone for its owner."""
    return connection.execute(
        select(*_FILE.columns).where(
            File.id == file_id, File.owner_id == owner_id, File.status != FileStatus.DELETING
        )
    ).one_or_none()


def newest(
    connection: Connection,
    owner_id: UUID,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
    status: FileStatus | None = None,
) -> list[Row[Any]]:
    """The owner's files, newest first, at most ``limit``, from behind ``after``."""
    query = (
        select(*_FILE.columns)
        .where(File.owner_id == owner_id, File.status != FileStatus.DELETING)
        .order_by(File.created_at.desc(), File.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(File.created_at, File.id) < after)
    if status is not None:
        query = query.where(File.status == status)
    return list(connection.execute(query))


def confirm(connection: Connection, file_id: UUID, owner_id: UUID) -> Row[Any] | None:
    """PENDING to QUEUED, due at once; None when it was not PENDING.

    Where ``sent_at`` comes back set, the caller sends the message as soon as this is committed.
    """
    return _queue(connection, file_id, owner_id, FileStatus.PENDING)


def retry(connection: Connection, file_id: UUID, owner_id: UUID) -> Row[Any] | None:
    """FAILED to QUEUED with all attempts before it again; None when it was not FAILED.

    A cancelled file has no object any more and is not retried. ``sent_at`` is as for
    :func:`confirm`.
    """
    return _queue(
        connection,
        file_id,
        owner_id,
        FileStatus.FAILED,
        File.failure_reason != FailureReason.CANCELLED,
    )


def _queue(
    connection: Connection,
    file_id: UUID,
    owner_id: UUID,
    source: FileStatus,
    *conditions: ColumnElement[bool],
) -> Row[Any] | None:
    """``source`` to QUEUED as if new.

    An owner's first few files are sent at once. Further ones count as bulk and wait for the
    dispatcher, so that nobody else stands behind them.
    """
    waiting = (
        select(literal(1))
        .where(
            _OTHER.owner_id == owner_id,
            _OTHER.status.in_([FileStatus.QUEUED, FileStatus.PROCESSING]),
        )
        .limit(INTERACTIVE_FILES)
        .subquery()
    )
    bulk = or_(
        File.bulk, select(func.count()).select_from(waiting).scalar_subquery() >= INTERACTIVE_FILES
    )
    return connection.execute(
        update(File)
        .where(File.id == file_id, File.owner_id == owner_id, File.status == source, *conditions)
        .values(
            status=FileStatus.QUEUED,
            bulk=bulk,
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
    ).one_or_none()


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
