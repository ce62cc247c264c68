"""What the janitor does for files that wait, and for files whose worker is gone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, select, text, update

from docmill_shared.progress import FileProgress
from docmill_shared.schema import File
from docmill_shared.states import FailureReason, FileStatus

_FILE = File.__table__

#: Owners that one turn looks at; it costs an index probe for each.
_OWNERS = 200

#: Owners with unsent files, by a loose scan of the index: one probe each, however many files.
_NEXT_OWNERS = text("""
with recursive owners as (
    (select owner_id from files
     where status = 'QUEUED' and sent_at is null and bulk = :bulk and owner_id >= :first
     order by owner_id limit 1)
    union all
    select (select owner_id from files
            where status = 'QUEUED' and sent_at is null and bulk = :bulk
              and owner_id > owners.owner_id order by owner_id limit 1)
    from owners where owners.owner_id is not null
)
select owner_id from owners where owner_id is not null limit :owners
""")

#: Of each of these owners the first that are due, and of those one of each owner in turn.
_TAKE_DUE = text("""
with due as (
    select file.id, file.turn
    from unnest(cast(:owners as uuid[])) as owner (id) cross join lateral (
        select id, row_number() over (order by next_attempt_at, id) as turn from files
        where status = 'QUEUED' and sent_at is null and bulk = :bulk
          and owner_id = owner.id and next_attempt_at <= :now
        order by next_attempt_at, id limit :limit
    ) file
    order by file.turn, random() limit :limit
)
update files set sent_at = :now
from due where files.id = due.id and files.status = 'QUEUED' and files.sent_at is null
returning files.id, files.request_id, due.turn
""")


@dataclass(frozen=True, slots=True)
class Due:
    """A file that is to be sent; ``request_id`` of the request that queued it, where known."""

    file_id: UUID
    request_id: str | None


def take_due(connection: Connection, *, bulk: bool, now: datetime, limit: int) -> list[Due]:
    """Mark up to ``limit`` due files as sent and return them, one of each owner in turn."""
    owners = _owners(connection, bulk)
    if not owners:
        return []
    parameters = {"bulk": bulk, "now": now, "owners": owners, "limit": limit}
    taken = connection.execute(_TAKE_DUE, parameters).all()
    return [Due(row.id, row.request_id) for row in sorted(taken, key=lambda row: row.turn)]


def _owners(connection: Connection, bulk: bool) -> list[UUID]:
    """Owners with unsent files: all of them, or some from a random one on if they are many."""
    owners: dict[UUID, None] = {}
    for first in (uuid4(), UUID(int=0)):
        if len(owners) < _OWNERS:
            parameters = {"bulk": bulk, "first": first, "owners": _OWNERS - len(owners)}
            found = connection.execute(_NEXT_OWNERS, parameters).scalars()
            owners |= dict.fromkeys(found)
    return list(owners)


def take_lost(connection: Connection, *, now: datetime, older_than: timedelta, limit: int) -> int:
    """Let files be sent again whose message was not picked up for ``older_than``.

    A second message for the same file is harmless: only one claim can succeed.
    """
    lost = (
        select(File.id)
        .where(File.status == FileStatus.QUEUED, File.sent_at < now - older_than)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(update(File).where(File.id.in_(lost)).values(sent_at=None)).rowcount


@dataclass(frozen=True, slots=True)
class Recovered:
    """Files whose lease had expired, by what became of them."""

    requeued: int
    failed: int
    told: list[tuple[UUID, FileProgress]]  #: with their owners, for those who watch them


def recover_expired_leases(
    connection: Connection, *, now: datetime, max_deliveries: int, limit: int
) -> Recovered:
    """PROCESSING back to QUEUED where the lease has expired; FAILED after too many deaths.

    A file that was claimed ``max_deliveries`` times without an orderly end kills its workers.
    """
    expired = (
        select(File.id)
        .where(File.status == FileStatus.PROCESSING, File.lease_expires_at < now)
        .order_by(File.lease_expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    released = {"lease_token": None, "lease_expires_at": None, "stage": None}
    failed = connection.execute(
        update(File)
        .where(File.id.in_(expired), File.deliveries >= max_deliveries)
        .values(
            status=FileStatus.FAILED,
            failure_reason=FailureReason.CRASHED_WORKER,
            failure_detail=f"The worker died {max_deliveries} times while it processed this file.",
            finished_at=now,
            **released,
        )
        .returning(*_FILE.columns)
    ).all()
    requeued = connection.execute(
        update(File)
        .where(File.id.in_(expired))
        # next_attempt_at stays: the file had its turn, and goes before those that came after it.
        .values(status=FileStatus.QUEUED, sent_at=None, **released)
        .returning(*_FILE.columns)
    ).all()
    return Recovered(
        requeued=len(requeued),
        failed=len(failed),
        told=[(row.owner_id, FileProgress.of(row)) for row in (*failed, *requeued)],
    )
