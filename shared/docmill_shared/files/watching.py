"""What those who watch an owner's files are shown of them."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, select, union

from docmill_shared.progress import FileProgress
from docmill_shared.schema import File
from docmill_shared.states import FileStatus

_SHOWN = select(
    File.id,
    File.status,
    File.stage,
    File.page_count,
    File.pages_done,
    File.chunk_count,
    File.chunks_done,
    File.failure_reason,
    File.failure_detail,
)


def look(
    connection: Connection, owner_id: UUID, file_ids: Collection[UUID]
) -> dict[UUID, FileProgress]:
    """Those of these files that there are, for their owner."""
    rows = connection.execute(
        _SHOWN.where(
            File.owner_id == owner_id, File.id.in_(file_ids), File.status != FileStatus.DELETING
        )
    )
    return {row.id: FileProgress.of(row) for row in rows}


def overview(connection: Connection, owner_id: UUID, *, limit: int) -> list[FileProgress]:
    """The owner's newest files and those under way, at most ``limit`` of each, oldest first."""
    newest = (
        select(File.id)
        .where(File.owner_id == owner_id, File.status != FileStatus.DELETING)
        .order_by(File.created_at.desc(), File.id.desc())
        .limit(limit)
    )
    under_way = (
        select(File.id)
        .where(
            File.owner_id == owner_id,
            File.status.in_([FileStatus.QUEUED, FileStatus.PROCESSING]),
        )
        .limit(limit)
    )
    # Of subqueries: a part of a UNION may not have a LIMIT of its own without parentheses.
    both = union(
        select(newest.subquery().c.id), select(under_way.subquery().c.id)
    ).scalar_subquery()
    rows = connection.execute(_SHOWN.where(File.id.in_(both)).order_by(File.created_at, File.id))
    return [FileProgress.of(row) for row in rows]
