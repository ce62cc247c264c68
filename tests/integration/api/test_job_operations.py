"""The operators' API for jobs: the schedule, runs on demand, the history."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from dramatiq import Message as Envelope

from docmill_shared.messages import JANITOR_QUEUE, RunJob
from tests.integration.api.driver import Account, Api, problem
from tests.integration.api.history import body, ran


def test_the_schedule_shows_each_job_with_its_latest_run(
    api: Api, admin: Account, job: str
) -> None:
    def shown() -> Any:
        (found,) = [
            each for each in body(admin.get("/v1/admin/jobs"))["items"] if each["name"] == job
        ]
        return found

    new = shown()
    assert (new["cron"], new["what"]) == ("0 3 * * *", "Cleans.")
    assert datetime.fromisoformat(new["next_at"]) > datetime.now(UTC)
    assert (new["paused_at"], new["last_run"]) == (None, None)

    ran(api, job)
    latest = ran(api, job, error="ValueError: no", dry_run=True)
    last = shown()["last_run"]
    assert last["id"] == str(latest)
    assert (last["status"], last["error"], last["dry_run"]) == ("failed", "ValueError: no", True)

    assert admin.post(f"/v1/admin/jobs/{job}/pause").status_code == 204
    assert shown()["paused_at"] is not None
    assert admin.post(f"/v1/admin/jobs/{job}/resume").status_code == 204
    assert shown()["paused_at"] is None


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_run_can_be_followed_from_the_moment_it_is_asked_for(
    api: Api, admin: Account, job: str, dry_run: bool
) -> None:
    # When a run is asked for
    asked = admin.post(f"/v1/admin/jobs/{job}/runs", {"dry_run": dry_run})
    queued = body(asked, 202)
    assert asked.headers["Location"] == f"/v1/admin/runs/{queued['id']}"
    # Then the janitor is told so
    ((_, data),) = api.resources.broker.fetch(JANITOR_QUEUE, 5)
    message = RunJob.from_fields(dict(Envelope.decode(data).kwargs))
    assert message == RunJob(
        job=job, run_id=queued["id"], requested_by=str(admin.id), dry_run=dry_run
    )
    # and the run is known before a worker begins it,
    location = asked.headers["Location"]
    waiting = body(admin.get(location))
    assert waiting == queued
    assert (waiting["status"], waiting["started_at"]) == ("queued", None)
    assert (waiting["job"], waiting["dry_run"]) == (job, dry_run)
    # while it runs
    fields: dict[str, Any] = {
        "run_id": UUID(queued["id"]),
        "dry_run": dry_run,
        "requested_by": admin.id,
    }
    ran(api, job, finished=False, **fields)
    assert body(admin.get(location))["status"] == "running"
    # and at its end.
    ran(api, job, **fields)
    ended = body(admin.get(location))
    assert (ended["status"], ended["counts"]) == ("succeeded", {"deleted": 2})
    assert (ended["findings"], ended["error"]) == (["delete x"], None)
    assert ended["requested_by"] == str(admin.id)


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "pause", None),
        ("POST", "resume", None),
        ("POST", "runs", {}),
    ],
)
def test_there_is_no_such_job(admin: Account, method: str, path: str, sent: object) -> None:
    answer = admin.call(method, f"/v1/admin/jobs/nothing/{path}", sent)
    problem(answer, 404, "job_not_found")


def test_a_wish_that_is_misspelt_is_refused(admin: Account, job: str) -> None:
    # A dry run that is not understood as one would be a real one.
    for wrong in ({"dryrun": True}, {"dry_run": "yes"}):
        problem(admin.post(f"/v1/admin/jobs/{job}/runs", wrong), 422, "validation_failed")


def test_there_is_no_such_run(admin: Account) -> None:
    problem(admin.get(f"/v1/admin/runs/{uuid4()}"), 404, "run_not_found")


def test_the_history_has_pages_and_filters(api: Api, admin: Account, job: str) -> None:
    made = [str(ran(api, job)) for _ in range(5)]
    failed = str(ran(api, job, error="ValueError: no"))
    refused = str(ran(api, job, error="Refused: DEMO_MODE is off."))
    running = str(ran(api, job, finished=False))
    ran(api, f"{job}_other")

    seen, cursor = [], ""
    while cursor is not None:
        page = body(admin.get(f"/v1/admin/runs?job={job}&limit=3{cursor}"))
        seen += page["items"]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert [each["id"] for each in seen] == [running, refused, failed, *reversed(made)]
    assert [each["status"] for each in seen[:4]] == ["running", "refused", "failed", "succeeded"]
    assert seen[1]["error"] == "DEMO_MODE is off."

    bad = body(admin.get(f"/v1/admin/runs?job={job}&failed=true"))["items"]
    assert [each["id"] for each in bad] == [refused, failed]
    good = body(admin.get(f"/v1/admin/runs?job={job}&failed=false"))["items"]
    assert [each["id"] for each in good] == [running, *reversed(made)]


@pytest.mark.parametrize(
    "path", ["runs?cursor=x", "runs?limit=0", "runs?wrong=1", "dead-letters?cursor=WzEsMl0"]
)
def test_a_wrong_parameter_is_named(admin: Account, path: str) -> None:
    problem(admin.get(f"/v1/admin/{path}"), 422, "validation_failed")
