"""clean_abandoned_files, with the clock in the test's hand."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from docmill_janitor.jobs import clean_abandoned_files, finish_deletions
from docmill_janitor.resources import Resources
from docmill_shared.files import reservations
from docmill_shared.schema import File
from docmill_shared.states import FileStatus
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

DAY = timedelta(hours=24)
MOMENT = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def only_this_tests_files(resources: Resources) -> None:
    forget_all_files(resources.engine)


def test_what_was_abandoned_goes_with_its_object(resources: Resources, owner: Owner) -> None:
    now = resources.now()
    other = new_owner(resources.engine, resources.objects)
    long_ago = now - DAY - MOMENT
    gone = [add_file(owner, S.PENDING, long_ago), add_file(owner, S.FAILED, long_ago)]
    never_uploaded = add_file(other, S.PENDING, long_ago, stored=False)
    swept = clean_abandoned_files.run(resources, now=now, limit=100)
    assert swept.counts == {"pending": 2, "failed": 1, "kept": 0}
    assert not swept.more
    assert not {*gone, never_uploaded} & statuses(resources.engine).keys()
    assert stored(resources, owner) == set()


def test_the_boundary_second_and_everything_else_is_spared(
    resources: Resources, owner: Owner
) -> None:
    now = resources.now()
    for status in (S.PENDING, S.FAILED):
        add_file(owner, status, now - DAY)  # exactly a day: not longer than a day
        add_file(owner, status, now)
    # Reserved long ago, but it FAILED only just now.
    add_file(owner, S.FAILED, now, created_at=now - 3 * DAY)
    for status in FileStatus:
        if status not in (S.PENDING, S.FAILED):
            add_file(owner, status, now - 30 * DAY, passages=2 if status == S.COMPLETED else 0)
    before = statuses(resources.engine)
    swept = clean_abandoned_files.run(resources, now=now, limit=100)
    assert swept.idle
    assert statuses(resources.engine) == before
    assert stored(resources, owner) == before.keys()
    assert chunk_count(resources.engine) == 2
    moment_later = clean_abandoned_files.run(resources, now=now + MOMENT, limit=100)
    assert moment_later.counts == {"pending": 1, "failed": 1, "kept": 0}


def test_the_age_is_a_setting(build: Build) -> None:
    resources = build(ABANDONED_AFTER_HOURS="48")
    owner, now = new_owner(resources.engine, resources.objects), resources.now()
    add_file(owner, S.PENDING, now - timedelta(hours=47))
    add_file(owner, S.FAILED, now - timedelta(hours=49))
    swept = clean_abandoned_files.run(resources, now=now, limit=100)
    assert swept.counts == {"pending": 0, "failed": 1, "kept": 0}


def test_a_file_that_is_retried_is_spared(resources: Resources, owner: Owner) -> None:
    now = resources.now()
    retried, retrying, left = (add_file(owner, S.FAILED, now - 2 * DAY) for _ in range(3))
    with resources.engine.begin() as connection:
        assert reservations.retry(connection, retried, owner.id)
    with resources.engine.begin() as connection:
        # Not committed yet: the sweep must neither wait for it nor take it.
        assert reservations.retry(connection, retrying, owner.id)
        swept = clean_abandoned_files.run(resources, now=now, limit=100)
    assert swept.counts == {"pending": 0, "failed": 1, "kept": 0}
    assert statuses(resources.engine) == {retried: "QUEUED", retrying: "QUEUED"}
    assert stored(resources, owner) == {retried, retrying}
    assert left not in statuses(resources.engine)


def test_a_sweep_is_bounded_and_says_that_there_is_more(resources: Resources, owner: Owner) -> None:
    now = resources.now()
    for hours in range(5):
        add_file(owner, S.PENDING, now - 2 * DAY - timedelta(hours=hours), stored=False)
    sweeps = [clean_abandoned_files.run(resources, now=now, limit=2) for _ in range(3)]
    assert [each.counts["pending"] for each in sweeps] == [2, 2, 1]
    assert [each.more for each in sweeps] == [True, True, False]


def test_a_dry_run_lists_and_changes_nothing(resources: Resources, owner: Owner) -> None:
    now = resources.now()
    since = (now - 2 * DAY).replace(microsecond=0)
    pending, failed = add_file(owner, S.PENDING, since), add_file(owner, S.FAILED, since)
    add_file(owner, S.PENDING, now)
    before = statuses(resources.engine)
    swept = clean_abandoned_files.run(resources, now=now, limit=100, dry_run=True)
    assert swept.counts == {"pending": 1, "failed": 1, "kept": 0}
    at = since.isoformat(sep=" ")
    assert set(swept.findings) == {
        f"delete file {pending} (PENDING since {at})",
        f"delete file {failed} (FAILED since {at})",
    }
    assert statuses(resources.engine) == before
    assert stored(resources, owner) == before.keys()


def test_two_sweeps_at_once_count_each_file_once(resources: Resources, owner: Owner) -> None:
    now = resources.now()
    for _ in range(60):
        add_file(owner, S.FAILED, now - 2 * DAY)

    def sweep(_: int) -> int:
        total = 0
        while swept := clean_abandoned_files.run(resources, now=now, limit=7).counts["failed"]:
            total += swept
        return total

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(sweep, range(2))) == 60
    assert statuses(resources.engine) == {}
    assert stored(resources, owner) == set()


def test_a_crash_after_the_marking_leaves_it_to_finish_deletions(
    resources: Resources, owner: Owner
) -> None:
    """The same at any later point: an object, then its row, and both steps may be repeated."""
    now = resources.now()
    files = {add_file(owner, S.FAILED, now - 2 * DAY) for _ in range(3)}

    def die(connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("DELETE FROM files"):
            raise KeyboardInterrupt

    event.listen(resources.engine, "before_cursor_execute", die)
    try:
        with pytest.raises(KeyboardInterrupt):
            clean_abandoned_files.run(resources, now=now, limit=100)
    finally:
        event.remove(resources.engine, "before_cursor_execute", die)
    assert statuses(resources.engine) == dict.fromkeys(files, "DELETING")
    with resources.engine.connect() as connection:
        assert set(connection.execute(select(File.failure_reason)).scalars()) == {None}
    swept = finish_deletions.run(resources, now=now, limit=100)
    assert swept.counts == {"deleted": 3, "duplicates": 0, "kept": 0}
    assert statuses(resources.engine) == {}
    assert stored(resources, owner) == set()
