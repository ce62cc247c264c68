"""An owner's files as a list: newest first, in pages, filtered."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, select, tuple_

from docmill_shared.schema import File
from docmill_shared.states import FileStatus, Visibility


@dataclass(frozen=True, slots=True)
class Filters:
    """Which files; what is None or empty excludes nothing."""

    statuses: Collection[FileStatus] = ()
    visibility: Visibility | None = None
    name: str | None = None  #: a part of it, in whatever case
    media_type: str | None = None
    created_after: datetime | None = None  #: and exactly then
    created_before: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """What a file must fulfil."""
        found: list[ColumnElement[bool]] = []
        if self.statuses:
            found.append(File.status.in_(sorted(self.statuses)))
        if self.visibility is not None:
            found.append(File.visibility == self.visibility)
        if self.name is not None:
            found.append(File.name.icontains(self.name, autoescape=True))
        if self.media_type is not None:
            found.append(File.media_type == self.media_type)
        if self.created_after is not None:
            found.append(File.created_at >= self.created_after)
        if self.created_before is not None:
            found.append(File.created_at < self.created_before)
        return found


def newest(
    connection: Connection,
    owner_id: UUID,
    filters: Filters,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> list[Row[Any]]:
    """The owner's files, newest first, at most ``limit``, from behind ``after``."""
    return list(connection.execute(statement(owner_id, filters, limit=limit, after=after)))


def statement(
    owner_id: UUID, filters: Filters, *, limit: int, after: tuple[datetime, UUID] | None = None
) -> Select[Any]:
    """What ``newest`` asks: along the index ``files_owner_newest``, passing over the excluded."""
    query = (
        select(*File.__table__.columns)
        .where(File.owner_id == owner_id, File.status != FileStatus.DELETING)
        .where(*filters.conditions())
        .order_by(File.created_at.desc(), File.id.desc())
        .limit(limit)
    )
    return query if after is None else query.where(tuple_(File.created_at, File.id) < after)
