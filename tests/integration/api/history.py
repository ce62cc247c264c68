"""Runs in the history of jobs, as the janitor would have recorded them, and answers read."""

from typing import Any
from uuid import UUID, uuid4

from docmill_shared import job_runs
from tests.integration.api.driver import Api


def ran(
    api: Api,
    job: str,
    *,
    run_id: UUID | None = None,
    error: str | None = None,
    finished: bool = True,
    **fields: Any,
) -> UUID:
    """A run in the history."""
    run_id = run_id or uuid4()
    with api.owner.begin() as connection:
        begun = {"slot": None, "dry_run": False, "requested_by": None, **fields}
        job_runs.begin(connection, run_id, job=job, **begun)
        if finished:
            job_runs.finish(
                connection, run_id, counts={"deleted": 2}, findings=["delete x"], error=error
            )
    return run_id


def body(answer: Any, status: int = 200) -> Any:
    """The JSON of an answer that must have this status."""
    assert answer.status_code == status, answer.text
    return answer.json
