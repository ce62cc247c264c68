"""What the API does with files, always for one owner."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, func, insert, select, tuple_, update

from docmill_shared.schema import Chunk, File
from docmill_shared.states import FileStatus, Visibility

_FILE = File.__table__


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


def confirm(
    connection: Connection, file_id: UUID, owner_id: UUID, *, sent: bool
) -> Row[Any] | None:
    """PENDING to QUEUED, due at once; None when it was not PENDING.

    ``sent`` says that the caller sends the message itself as soon as this is committed.
    """
    return connection.execute(
        update(File)
        .where(File.id == file_id, File.owner_id == owner_id, File.status == FileStatus.PENDING)
        .values(
            status=FileStatus.QUEUED,
            queued_at=func.now(),
            next_attempt_at=func.now(),
            sent_at=func.now() if sent else None,
        )
        .returning(*_FILE.columns)
    ).one_or_none()


def retry(connection: Connection, file_id: UUID, owner_id: UUID, *, sent: bool) -> Row[Any] | None:
    """FAILED to QUEUED with all attempts before it again; None when it was not FAILED.

    ``sent`` is as for :func:`confirm`.
    """
    return connection.execute(
        update(File)
        .where(File.id == file_id, File.owner_id == owner_id, File.status == FileStatus.FAILED)
        .values(
            status=FileStatus.QUEUED,
            failure_reason=None,
            failure_detail=None,
            attempt=0,
            deliveries=0,
            queued_at=func.now(),
            started_at=None,
            finished_at=None,
            next_attempt_at=func.now(),
            sent_at=func.now() if sent else None,
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


def start_deletion(connection: Connection, file_id: UUID, owner_id: UUID) -> Row[Any] | None:
    """Any state to DELETING, its chunks gone at once; None when there is no such file.

    A worker that holds the lease loses it here and can write nothing more.
    """
    row = connection.execute(
        update(File)
        .where(File.id == file_id, File.owner_id == owner_id, File.status != FileStatus.DELETING)
        .values(
            status=FileStatus.DELETING,
            lease_token=None,
            lease_expires_at=None,
            failure_reason=None,
            failure_detail=None,
        )
        .returning(*_FILE.columns)
    ).one_or_none()
    if row is not None:
        connection.execute(delete(Chunk).where(Chunk.file_id == file_id))
    return row


def finish_deletion(connection: Connection, file_id: UUID) -> None:
    """Remove the row of a DELETING file whose object is gone."""
    connection.execute(delete(File).where(File.id == file_id, File.status == FileStatus.DELETING))
