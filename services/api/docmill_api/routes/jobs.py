"""The recurring jobs: the schedule, runs on demand, the history."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection, Row

from docmill_api import cursors, run_requests
from docmill_api.answers import answer, nothing, problems
from docmill_api.client_input import Flag, Requested, Text
from docmill_api.current import caller, resources
from docmill_api.problems import Problem
from docmill_api.routes.blueprints import operators
from docmill_api.run_view import RunDetails, RunStatus, RunView, sentence, status_of
from docmill_shared import job_runs, job_schedule
from docmill_shared.database import autocommit
from docmill_shared.observability import get_logger

blueprint = operators("jobs", "Recurring jobs: when they run, what they did.")

log = get_logger(__name__)

_NO_SUCH_JOB = problems(_404="`job_not_found`")


class LastRun(BaseModel):
    """The latest run of a job, in short."""

    id: UUID
    status: RunStatus
    dry_run: bool
    started_at: datetime
    finished_at: datetime | None
    counts: dict[str, int]
    error: str | None


class JobView(BaseModel):
    """A job of the schedule."""

    name: str
    cron: str = Field(description="Five fields, or six with seconds first; in UTC.")
    what: str = Field(description="What it does.")
    next_at: datetime | None = Field(description="Null when it runs every few seconds.")
    paused_at: datetime | None = Field(description="Since when its times pass by.")
    published_at: datetime = Field(description="When a scheduler last said all this.")
    last_run: LastRun | None

    @classmethod
    def of(cls, row: Row[Any]) -> "JobView":
        """From a row of ``job_schedule.listed``."""
        last = None
        if row.last_run_id is not None:
            last = LastRun(
                id=row.last_run_id,
                status=status_of(row.last_finished_at, row.last_error),
                dry_run=row.last_dry_run,
                started_at=row.last_started_at,
                finished_at=row.last_finished_at,
                counts=row.last_counts,
                error=sentence(row.last_error),
            )
        return cls(
            name=row.job,
            cron=row.cron,
            what=row.what,
            next_at=row.next_at,
            paused_at=row.paused_at,
            published_at=row.published_at,
            last_run=last,
        )


class JobList(BaseModel):
    """The schedule, by name."""

    items: list[JobView]


class JobName(BaseModel):
    """Which job."""

    job: str


class NewRun(Requested):
    """A run that is wished for."""

    dry_run: Flag = Field(False, description="Change nothing; say what there is to do.")


class RunId(BaseModel):
    """Which run."""

    run_id: UUID


class RunsQuery(Requested):
    """Which part of the history."""

    job: Text | None = Field(None, max_length=200, description="Only runs of this job.")
    failed: bool | None = Field(
        None, description="Only runs that failed or refused; `false`: only others."
    )
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=512, description="`next_cursor` of the page before")


class RunList(BaseModel):
    """Runs, newest first."""

    items: list[RunView]
    next_cursor: str | None = Field(description="Null on the last page.")


@blueprint.get("/jobs", responses={200: JobList})
def list_jobs() -> Response:
    """The schedule as the scheduler that runs has it, with the latest run of each job."""
    with autocommit(resources().engine) as connection:
        rows = job_schedule.listed(connection)
    return answer(JobList(items=[JobView.of(row) for row in rows]))


@blueprint.post("/jobs/<job>/pause", responses={204: None, **_NO_SUCH_JOB})
def pause(path: JobName) -> Response:
    """Let the job's times pass by. It can still be run by hand."""
    return _set(job_schedule.pause, path.job, "a job was paused")


@blueprint.post("/jobs/<job>/resume", responses={204: None, **_NO_SUCH_JOB})
def resume(path: JobName) -> Response:
    """Run the job again from its next time on."""
    return _set(job_schedule.resume, path.job, "a job was resumed")


@blueprint.post(
    "/jobs/<job>/runs",
    responses={
        202: RunDetails,
        **_NO_SUCH_JOB,
        **problems(
            _400="Malformed JSON.",
            _413="Body too large.",
            _415="Not JSON.",
            _422="A field is wrong.",
        ),
    },
)
def run(path: JobName, body: NewRun) -> Response:
    """Run a job now, paused or not; `Location` is where to look for its end."""
    asked = run_requests.request(resources(), caller().id, path.job, dry_run=body.dry_run)
    return answer(_queued(asked), 202, headers={"Location": f"/v1/admin/runs/{asked.id}"})


@blueprint.get("/runs", responses={200: RunList, **problems(_422="A parameter is wrong.")})
def list_runs(query: RunsQuery) -> Response:
    """The history, newest first. A frequent job is in it only when it did something."""
    before = None if query.cursor is None else cursors.decode_place(query.cursor)
    with autocommit(resources().engine) as connection:
        rows = job_runs.newest(
            connection, limit=query.limit + 1, job=query.job, failed=query.failed, before=before
        )
    page = rows[: query.limit]
    more = len(rows) > len(page)
    return answer(
        RunList(
            items=[RunView.of(row) for row in page],
            next_cursor=cursors.encode_place(page[-1].started_at, page[-1].id) if more else None,
        )
    )


@blueprint.get(
    "/runs/<uuid:run_id>", responses={200: RunDetails, **problems(_404="`run_not_found`")}
)
def get_run(path: RunId) -> Response:
    """One run: `queued` from the moment it was asked for until a worker begins it."""
    row = _recorded(path.run_id)
    if row is None:
        asked = run_requests.find(resources(), path.run_id)
        if asked is None:
            raise Problem(404, "run_not_found", "The history has no such run.")
        return answer(_queued(asked))
    return answer(RunDetails.of(row))


def _recorded(run_id: UUID) -> Row[Any] | None:
    with autocommit(resources().engine) as connection:
        return job_runs.find(connection, run_id)


def _queued(asked: run_requests.Requested) -> RunDetails:
    return RunDetails(
        id=asked.id,
        job=asked.job,
        status=RunStatus.QUEUED,
        dry_run=asked.dry_run,
        slot=None,
        requested_by=asked.requested_by,
        started_at=None,
        finished_at=None,
        counts={},
        error=None,
        host=None,
        findings=[],
    )


def _set(change: Callable[[Connection, str], bool], job: str, done: str) -> Response:
    with autocommit(resources().engine) as connection:
        if not change(connection, job):
            raise run_requests.no_such_job(job)
    log.info(done, job=job, by=str(caller().id))
    return nothing()
