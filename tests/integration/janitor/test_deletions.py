"""finish_deletions, and what every sweep does when the store does not."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select

from docmill_dev.servers import S3Server
from docmill_dev.stack import Stack
from docmill_janitor.jobs import clean_abandoned_files, finish_deletions
from docmill_janitor.resources import Resources
from docmill_janitor.schedule import published, schedule
from docmill_shared import job_schedule
from docmill_shared.errors import StorageUnavailable
from docmill_shared.files import reservations
from docmill_shared.schema import File
from tests.integration.janitor.file_states import (
    S,
    add_file,
    chunk_count,
    forget_all_files,
    statuses,
    stored,
)
from tests.owners import Owner

AGES = timedelta(days=2)


@pytest.fixture(autouse=True)
def a_fresh_start(resources: Resources) -> None:
    """No files, and a published schedule, in which the job keeps its place."""
    forget_all_files(resources.engine)
    now = datetime.now(UTC)
    with resources.engine.begin() as connection:
        job_schedule.publish(connection, published(schedule(resources.settings), now), now)
        job_schedule.set_bookmark(connection, "finish_deletions", None)


@pytest.fixture
def storage(stack: Stack) -> Iterator[S3Server]:
    """The object store, for a test to stop; afterwards it runs again."""
    yield stack.s3
    if not stack.s3.answers():
        stack.s3.start()


def refused(owner: Owner, since: datetime) -> UUID:
    """A DELETING file whose object the store refuses to delete, for a name that it forbids."""
    return add_file(
        owner, S.DELETING, since, stored=False, object_key=f"uploads/{owner.id}/../{uuid4()}"
    )


def test_what_was_interrupted_is_finished(resources: Resources, owner: Owner) -> None:
    now = resources.now()
    add_file(owner, S.DELETING, now, passages=3)  # passages as no release leaves them
    add_file(owner, S.DELETING, now - AGES)
    duplicate = add_file(owner, S.DUPLICATE, now)
    settled = add_file(owner, S.DUPLICATE, now, object_deleted_at=now, stored=False)
    kept = {add_file(owner, status, now - AGES) for status in (S.PENDING, S.FAILED, S.COMPLETED)}
    swept = finish_deletions.run(resources, now=now, limit=100)
    assert swept.counts == {"deleted": 2, "duplicates": 1, "kept": 0}
    assert statuses(resources.engine).keys() == {*kept, duplicate, settled}
    assert stored(resources, owner) == kept
    assert chunk_count(resources.engine) == 0
    row = owner.file(duplicate)
    assert row is not None
    assert (row.status, row.object_deleted_at) == ("DUPLICATE", now)
    assert finish_deletions.run(resources, now=now, limit=100).idle


def test_a_dry_run_lists_and_changes_nothing(resources: Resources, owner: Owner) -> None:
    now = resources.now()
    deleting, duplicate = (add_file(owner, each, now) for each in (S.DELETING, S.DUPLICATE))
    before = statuses(resources.engine)
    swept = finish_deletions.run(resources, now=now, limit=100, dry_run=True)
    assert swept.counts == {"deleted": 1, "duplicates": 1, "kept": 0}
    assert set(swept.findings) == {
        f"delete file {deleting} (DELETING)",
        f"delete the object of file {duplicate} (DUPLICATE)",
    }
    assert statuses(resources.engine) == before
    assert stored(resources, owner) == before.keys()


def test_a_request_that_is_just_deleting_the_file_is_not_disturbed(
    resources: Resources, owner: Owner
) -> None:
    """The steps of the API's request, with a sweep between any two of them."""
    now = resources.now()

    def sweep() -> int:
        return finish_deletions.run(resources, now=now, limit=100).counts["deleted"]

    with resources.engine.connect() as connection:
        file_id = add_file(owner, S.COMPLETED, now, passages=2)
        file = reservations.start_deletion(connection, file_id, owner.id)
        assert file is not None
        assert sweep() == 0  # not committed: not seen, and not waited for
        connection.commit()
        assert sweep() == 1
        assert resources.objects.delete_many([file.object_key]) == []
        assert sweep() == 0
        reservations.finish_deletion(connection, file_id)
        connection.commit()
    assert statuses(resources.engine) == {}


