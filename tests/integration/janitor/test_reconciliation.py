"""reconcile_storage: objects without a row, rows without an object, in parts and in both ways."""

import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from docmill_dev.stack import Stack
from docmill_janitor.jobs import clean_abandoned_files, reconcile_storage
from docmill_janitor.resources import Resources
from docmill_janitor.schedule import published, schedule
from docmill_janitor.swept import Swept
from docmill_shared import job_schedule
from docmill_shared.files import reconciliation
from docmill_shared.schema import File
from docmill_shared.states import FileStatus
from tests.integration.janitor.conftest import Build
from tests.integration.janitor.file_states import S, add_file, forget_all_files, statuses, stored
from tests.owners import Owner, new_owner

GRACE = timedelta(hours=24)
MOMENT = timedelta(microseconds=1)
WITH_AN_OBJECT = (S.QUEUED, S.PROCESSING, S.COMPLETED, S.FAILED)


@pytest.fixture
def resources(build: Build, stack: Stack) -> Resources:
    """With a bucket of this test's own: in the others' nothing may be deleted here."""
    bucket = f"reconciled-{uuid4().hex[:12]}"
    (stack.s3.home / bucket).mkdir()
    resources = build(S3_BUCKET=bucket)
    forget_all_files(resources.engine)
    now = datetime.now(UTC)
    with resources.engine.begin() as connection:
        job_schedule.publish(connection, published(schedule(resources.settings), now), now)
        job_schedule.set_bookmark(connection, "reconcile_storage", None)
    return resources


@pytest.fixture
def later(resources: Resources) -> datetime:
    """A time at which all that a test makes is beyond the grace period."""
    return resources.now() + 2 * GRACE


def put(resources: Resources, key: str) -> None:
    headers = {"Content-Type": "text/plain"}
    url = resources.objects.presign_put(
        key, timedelta(minutes=5), media_type=headers["Content-Type"], size_bytes=1
    )
    request = urllib.request.Request(url, data=b"x", headers=headers, method="PUT")
    with urllib.request.urlopen(request):
        pass


def keys(resources: Resources) -> list[str]:
    return [each.key for each in resources.objects.scan("")]


def missing_since(owner: Owner, file_id: UUID) -> datetime | None:
    row = owner.file(file_id)
    assert row is not None
    at: datetime | None = row.object_missing_at
    return at


def test_nothing_is_found_where_all_is_well(
    resources: Resources, owner: Owner, later: datetime
) -> None:
    now = resources.now()
    for status in FileStatus:
        add_file(owner, status, now)
    for dry_run in (True, False):
        swept = reconcile_storage.run(resources, now=later, limit=100, dry_run=dry_run)
        compared = swept.counts.pop("compared")
        assert compared == 2 * len(FileStatus)
        assert swept.idle
        assert not swept.more
        assert not swept.findings


def test_an_object_without_a_row_goes_after_its_grace(resources: Resources, owner: Owner) -> None:
    now = resources.now()
    known = add_file(owner, S.COMPLETED, now)
    add_file(owner, S.PENDING, now)
    orphan = f"uploads/{owner.id}/{uuid4()}"
    put(resources, orphan)
    put(resources, "uploads/stray")
    put(resources, "backups/not-ours")
    put(resources, "uploads.txt")
    newest = max(each.last_modified for each in resources.objects.scan(""))
    oldest = min(each.last_modified for each in resources.objects.scan(""))
    swept = reconcile_storage.run(resources, now=oldest + GRACE, limit=100)
    assert swept.counts["orphans"] == 0, "exactly as old as the grace period is not older"
    assert len(keys(resources)) == 6
    swept = reconcile_storage.run(resources, now=newest + GRACE + MOMENT, limit=100)
    assert (swept.counts["orphans"], swept.counts["kept"]) == (2, 0)
    left = keys(resources)
    assert {"backups/not-ours", "uploads.txt"} < {*left}
    assert len(left) == 4
    assert known in stored(resources, owner)


def test_a_file_whose_object_is_missing_is_marked_once(
    resources: Resources, owner: Owner, later: datetime
) -> None:
    now = resources.now()
    lost = [add_file(owner, status, now, stored=False) for status in WITH_AN_OBJECT]
    for status in FileStatus:
        if status not in WITH_AN_OBJECT:
            add_file(owner, status, now, stored=False)
    add_file(owner, S.FAILED, now, stored=False, failure_reason="cancelled")
    before = statuses(resources.engine)
    swept = reconcile_storage.run(resources, now=later, limit=100)
    assert swept.counts["missing"] == len(lost)
    assert [missing_since(owner, each) for each in lost] == [later] * len(lost)
    again = reconcile_storage.run(resources, now=later + GRACE, limit=100)
    assert again.counts["missing"] == 0
    assert missing_since(owner, lost[0]) == later, "since when it is known to be missing"
    assert statuses(resources.engine) == before


def test_the_grace_of_a_file_counts_from_its_confirmation(
    resources: Resources, owner: Owner
) -> None:
    now = resources.now()
    reserved = now - 9 * GRACE
    file_id = add_file(
        owner, S.QUEUED, now, stored=False, created_at=reserved, queued_at=now - GRACE
    )
    assert reconcile_storage.run(resources, now=now, limit=100).counts["missing"] == 0
    assert reconcile_storage.run(resources, now=now + MOMENT, limit=100).counts["missing"] == 1
    assert missing_since(owner, file_id) == now + MOMENT


