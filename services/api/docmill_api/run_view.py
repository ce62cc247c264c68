"""A run of a job as the operators' API shows it."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import Row

from docmill_shared.job_runs import REFUSED


class RunStatus(StrEnum):
    """How far a run is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"


class RunView(BaseModel):
    """One run of a recurring job."""

    id: UUID
    job: str
    status: RunStatus = Field(
        description="`queued`: asked for, and no worker has begun it. `running` for ever: its"
        " worker died. `refused`: told to run, the job did nothing on purpose; `error` says why."
    )
    dry_run: bool = Field(description="It only looked for what there is to do.")
    slot: datetime | None = Field(description="When it was due; null when somebody asked for it.")
    requested_by: UUID | None = Field(description="The account that asked; null: the schedule.")
    started_at: datetime | None = Field(description="Null while it is queued.")
    finished_at: datetime | None
    counts: dict[str, int] = Field(description="What it did, or in a dry run would do, by kind.")
    error: str | None = Field(description="Why it failed or refused.")
    host: str | None

    @classmethod
    def of(cls, row: Row[Any]) -> "RunView":
        """From a row of the history."""
        return cls(**_fields(row))


class RunDetails(RunView):
    """One run with all that is known of it."""

    findings: list[str] = Field(description="What a dry run found to do, a line each.")

    @classmethod
    def of(cls, row: Row[Any]) -> "RunDetails":
        """From a row of the history."""
        return cls(**_fields(row), findings=row.findings)


def status_of(finished_at: datetime | None, error: str | None) -> RunStatus:
    """The status of a run that has begun."""
    if finished_at is None:
        return RunStatus.RUNNING
    if error is None:
        return RunStatus.SUCCEEDED
    return RunStatus.REFUSED if error.startswith(REFUSED) else RunStatus.FAILED


def sentence(error: str | None) -> str | None:
    """The error without what its status says already."""
    return None if error is None else error.removeprefix(REFUSED)


def _fields(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "job": row.job,
        "status": status_of(row.finished_at, row.error),
        "dry_run": row.dry_run,
        "slot": row.slot,
        "requested_by": row.requested_by,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "counts": row.counts,
        "error": sentence(row.error),
        "host": row.host,
    }
