"""What an owner may change of a file that is there: its name, and who finds it."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, update

from docmill_shared.database import allow_minutes
from docmill_shared.schema import Chunk, File
from docmill_shared.states import FileStatus, Visibility

#: Publishing this many passages, each of which joins a vector index, may take minutes.
_MANY_CHUNKS = 5_000


def rename(connection: Connection, file_id: UUID, owner_id: UUID, name: str) -> Row[Any] | None:
    """Give the file another name; None when the owner has no such file."""
    return _change(connection, file_id, owner_id, name=name)


def show_to(
    connection: Connection,
    file_id: UUID,
    owner_id: UUID,
    visibility: Visibility,
    name: str | None = None,
) -> Row[Any] | None:
    """Change who finds the file, and its name if one is given; needs a transaction.

    The lock on the file's row comes first and in a statement of its own: a worker that completes
    the file at this moment either has its chunks stored before the second statement looks for
    them, or reads the new visibility (``docmill_shared.chunks.replace``).
    """
    row = _change(
        connection, file_id, owner_id, visibility=visibility, **({"name": name} if name else {})
    )
    if row is not None:
        if (row.chunk_count or 0) > _MANY_CHUNKS:
            allow_minutes(connection, 10)
        connection.execute(
            update(Chunk)
            .where(Chunk.file_id == file_id, Chunk.visibility != visibility)
            .values(visibility=visibility)
        )
    return row


def _change(
    connection: Connection, file_id: UUID, owner_id: UUID, **values: object
) -> Row[Any] | None:
    return connection.execute(
        update(File)
        .where(File.id == file_id, File.owner_id == owner_id, File.status != FileStatus.DELETING)
        .values(**values)
        .returning(*File.__table__.columns)
    ).one_or_none()