def test_an_object_that_is_back_clears_the_mark(
    resources: Resources, owner: Owner, later: datetime
) -> None:
    file_id = add_file(owner, S.COMPLETED, resources.now(), stored=False)
    reconcile_storage.run(resources, now=later, limit=100)
    assert missing_since(owner, file_id) == later
    owner.put(file_id, b"hello")
    swept = reconcile_storage.run(resources, now=later, limit=100)
    assert (swept.counts["found"], swept.counts["orphans"]) == (1, 0)
    assert missing_since(owner, file_id) is None


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_the_work_is_done_in_parts_and_goes_on_where_it_stopped(
    resources: Resources, owner: Owner, later: datetime, limit: int
) -> None:
    now = resources.now()
    owners = [owner, *(new_owner(resources.engine, resources.objects) for _ in range(3))]
    lost, orphans = set(), set()
    for each in owners:
        add_file(each, S.COMPLETED, now)
        add_file(each, S.PENDING, now, stored=False)
        lost.add(add_file(each, S.FAILED, now, stored=False))
        orphans.add(f"uploads/{each.id}/{uuid4()}")
    orphans |= {f"uploads/{uuid4()}/{uuid4()}" for _ in range(4)}
    orphans |= {"uploads/-first", "uploads/x/of/all", "uploads/~last"}
    for key in orphans:
        put(resources, key)
    sweeps: list[Swept] = []
    while not sweeps or sweeps[-1].more:
        assert len(sweeps) < 60, "it comes to an end"
        sweeps.append(reconcile_storage.run(resources, now=later, limit=limit))
        assert sweeps[-1].counts["compared"] <= 2 * limit
    assert len(sweeps) > 12 // limit
    totals = {
        kind: sum(each.counts[kind] for each in sweeps) for kind in ("orphans", "missing", "kept")
    }
    assert totals == {"orphans": len(orphans), "missing": len(lost), "kept": 0}
    assert len(keys(resources)) == len(owners)
    assert not orphans & {*keys(resources)}
    with resources.engine.connect() as connection:
        assert job_schedule.bookmark(connection, "reconcile_storage") is None


def test_a_dry_run_looks_at_everything_and_changes_nothing(
    resources: Resources, owner: Owner, later: datetime
) -> None:
    now = resources.now()
    lost = add_file(owner, S.COMPLETED, now, stored=False)
    back = add_file(owner, S.COMPLETED, now, object_missing_at=now)
    for _ in range(5):
        add_file(owner, S.COMPLETED, now)
    orphan = f"uploads/{owner.id}/{uuid4()}"
    put(resources, orphan)
    before = keys(resources)
    swept = reconcile_storage.run(resources, now=later, limit=2, dry_run=True)
    assert {*swept.findings} == {
        f"delete object {orphan} (no file has it)",
        f"mark file {lost} (COMPLETED; its object is missing)",
        f"unmark file {back} (its object is back)",
    }
    assert swept.counts == {"compared": 14, "orphans": 1, "missing": 1, "found": 1}
    assert not swept.more
    assert keys(resources) == before
    assert missing_since(owner, lost) is None
    assert missing_since(owner, back) == now
    with resources.engine.connect() as connection:
        assert job_schedule.bookmark(connection, "reconcile_storage") is None


def test_what_changes_between_the_listing_and_the_deed(
    resources: Resources, owner: Owner, later: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that is new since the rows were read, an object that is new since they were listed,
    and a file that its owner deletes meanwhile."""
    now = resources.now()
    arriving = add_file(owner, S.COMPLETED, now, stored=False)
    deleted = add_file(owner, S.COMPLETED, now, stored=False)
    key = f"uploads/{owner.id}/{uuid4()}"
    put(resources, key)
    without_row = reconciliation.without_row
    fresh: list[UUID] = []

    def meanwhile(connection: object, keys: list[str]) -> list[str]:
        fresh.append(add_file(owner, S.PENDING, now, stored=False, object_key=key))
        owner.put(arriving, b"hello")
        with resources.engine.begin() as other:
            other.execute(update(File).where(File.id == deleted).values(status=S.DELETING))
        return without_row(connection, keys)  # type: ignore[arg-type]

    monkeypatch.setattr(reconciliation, "without_row", meanwhile)
    swept = reconcile_storage.run(resources, now=later, limit=100)
    assert (swept.counts["orphans"], swept.counts["missing"]) == (0, 0)
    assert key in keys(resources)
    assert [missing_since(owner, each) for each in (arriving, deleted, *fresh)] == [None] * 3


def test_two_sweeps_at_once_count_each_finding_once(
    resources: Resources, owner: Owner, later: datetime
) -> None:
    now = resources.now()
    for _ in range(20):
        add_file(owner, S.COMPLETED, now, stored=False)
        put(resources, f"uploads/{owner.id}/{uuid4()}")

    def sweep(_: int) -> tuple[int, int]:
        counts = reconcile_storage.run(resources, now=later, limit=100).counts
        return counts.get("orphans", 0), counts.get("missing", 0)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(sweep, range(2)))
    assert [sum(each) for each in zip(*found, strict=True)] == [20, 20]


def test_after_other_sweeps_and_deletions_there_is_nothing_to_find(
    resources: Resources, owner: Owner, later: datetime
) -> None:
    now = resources.now()
    for status in (S.PENDING, S.FAILED, S.COMPLETED):
        for _ in range(5):
            add_file(owner, status, now)
    assert clean_abandoned_files.run(resources, now=later, limit=100).counts["failed"] == 5
    assert reconcile_storage.run(resources, now=later, limit=3, dry_run=True).findings == ()
