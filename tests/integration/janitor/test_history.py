"""prune_history, with the clock in the test's hand."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, insert, select

from docmill_janitor.jobs import prune_history
from docmill_janitor.resources import Resources
from docmill_shared.schema import JobRun

AGE = timedelta(days=30)
MOMENT = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def no_history(resources: Resources) -> None:
    with resources.engine.begin() as connection:
        connection.execute(delete(JobRun))


def ran(resources: Resources, job: str, at: datetime) -> UUID:
    run_id = uuid4()
    with resources.engine.begin() as connection:
        connection.execute(
            insert(JobRun).values(id=run_id, job=job, started_at=at, finished_at=at, host="here")
        )
    return run_id


def remembered(resources: Resources) -> set[UUID]:
    with resources.engine.connect() as connection:
        return set(connection.execute(select(JobRun.id)).scalars())


def test_old_runs_go_at_the_boundary(resources: Resources) -> None:
    now = resources.now()
    old = ran(resources, "daily", now - AGE - MOMENT)
    kept = {ran(resources, "daily", now - AGE), ran(resources, "daily", now)}
    swept = prune_history.run(resources, now=now, limit=100)
    assert swept.counts == {"runs": 1}
    assert remembered(resources) == kept
    assert old not in remembered(resources)


def test_the_latest_run_of_each_job_stays_however_old(resources: Resources) -> None:
    now = resources.now()
    kept = set()
    for job in ("weekly", "retired"):
        for days in (300, 200):
            ran(resources, job, now - timedelta(days=days))
        kept.add(ran(resources, job, now - timedelta(days=100)))
    assert prune_history.run(resources, now=now, limit=100).counts == {"runs": 4}
    assert remembered(resources) == kept


def test_a_sweep_is_bounded_and_a_dry_run_changes_nothing(resources: Resources) -> None:
    now = resources.now()
    for days in range(5):
        ran(resources, "daily", now - AGE - timedelta(days=days + 1))
    before = remembered(resources)
    swept = prune_history.run(resources, now=now, limit=100, dry_run=True)
    assert swept.counts == {"runs": 4}
    assert remembered(resources) == before
    sweeps = [prune_history.run(resources, now=now, limit=3) for _ in range(2)]
    assert [(each.counts["runs"], each.more) for each in sweeps] == [(3, True), (1, False)]
