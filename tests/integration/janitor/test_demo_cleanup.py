"""The cleanups of a public demonstration: what they spare, and that outside of one they refuse."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from dramatiq import Worker
from sqlalchemy import Row, insert
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from docmill_janitor import actors, runner
from docmill_janitor.jobs import clean_demo_private_files, clean_demo_public_files
from docmill_janitor.resources import Resources
from docmill_janitor.schedule import ScheduledJob, schedule
from docmill_shared import job_runs
from docmill_shared.broker import send
from docmill_shared.errors import ConfigurationError
from docmill_shared.files import deletions
from docmill_shared.messages import RunJob
from docmill_shared.schema import User
from docmill_shared.states import FileStatus, Visibility
from tests.integration.janitor.conftest import Build
from tests.integration.janitor.file_states import (
    S,
    add_file,
    chunk_count,
    forget_all_files,
    statuses,
    stored,
)
from tests.owners import Owner, new_owner

JOBS = {
    Visibility.PUBLIC: clean_demo_public_files,
    Visibility.PRIVATE: clean_demo_private_files,
}
NAMES = ("clean_demo_public_files", "clean_demo_private_files")
NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def only_this_tests_files(resources: Resources) -> None:
    forget_all_files(resources.engine)


@pytest.fixture
def admin(resources: Resources) -> Owner:
    """The demo's admin; the address is stored in lower case."""
    owner = Owner(uuid4(), resources.engine, resources.objects)
    with resources.engine.begin() as connection:
        connection.execute(
            insert(User).values(id=owner.id, email=_address(owner), password_hash="-", role="admin")
        )
    return owner


@pytest.fixture
def demo(build: Build, admin: Owner) -> Resources:
    """Resources in demo mode; the address as a person would write it."""
    return build(DEMO_MODE="true", DEMO_ADMIN_EMAIL=f" {_address(admin).title()} ")


def _address(owner: Owner) -> str:
    return f"admin-{owner.id}@example.org"


def files_of_everyone(*owners: Owner) -> int:
    """A COMPLETED file of each owner and visibility, with two passages each."""
    for owner in owners:
        for visibility in Visibility:
            add_file(owner, S.COMPLETED, NOON, visibility=visibility, passages=2, sha256=None)
    return len(owners) * len(Visibility)


def job_named(name: str, resources: Resources) -> ScheduledJob:
    return next(job for job in schedule(resources.settings) if job.name == name)


def latest(resources: Resources, job: str) -> Row[Any]:
    with resources.engine.connect() as connection:
        [row] = job_runs.newest(connection, job=job, limit=1)
    return row


@pytest.mark.parametrize("visibility", Visibility)
def test_completed_files_of_one_visibility_go(
    demo: Resources, admin: Owner, owner: Owner, visibility: Visibility
) -> None:
    now = demo.now()
    other = new_owner(demo.engine, demo.objects)
    admins = {add_file(admin, S.COMPLETED, now, visibility=each, passages=1) for each in Visibility}
    spared = {
        add_file(owner, status, now - timedelta(days=9), visibility=visibility, stored=False)
        for status in FileStatus
        if status != S.COMPLETED
    }
    (opposite,) = set(Visibility) - {visibility}
    spared.add(add_file(owner, S.COMPLETED, now, visibility=opposite, passages=1))
    for each in (owner, other):
        add_file(each, S.COMPLETED, now, visibility=visibility, passages=3)
    swept = JOBS[visibility].run(demo, now=now, limit=100)
    assert swept.counts == {"files": 2, "kept": 0}
    assert swept.refused is None
    assert statuses(demo.engine).keys() == admins | spared
    assert chunk_count(demo.engine) == 3
    assert stored(demo, other) == set()
    assert stored(demo, admin) == admins
    assert JOBS[visibility].run(demo, now=now, limit=100).idle


def test_passages_vanish_at_once_even_if_the_store_refuses(demo: Resources, owner: Owner) -> None:
    now = demo.now()
    key = f"uploads/{owner.id}/../refused"
    stuck = add_file(owner, S.COMPLETED, now, passages=5, stored=False, object_key=key)
    swept = clean_demo_private_files.run(demo, now=now, limit=100)
    assert swept.counts == {"files": 0, "kept": 1}
    assert statuses(demo.engine) == {stuck: "DELETING"}
    assert chunk_count(demo.engine) == 0


def test_a_statement_deletes_a_bounded_number_of_passages(
    demo: Resources, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletions, "PASSAGES_AT_ONCE", 5)
    now = demo.now()
    for number in range(5):
        add_file(owner, S.COMPLETED, now + timedelta(seconds=number), passages=3, stored=False)
    add_file(owner, S.COMPLETED, now + timedelta(minutes=1), passages=9, stored=False)
    sweeps = [clean_demo_private_files.run(demo, now=now, limit=100) for _ in range(5)]
    assert [each.counts["files"] for each in sweeps] == [2, 2, 2, 0, 0]
    assert [each.more for each in sweeps] == [True, True, True, False, False]
    assert chunk_count(demo.engine) == 0


