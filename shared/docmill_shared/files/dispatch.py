"""What the janitor does for files that wait, and for files whose worker is gone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from docmill_shared.schema import File
from docmill_shared.states import FailureReason, FileStatus

#: A message that was not picked up for this long is taken as lost. A second message for the same
#: file is harmless, since only one claim can succeed.
RESEND_AFTER = timedelta(seconds=30)


def take_due(connection: Connection, *, now: datetime, limit: int) -> list[UUID]:
    """Mark up to ``limit`` due files as sent and return them, fairly: one of each owner in turn."""
    due = (
        select(
            File.id,
            func.row_number()
            .over(partition_by=File.owner_id, order_by=(File.next_attempt_at, File.id))
            .label("turn"),
        )
        .where(_is_due(now))
        .subquery()
    )
    turns = select(due.c.id, due.c.turn).order_by(due.c.turn, due.c.id).limit(limit).cte("turns")
    taken = connection.execute(
        update(File)
        .where(File.id == turns.c.id, _is_due(now))
        .values(sent_at=now)
        .returning(File.id, turns.c.turn)
    ).all()
    return [row.id for row in sorted(taken, key=lambda row: (row.turn, row.id))]


def _is_due(now: datetime) -> ColumnElement[bool]:
    return and_(
        File.status == FileStatus.QUEUED,
        File.next_attempt_at <= now,
        or_(File.sent_at.is_(None), File.sent_at < now - RESEND_AFTER),
    )


@dataclass(frozen=True, slots=True)
class Recovered:
    """Files whose lease had expired, by what became of them."""

    requeued: int
    failed: int


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
    ).rowcount
    requeued = connection.execute(
        update(File)
        .where(File.id.in_(expired))
        .values(status=FileStatus.QUEUED, next_attempt_at=now, sent_at=None, **released)
    ).rowcount
    return Recovered(requeued=requeued, failed=failed)
