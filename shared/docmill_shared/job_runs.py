"""The job_runs table: what every run of a recurring job did."""

import socket
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, exists, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from docmill_shared.schema import JobRun

#: How the error of a run begins that was told to run and did nothing on purpose.
REFUSED = "Refused: "

_RUN = JobRun.__table__
_NEWER = aliased(JobRun)


def begin(
    connection: Connection,
    run_id: UUID,
    *,
    job: str,
    slot: datetime | None,
    dry_run: bool,
    requested_by: UUID | None,
) -> None:
    """A run has begun; a message that is delivered again begins its run again."""
    values = {
        "job": job,
        "slot": slot,
        "started_at": func.now(),
        "finished_at": None,
        "dry_run": dry_run,
        "requested_by": requested_by,
        "host": socket.gethostname(),
    }
    connection.execute(
        insert(JobRun)
        .values(id=run_id, **values)
        .on_conflict_do_update(index_elements=[JobRun.id], set_=values)
    )


def finish(
    connection: Connection,
    run_id: UUID,
    *,
    counts: dict[str, int],
    findings: list[str],
    error: str | None,
) -> None:
    """The run has ended, well or with an error."""
    connection.execute(
        update(JobRun)
        .where(JobRun.id == run_id)
        .values(finished_at=func.now(), counts=counts, findings=findings, error=error)
    )


def find(connection: Connection, run_id: UUID) -> Row[Any] | None:
    """One run."""
    return connection.execute(select(*_RUN.columns).where(JobRun.id == run_id)).one_or_none()


def newest(
    connection: Connection,
    *,
    limit: int,
    job: str | None = None,
    failed: bool | None = None,
    before: tuple[datetime, UUID] | None = None,
) -> list[Row[Any]]:
    """Runs, newest first, at most ``limit``, that began before ``before`` (start and id)."""
    query = select(*_RUN.columns).order_by(JobRun.started_at.desc(), JobRun.id.desc()).limit(limit)
    if job is not None:
        query = query.where(JobRun.job == job)
    if failed is not None:
        query = query.where(JobRun.error.is_not(None) if failed else JobRun.error.is_(None))
    if before is not None:
        query = query.where(tuple_(JobRun.started_at, JobRun.id) < before)
    return list(connection.execute(query))


def delete_older_than(connection: Connection, *, now: datetime, age: timedelta, limit: int) -> int:
    """Delete up to ``limit`` runs that began longer ago than ``age``; return how many.

    The latest of each job stays, however old.
    """
    old = (
        select(JobRun.id)
        .where(
            JobRun.started_at < now - age,
            exists().where(_NEWER.job == JobRun.job, _NEWER.started_at > JobRun.started_at),
        )
        .order_by(JobRun.started_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=JobRun)
    )
    return connection.execute(delete(JobRun).where(JobRun.id.in_(old))).rowcount