def test_two_sweeps_at_once_count_each_file_once(demo: Resources, owner: Owner) -> None:
    now = demo.now()
    for _ in range(30):
        add_file(owner, S.COMPLETED, now, passages=1)

    def sweep(_: int) -> int:
        total = 0
        while swept := clean_demo_private_files.run(demo, now=now, limit=4).counts["files"]:
            total += swept
        return total

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(sweep, range(2))) == 30
    assert statuses(demo.engine) == {}
    assert stored(demo, owner) == set()


def test_a_dry_run_lists_and_changes_nothing(demo: Resources, admin: Owner, owner: Owner) -> None:
    files_of_everyone(admin)
    file_id = add_file(owner, S.COMPLETED, NOON, passages=2)
    before = statuses(demo.engine)
    swept = clean_demo_private_files.run(demo, now=demo.now(), limit=100, dry_run=True)
    assert swept.counts == {"files": 1, "kept": 0}
    assert swept.findings == (f"delete file {file_id} (COMPLETED since 2030-01-01 12:00:00+00:00)",)
    assert statuses(demo.engine) == before
    assert chunk_count(demo.engine) == 6


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("mode", ["unset", "false"])
def test_outside_of_demo_mode_it_refuses_and_says_so(
    build: Build, admin: Owner, owner: Owner, *, name: str, dry_run: bool, by_hand: bool, mode: str
) -> None:
    """Also with the admin's address set, as it is where somebody turned the demo off."""
    variables = {"DEMO_ADMIN_EMAIL": _address(admin)}
    resources = build(**variables, **({} if mode == "unset" else {"DEMO_MODE": mode}))
    files_of_everyone(admin, owner)
    before = statuses(resources.engine)
    run_id = uuid4()
    with capture_logs(processors=[merge_contextvars]) as logs:
        swept = runner.run(
            job_named(name, resources),
            None if by_hand else NOON,
            resources,
            run_id=run_id,
            requested_by=admin.id if by_hand else None,
            dry_run=dry_run,
        )
    assert swept.refused == "DEMO_MODE is not true, so nobody's files are deleted."
    assert swept.idle
    assert not swept.findings
    row = latest(resources, name)
    assert (row.id, row.dry_run, row.counts, row.findings) == (run_id, dry_run, {}, [])
    assert row.error == "Refused: DEMO_MODE is not true, so nobody's files are deleted."
    assert row.finished_at is not None
    [refusal] = [each for each in logs if each["event"] == "refused"]
    assert refusal["log_level"] == "warning"
    assert refusal["job"] == name
    assert "DEMO_MODE" in refusal["why"]
    nothing_happened(resources, before, admin, owner)


def nothing_happened(resources: Resources, before: dict[Any, str], *owners: Owner) -> None:
    assert statuses(resources.engine) == before
    assert chunk_count(resources.engine) == 2 * len(before)
    assert set.union(*(stored(resources, owner) for owner in owners)) == before.keys()


@pytest.fixture
def worker(build: Build, admin: Owner) -> Iterator[Resources]:
    """A janitor's worker outside of demo mode."""
    resources = build(DEMO_MODE="false", DEMO_ADMIN_EMAIL=_address(admin))
    actors.declare(resources.broker, resources, schedule(resources.settings))
    running = Worker(resources.broker, worker_threads=1)
    running.start()
    yield resources
    running.stop()


@pytest.mark.parametrize("name", NAMES)
def test_a_message_is_refused_as_well(
    worker: Resources, admin: Owner, owner: Owner, eventually: Any, name: str
) -> None:
    """The whole way of a job that somebody runs by hand, and of one that the schedule fires."""
    files_of_everyone(admin, owner)
    before = statuses(worker.engine)
    by_hand, by_schedule = uuid4(), uuid4()
    requested_by = str(admin.id)
    send(worker.broker, RunJob(job=name, run_id=str(by_hand), requested_by=requested_by))
    send(worker.broker, RunJob(job=name, run_id=str(by_schedule), slot=NOON.isoformat()))

    def recorded() -> bool:
        with worker.engine.connect() as connection:
            rows = [job_runs.find(connection, each) for each in (by_hand, by_schedule)]
        return all(
            row is not None and row.finished_at and row.error.startswith("Refused: DEMO_MODE")
            for row in rows
        )

    eventually(recorded, what="two refusals in the history")
    nothing_happened(worker, before, admin, owner)


@pytest.mark.parametrize("name", NAMES)
def test_with_an_address_that_names_nobody_it_refuses(
    build: Build, admin: Owner, owner: Owner, name: str
) -> None:
    """A letter wrong in the address, and the admin's own files would go."""
    resources = build(DEMO_MODE="true", DEMO_ADMIN_EMAIL=f"x{_address(admin)}")
    files_of_everyone(admin, owner)
    before = statuses(resources.engine)
    swept = runner.run(job_named(name, resources), NOON, resources)
    assert swept.refused is not None
    assert swept.refused.startswith("DEMO_ADMIN_EMAIL names no account.")
    assert "DEMO_ADMIN_EMAIL" in latest(resources, name).error
    nothing_happened(resources, before, admin, owner)


def test_demo_mode_without_an_address_does_not_even_start(build: Build) -> None:
    with pytest.raises(ConfigurationError, match="DEMO_ADMIN_EMAIL"):
        build(DEMO_MODE="true")
