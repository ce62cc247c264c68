"""Files in any state and of any age, with or without their objects."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, delete, func, insert, select

from docmill_janitor.resources import Resources
from docmill_shared.schema import DIMENSIONS, Chunk, File
from docmill_shared.states import FileStatus, Visibility
from tests.owners import Owner

S = FileStatus


def add_file(
    owner: Owner,
    status: FileStatus,
    since: datetime,
    *,
    stored: bool = True,
    passages: int = 0,
    **fields: Any,
) -> UUID:
    """A file that was reserved, confirmed and ended at ``since``; its object is in the store."""
    file_id = uuid4()
    values: dict[str, Any] = {
        "id": file_id,
        "owner_id": owner.id,
        "name": "notes.txt",
        "media_type": "text/plain",
        "size_bytes": 5,
        "visibility": Visibility.PRIVATE,
        "object_key": f"uploads/{owner.id}/{file_id}",
        "status": status,
        "created_at": since,
    }
    if status == S.FAILED:
        values |= {"failure_reason": "corrupt", "failure_detail": "It is broken."}
    if status not in (S.PENDING, S.DELETING):
        values |= {"queued_at": since, "finished_at": since}
    if status == S.PROCESSING:
        values |= {"lease_token": uuid4(), "lease_expires_at": since}
    if status == S.QUEUED:
        values |= {"next_attempt_at": since}
    if passages:
        values |= {"chunk_count": passages}
    values |= fields
    with owner.engine.begin() as connection:
        connection.execute(insert(File).values(**values))
        if passages:
            connection.execute(
                insert(Chunk),
                [_chunk(owner, file_id, values["visibility"], each) for each in range(passages)],
            )
    if stored:
        owner.put(file_id, b"hello")
    return file_id


def _chunk(owner: Owner, file_id: UUID, visibility: str, ordinal: int) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "file_id": file_id,
        "owner_id": owner.id,
        "visibility": visibility,
        "ordinal": ordinal,
        "text": f"passage {ordinal}",
        "token_count": 2,
        "heading_path": [],
        "char_start": 0,
        "char_end": 9,
        "embedding": [1.0] + [0.0] * (DIMENSIONS - 1),
    }


def forget_all_files(engine: Engine) -> None:
    """What earlier tests of the module left must not be swept in this one."""
    with engine.begin() as connection:
        connection.execute(delete(File))


def stored(resources: Resources, owner: Owner) -> set[UUID]:
    """The files of the owner whose objects are in the store."""
    keys = resources.objects.scan(f"uploads/{owner.id}/")
    return {UUID(each.key.rpartition("/")[2]) for each in keys}


def statuses(engine: Engine) -> dict[UUID, str]:
    """Every file's status."""
    with engine.connect() as connection:
        return {row.id: row.status for row in connection.execute(select(File.id, File.status))}


def chunk_count(engine: Engine) -> int:
    """How many passages there are."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(Chunk)).scalar_one()
