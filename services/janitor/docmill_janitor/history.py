"""The job_runs table: what every run of a job did."""

import socket
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, insert, select

from docmill_shared.schema import JobRun


def record(
    connection: Connection,
    *,
    job: str,
    slot: datetime | None,
    started_at: datetime,
    finished_at: datetime,
    counts: dict[str, int],
    error: str | None = None,
) -> None:
    """Keep one run."""
    connection.execute(
        insert(JobRun).values(
            id=uuid4(),
            job=job,
            slot=slot,
            started_at=started_at,
            finished_at=finished_at,
            counts=counts,
            error=error,
            host=socket.gethostname(),
        )
    )


def newest(connection: Connection, job: str, limit: int) -> list[Row[Any]]:
    """The latest runs of a job, newest first."""
    columns = JobRun.__table__.columns
    return list(
        connection.execute(
            select(*columns)
            .where(JobRun.job == job)
            .order_by(JobRun.started_at.desc())
            .limit(limit)
        )
    )
