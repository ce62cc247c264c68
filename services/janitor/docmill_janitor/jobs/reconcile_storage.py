"""Compare the bucket with the files table, in both directions and in parts."""

import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared import job_schedule
from docmill_shared.database import autocommit
from docmill_shared.errors import ObjectMissing
from docmill_shared.files import reconciliation
from docmill_shared.files.reconciliation import UPLOADS
from docmill_shared.objects import ListedObject
from docmill_shared.observability import get_logger

_log = get_logger(__name__)

_JOB = "reconcile_storage"
#: A dry run looks at everything, if that takes no longer.
_LOOK_FOR_SECONDS = 60.0
#: One comparison at a time; the number only has to be nobody else's.
_LOCK = text("select pg_try_advisory_lock(7_301_406)")
_UNLOCK = text("select pg_advisory_unlock(7_301_406)")


@dataclass(frozen=True, slots=True)
class _Place:
    """Up to where bucket and table were compared: the last file, and the last key."""

    row: tuple[UUID, UUID] | None = None
    key: str | None = None

    def __str__(self) -> str:
        return json.dumps([self.row and [str(each) for each in self.row], self.key])

    @classmethod
    def parsed(cls, place: str | None) -> "_Place":
        if place is None:
            return cls()
        row, key = json.loads(place)
        return cls(row and (UUID(row[0]), UUID(row[1])), key)


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of the comparison, and the place behind it; None at the end."""

    compared: int
    orphans: list[str]
    missing: list[Row[Any]]
    found: list[Row[Any]]
    following: _Place | None


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Compare up to ``limit`` files and ``limit`` objects, from where the last sweep stopped.

    An object under ``uploads/`` that no file has is deleted once it is older than
    ``RECONCILE_GRACE_HOURS``. A file whose object should be there and is not gets
    ``object_missing_at``, until the object is back. A dry run begins at the beginning.

    Raises:
        StorageUnavailable: the next run takes the same part.
    """
    with autocommit(resources.engine) as connection:
        if dry_run:
            return _look(resources, connection, now, limit)
        if not connection.execute(_LOCK).scalar_one():
            return Swept({"compared": 0})
        try:
            place = _Place.parsed(job_schedule.bookmark(connection, _JOB))
            part = _compare(resources, connection, place, now, limit)
            counts = _repair(resources, connection, part, now)
            following = None if part.following is None else str(part.following)
            job_schedule.set_bookmark(connection, _JOB, following)
        finally:
            connection.execute(_UNLOCK)
    return Swept(counts, more=following is not None)


def _look(resources: Resources, connection: Connection, now: datetime, limit: int) -> Swept:
    began = time.monotonic()
    counts: Counter[str] = Counter(compared=0, orphans=0, missing=0, found=0)
    findings: list[str] = []
    place: _Place | None = _Place()
    while place is not None and time.monotonic() - began < _LOOK_FOR_SECONDS:
        part = _compare(resources, connection, place, now, limit)
        counts.update(
            compared=part.compared,
            orphans=len(part.orphans),
            missing=len(part.missing),
            found=len(part.found),
        )
        findings += [f"delete object {key} (no file has it)" for key in part.orphans]
        findings += [
            f"mark file {file.id} ({file.status}; its object is missing)" for file in part.missing
        ]
        findings += [f"unmark file {file.id} (its object is back)" for file in part.found]
        place = part.following
    return Swept(dict(counts), more=place is not None, findings=tuple(findings))


def _compare(
    resources: Resources, connection: Connection, place: _Place, now: datetime, limit: int
) -> _Part:
    grace = resources.settings.reconcile_grace
    # Rows first: the last of them is where the listing ends.
    rows = reconciliation.rows_in_key_order(
        connection, after=place.row, now=now, grace=grace, limit=limit
    )
    end = _position(rows[-1]) if len(rows) == limit else None
    ahead = resources.objects.scan(UPLOADS, after=place.key)
    objects: list[ListedObject] = list(
        islice(takewhile(lambda each: end is None or each.key <= end, ahead), limit)
    )
    if len(objects) == limit:  # and perhaps more of them before the last row
        end = objects[-1].key
    if end is not None:
        rows = [row for row in rows if _position(row) <= end]
    listed = {each.key for each in objects}
    old = [each.key for each in objects if each.last_modified < now - grace]
    absent = [
        row
        for row in rows
        if row.expected and row.object_missing_at is None and row.object_key not in listed
    ]
    following = None
    if end is not None:
        following = _Place((rows[-1].owner_id, rows[-1].id) if rows else place.row, end)
    return _Part(
        compared=len(rows) + len(objects),
        orphans=reconciliation.without_row(connection, old) if old else [],
        missing=[row for row in absent if not _is_there(resources, row.object_key)],
        found=[
            row for row in rows if row.object_missing_at is not None and row.object_key in listed
        ],
        following=following,
    )


def _repair(
    resources: Resources, connection: Connection, part: _Part, now: datetime
) -> dict[str, int]:
    kept: list[str] = []
    if part.orphans:
        kept = resources.objects.delete_many(part.orphans)
    missing = reconciliation.mark_missing(connection, [row.id for row in part.missing], now=now)
    for file_id in sorted(missing):
        _log.warning("the object of a file is missing", file_id=str(file_id))
    found = reconciliation.mark_found(connection, [row.id for row in part.found])
    return {
        "compared": part.compared,
        "orphans": len(part.orphans) - len(kept),
        "kept": len(kept),
        "missing": len(missing),
        "found": len(found),
    }


def _position(row: Row[Any]) -> str:
    """Where the row's object is among the sorted keys."""
    return f"{UPLOADS}{row.owner_id}/{row.id}"


def _is_there(resources: Resources, key: str) -> bool:
    """The store's own word: the object may have come after the listing."""
    try:
        resources.objects.head(key)
    except ObjectMissing:
        return False
    return True
