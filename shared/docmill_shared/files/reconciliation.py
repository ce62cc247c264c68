"""What a comparison of the bucket with the files table asks and notes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Row,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    func,
    or_,
    select,
    tuple_,
    update,
)

from docmill_shared.schema import File
from docmill_shared.states import FailureReason, FileStatus

#: Where uploads are in the bucket, as ``uploads/<owner>/<file>``; the rest of it is not docmill's.
UPLOADS = "uploads/"


def rows_in_key_order(
    connection: Connection,
    *,
    after: tuple[UUID, UUID] | None,
    now: datetime,
    grace: timedelta,
    limit: int,
) -> list[Row[Any]]:
    """Files by owner and id, from behind ``after``: in the order in which the store lists them.

    Sorted by the two ids and not by the key, whose index follows the database's language and not
    the bytes. ``expected`` says whether the object must be there: the file is beyond PENDING, its
    object was not deleted on purpose, and it was confirmed longer ago than ``grace``.
    """
    expected = and_(_has_an_object(), func.coalesce(File.queued_at, File.created_at) < now - grace)
    query = (
        select(
            File.id,
            File.owner_id,
            File.object_key,
            File.status,
            File.object_missing_at,
            expected.label("expected"),
        )
        .order_by(File.owner_id, File.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(File.owner_id, File.id) > after)
    return list(connection.execute(query))


def without_row(connection: Connection, keys: Sequence[str]) -> list[str]:
    """Those of the keys that no file has, in their order.

    A file's row is there before anybody may upload its object, so an object that was listed before
    this was asked, and has no row, never gets one.
    """
    wanted = bindparam("keys", list(keys), type_=ARRAY(Text))
    known = set(
        connection.execute(select(File.object_key).where(File.object_key == any_(wanted))).scalars()
    )
    return [key for key in keys if key not in known]


def mark_missing(connection: Connection, file_ids: Sequence[UUID], *, now: datetime) -> set[UUID]:
    """Note that the objects of these files are missing; the ids for which that is news."""
    rows = connection.execute(
        update(File)
        .where(_is_one_of(file_ids), File.object_missing_at.is_(None), _has_an_object())
        .values(object_missing_at=now)
        .returning(File.id)
    )
    return set(rows.scalars())


def mark_found(connection: Connection, file_ids: Sequence[UUID]) -> set[UUID]:
    """Note that the objects of these files are there again; the ids for which that is news."""
    rows = connection.execute(
        update(File)
        .where(_is_one_of(file_ids), File.object_missing_at.is_not(None))
        .values(object_missing_at=None)
        .returning(File.id)
    )
    return set(rows.scalars())


def _has_an_object() -> ColumnElement[bool]:
    return or_(
        File.status.in_([FileStatus.QUEUED, FileStatus.PROCESSING, FileStatus.COMPLETED]),
        and_(File.status == FileStatus.FAILED, File.failure_reason != FailureReason.CANCELLED),
    )


def _is_one_of(file_ids: Sequence[UUID]) -> ColumnElement[bool]:
    return File.id == any_(bindparam("file_ids", list(file_ids), type_=ARRAY(Uuid)))
