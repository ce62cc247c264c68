"""The schedule: slots, who owns them, and what a run leaves in the history."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import pytest
from sqlalchemy import delete, func, insert, select

from docmill_janitor import runner, scheduler
from docmill_janitor.resources import Resources
from docmill_janitor.schedule import ScheduledJob, claim_slot, latest_slot, schedule
from docmill_janitor.swept import Swept
from docmill_shared import job_runs
from docmill_shared.broker import depth
from docmill_shared.messages import JANITOR_QUEUE, RunJob
from docmill_shared.schema import RefreshToken, RevokedToken, ScheduleSlot
from tests.integration.janitor.conftest import Build
from tests.owners import Owner

NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


def hourly(run: object = None, *, frequent: bool = False) -> ScheduledJob:
    return ScheduledJob("hourly", "0 * * * *", run, "A test.", frequent=frequent)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_slots(resources: Resources) -> None:
    with resources.engine.begin() as connection:
        connection.execute(delete(ScheduleSlot))


def test_the_latest_slot_is_found_on_the_grid() -> None:
    trigger = hourly().trigger
    hour = timedelta(hours=1)
    assert latest_slot(trigger, NOON, hour) == NOON
    assert latest_slot(trigger, NOON + timedelta(minutes=59), hour) == NOON
    assert latest_slot(trigger, NOON + timedelta(minutes=30), timedelta(minutes=10)) is None


def test_a_slot_belongs_to_one_of_many_replicas(resources: Resources) -> None:
    def claim(_: int) -> bool:
        with resources.engine.begin() as connection:
            return claim_slot(connection, "hourly", NOON)

    with ThreadPoolExecutor(5) as pool:
        assert sum(pool.map(claim, range(20))) == 1


def test_an_older_slot_is_not_fired_after_a_newer_one(resources: Resources) -> None:
    with resources.engine.begin() as connection:
        assert claim_slot(connection, "hourly", NOON)
        assert not claim_slot(connection, "hourly", NOON - timedelta(hours=1))
        assert claim_slot(connection, "hourly", NOON + timedelta(hours=1))


class AlwaysNoon(datetime):
    """So that no slot comes in the middle of a test."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        moment = NOON.astimezone(tz)
        return cls.combine(moment.date(), moment.time(), moment.tzinfo)


@pytest.fixture
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "datetime", AlwaysNoon)


def missed(resources: Resources) -> int:
    """Jobs with a slot in the catch-up window; the hourly ones are among them."""
    window = timedelta(seconds=resources.settings.catch_up_seconds)
    jobs = [job for job in schedule(resources.settings) if not job.frequent]
    slots = [latest_slot(job.trigger, NOON, window) for job in jobs]
    found = sum(slot is not None for slot in slots)
    assert found >= 2
    return found


@pytest.mark.usefixtures("at_noon")
def test_a_missed_slot_fires_once_on_return(build: Build) -> None:
    resources = build(CATCH_UP_SECONDS="7200")
    jobs = schedule(resources.settings)
    scheduler.catch_up(resources, jobs)
    scheduler.catch_up(resources, jobs)
    assert depth(resources.broker, JANITOR_QUEUE) == missed(resources)


@pytest.mark.usefixtures("at_noon")
def test_a_slot_whose_message_could_not_be_sent_is_not_lost(build: Build) -> None:
    resources = build(CATCH_UP_SECONDS="7200")
    jobs = schedule(resources.settings)
    away = resources.broker.client.connection_pool
    resources.broker.client.connection_pool = type(away).from_url("redis://127.0.0.1:1/0")
    scheduler.catch_up(
        resources, schedule(resources.settings)
    )  # says so in the log and does not raise
    resources.broker.client.connection_pool = away
    scheduler.catch_up(resources, jobs)
    assert depth(resources.broker, JANITOR_QUEUE) == missed(resources)


def test_every_job_of_the_schedule_says_what_it_does(resources: Resources) -> None:
    jobs = schedule(resources.settings)
    assert {job.name for job in jobs} >= {
        "dispatch_due",
        "recover_expired_leases",
        "clean_expired_tokens",
    }
    for job in jobs:
        assert job.what.endswith(".")
        assert RunJob(job=job.name, slot=NOON.isoformat()).actor == "run_job"


def test_a_run_goes_on_while_there_is_more_and_is_recorded(resources: Resources) -> None:
    left = [3]

    def sweep(resources: Resources, *, now: datetime, limit: int, dry_run: bool) -> Swept:
        left[0] -= 1
        return Swept({"rows": limit}, more=left[0] > 0)

    runner.run(hourly(sweep), NOON, resources)
    with resources.engine.connect() as connection:
        [row] = job_runs.newest(connection, job="hourly", limit=1)
    assert row.counts == {"rows": 3 * resources.settings.sweep_rows}
    assert (row.slot, row.error) == (NOON, None)
    assert row.started_at <= row.finished_at


def test_a_failed_run_is_recorded_and_raised(resources: Resources) -> None:
    def sweep(resources: Resources, *, now: datetime, limit: int, dry_run: bool) -> Swept:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        runner.run(hourly(sweep), NOON, resources)
    with resources.engine.connect() as connection:
        [row] = job_runs.newest(connection, job="hourly", limit=1)
    assert row.error == "ValueError: no such thing"


def test_an_idle_frequent_run_leaves_no_row(resources: Resources) -> None:
    def sweep(resources: Resources, *, now: datetime, limit: int, dry_run: bool) -> Swept:
        return Swept({"rows": 0})

    job = ScheduledJob("idle", "0 * * * *", sweep, "A test.", frequent=True)
    runner.run(job, NOON, resources)
    with resources.engine.connect() as connection:
        assert job_runs.newest(connection, job="idle", limit=1) == []


def test_expired_tokens_go_and_others_stay(resources: Resources, owner: Owner) -> None:
    now = resources.now()
    with resources.engine.begin() as connection:
        for number, expires_at in enumerate((now - timedelta(seconds=1), now, now + timedelta(1))):
            connection.execute(
                insert(RevokedToken).values(jti=func.gen_random_uuid(), expires_at=expires_at)
            )
            connection.execute(
                insert(RefreshToken).values(
                    id=func.gen_random_uuid(),
                    user_id=owner.id,
                    family_id=func.gen_random_uuid(),
                    token_sha256=bytes([number]),
                    expires_at=expires_at,
                )
            )
    job = next(j for j in schedule(resources.settings) if j.name == "clean_expired_tokens")
    swept = job.run(resources, now=now, limit=100, dry_run=False)
    assert swept.counts == {"revoked_tokens": 1, "refresh_tokens": 1, "api_keys": 0}
    with resources.engine.connect() as connection:
        left = connection.execute(select(RevokedToken.expires_at)).scalars()
        assert min(left) == now, "what expires in this very second is spared"
