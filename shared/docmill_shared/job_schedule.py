"""The schedule table: the recurring jobs as the scheduler that runs has them.

The scheduler publishes them, so that operators see what is really scheduled, whatever release or
setting another process has; operators pause them here.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, lateral, select, true, update
from sqlalchemy.dialects.postgresql import insert

from docmill_shared.schema import JobRun, ScheduledJobRow

#: A job that no scheduler has published for this long is no longer part of the schedule.
_FORGET_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Published:
    """A job for operators to see. ``next_at`` is None where it runs every few seconds."""

    job: str
    cron: str
    what: str
    next_at: datetime | None


def publish(connection: Connection, jobs: Sequence[Published], now: datetime) -> None:
    """Replace what was published before; what operators did to a job stays."""
    told = insert(ScheduledJobRow).values([{**asdict(job), "published_at": now} for job in jobs])
    changed = {name: told.excluded[name] for name in ("cron", "what", "next_at", "published_at")}
    connection.execute(
        told.on_conflict_do_update(index_elements=[ScheduledJobRow.job], set_=changed)
    )
    # Not at once: during a rollout a scheduler of the other release publishes jobs of its own.
    stale = ScheduledJobRow.published_at < now - _FORGET_AFTER
    connection.execute(delete(ScheduledJobRow).where(stale))


def listed(connection: Connection) -> list[Row[Any]]:
    """Every job by name, with the columns of its latest run prefixed ``last_``."""
    last = lateral(
        select(
            JobRun.id.label("last_run_id"),
            JobRun.started_at.label("last_started_at"),
            JobRun.finished_at.label("last_finished_at"),
            JobRun.counts.label("last_counts"),
            JobRun.error.label("last_error"),
            JobRun.dry_run.label("last_dry_run"),
        )
        .where(JobRun.job == ScheduledJobRow.job)
        .order_by(JobRun.started_at.desc())
        .limit(1)
    )
    query = (
        select(*ScheduledJobRow.__table__.columns, *last.columns)
        .outerjoin_from(ScheduledJobRow, last, true())
        .order_by(ScheduledJobRow.job)
    )
    return list(connection.execute(query))


def pause(connection: Connection, job: str) -> bool:
    """Let the job's slots pass by; False when there is no such job. Pausing twice is harmless."""
    return _set_paused(connection, job, func.coalesce(ScheduledJobRow.paused_at, func.now()))


def resume(connection: Connection, job: str) -> bool:
    """Run the job again from its next slot on; False when there is no such job."""
    return _set_paused(connection, job, None)


def is_paused(connection: Connection, job: str) -> bool:
    """Whether an operator has paused the job."""
    found = select(ScheduledJobRow.paused_at).where(ScheduledJobRow.job == job)
    return connection.execute(found).scalar() is not None


def bookmark(connection: Connection, job: str) -> str | None:
    """Where a job that works through everything in parts goes on; None: at the beginning."""
    found: str | None = connection.execute(
        select(ScheduledJobRow.bookmark).where(ScheduledJobRow.job == job)
    ).scalar()
    return found


def set_bookmark(connection: Connection, job: str, place: str | None) -> None:
    """Remember the place. A job that was never published has none and begins anew each time."""
    connection.execute(
        update(ScheduledJobRow).where(ScheduledJobRow.job == job).values(bookmark=place)
    )


def _set_paused(connection: Connection, job: str, value: Any) -> bool:
    changed = connection.execute(
        update(ScheduledJobRow).where(ScheduledJobRow.job == job).values(paused_at=value)
    )
    return changed.rowcount == 1