def test_two_sweeps_at_once_count_each_file_once(resources: Resources, owner: Owner) -> None:
    now = resources.now()
    for number in range(40):
        add_file(owner, (S.DELETING, S.DUPLICATE)[number % 2], now)

    def sweep(_: int) -> int:
        swept = finish_deletions.run(resources, now=now, limit=100)
        return sum(swept.counts.values())

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(sweep, range(2))) == 40
    assert set(statuses(resources.engine).values()) == {"DUPLICATE"}
    assert stored(resources, owner) == set()


def test_objects_that_are_always_refused_hold_up_nothing(
    resources: Resources, owner: Owner
) -> None:
    now = resources.now()
    stuck = {refused(owner, now - AGES) for _ in range(4)}
    for _ in range(4):
        add_file(owner, S.DELETING, now)
    sweeps = [finish_deletions.run(resources, now=now, limit=2) for _ in range(5)]
    assert [each.counts["kept"] for each in sweeps] == [2, 2, 0, 0, 0]
    assert sum(each.counts["deleted"] for each in sweeps) == 4
    assert not sweeps[-1].more, "the end; the next run asks for the refused ones again"
    assert statuses(resources.engine) == dict.fromkeys(stuck, "DELETING")
    assert finish_deletions.run(resources, now=now, limit=2).counts["kept"] == 2


def test_while_the_store_is_away_rows_stay_and_nothing_is_orphaned(
    resources: Resources, owner: Owner, storage: S3Server
) -> None:
    """Objects first, and a row only once its object is gone.

    The template that this grew from does it file by file, goes on when the store raises, and
    deletes the row all the same: under the very same conditions it reports 20 files cleaned and
    leaves 20 objects that nothing knows of any more (see the test after this one).
    """
    now = resources.now()
    files = {add_file(owner, S.FAILED, now - AGES) for _ in range(20)}
    storage.stop()
    swept = clean_abandoned_files.run(resources, now=now, limit=100)
    assert swept.counts == {"pending": 0, "failed": 0, "kept": 20}
    for _ in range(2):
        swept = finish_deletions.run(resources, now=now, limit=100)
        assert swept.counts == {"deleted": 0, "duplicates": 0, "kept": 20}
        assert not swept.more, "there is no use in going on now"
    assert statuses(resources.engine) == dict.fromkeys(files, "DELETING")
    storage.start()
    assert stored(resources, owner) == files
    assert finish_deletions.run(resources, now=now, limit=100).counts["deleted"] == 20
    assert statuses(resources.engine) == {}
    assert stored(resources, owner) == set()


def test_what_the_naive_loop_does_under_the_same_conditions(
    resources: Resources, owner: Owner, storage: S3Server
) -> None:
    """Two calls a file, each error logged and passed over: every object is orphaned."""
    now = resources.now()
    files = {add_file(owner, S.FAILED, now - AGES) for _ in range(3)}
    storage.stop()
    with resources.engine.begin() as connection:
        abandoned = connection.execute(select(File.id, File.object_key)).all()
        for file in abandoned:
            with pytest.raises(StorageUnavailable):
                resources.objects.delete_many([file.object_key])  # logged, and on it goes
            connection.execute(delete(File).where(File.id == file.id))
    storage.start()
    assert statuses(resources.engine) == {}
    assert stored(resources, owner) == files, "and no row knows them any more"


def test_an_object_that_is_refused_keeps_its_own_row_only(
    resources: Resources, owner: Owner
) -> None:
    now = resources.now()
    stuck = add_file(
        owner, S.FAILED, now - AGES, stored=False, object_key=f"uploads/{owner.id}/../x"
    )
    add_file(owner, S.FAILED, now - AGES)
    swept = clean_abandoned_files.run(resources, now=now, limit=100)
    assert swept.counts == {"pending": 0, "failed": 1, "kept": 1}
    assert statuses(resources.engine) == {stuck: "DELETING"}
    assert stored(resources, owner) == set()
