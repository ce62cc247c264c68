"""An owner's tokens of the day, counted and held to; and bytes that are not what was declared."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, update

from docmill_ingest.outcomes import TOMORROW_SPREAD_SECONDS
from docmill_ingest.pipeline import ingest
from docmill_ingest.resources import Resources
from docmill_shared import usage
from docmill_shared.schema import File, OwnerUsage
from docmill_shared.usage import Usage
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.integration.ingest.conftest import Build
from tests.owners import Owner, prose

#: Of random numbers of which the first is above a half, and the second below.
SUCCESS_THEN_FAILURE = 15
#: So long before midnight no test begins: in UTC, what was used is of another day after it.
WITHIN_A_DAY = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def one_day(eventually: Callable[..., None]) -> None:
    """The test does not begin on one day and end on the next."""

    def is_far_from_midnight() -> bool:
        now = datetime.now(UTC)
        return (now + WITHIN_A_DAY).date() == now.date()

    eventually(is_far_from_midnight, timeout=2 * WITHIN_A_DAY.total_seconds())


def used(owner: Owner) -> Usage:
    with owner.engine.connect() as connection:
        return usage.find(connection, owner.id)


def spend(owner: Owner, tokens: int, days_ago: int = 0) -> None:
    """As if so many had been embedded on that day."""
    with owner.engine.begin() as connection:
        usage.add_tokens(connection, owner.id, tokens)
        connection.execute(
            update(OwnerUsage)
            .where(OwnerUsage.owner_id == owner.id)
            .values(tokens_on=OwnerUsage.tokens_on - days_ago)
        )


def make_due(owner: Owner) -> None:
    with owner.engine.begin() as connection:
        connection.execute(
            update(File).where(File.owner_id == owner.id).values(next_attempt_at=func.now())
        )


def test_what_was_embedded_is_counted(resources: Resources, owner: Owner) -> None:
    files = [owner.upload(prose(30, seed=seed), f"{seed}.txt") for seed in (1, 2)]
    for file_id in files:
        ingest(file_id, resources)
    tokens = sum(chunk["token_count"] for file_id in files for chunk in owner.chunks(file_id))
    assert used(owner).tokens == tokens > 0


def test_files_and_bytes_are_counted_as_well(owner: Owner) -> None:
    owner.upload(b"12345")
    owner.upload(b"123")
    assert used(owner) == Usage(files=2, bytes=8, tokens=0)


def test_what_comes_from_the_cache_is_not(
    gemini: Resources, owner: Owner, other_owner: Owner
) -> None:
    for each in (owner, other_owner):
        ingest(each.upload(prose(10, seed=3), "same.txt"), gemini)
    assert used(owner).tokens > 0
    assert used(other_owner).tokens == 0


def test_what_was_embedded_in_vain_is_counted_too(
    build: Build, emulator: GeminiEmulator, owner: Owner
) -> None:
    resources = build(
        GEMINI_API_KEY=emulator.api_key,
        GEMINI_BASE_URL=emulator.base_url,
        EMBEDDING_CONCURRENCY="1",
    )
    file_id = owner.upload(prose(400, seed=4))
    # The first call succeeds, the second fails
    emulator.control(fail_probability=0.5, fail_seed=SUCCESS_THEN_FAILURE, fail_status=500)
    ingest(file_id, resources)
    emulator.control(fail_probability=0.0)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt) == ("QUEUED", 1)
    first = used(owner).tokens
    assert first > 0
    # And what the second attempt finds in the cache is not counted twice.
    make_due(owner)
    ingest(file_id, resources)
    assert used(owner).tokens == sum(chunk["token_count"] for chunk in owner.chunks(file_id))
    assert used(owner).tokens > first


def test_a_new_day_begins_at_nought(owner: Owner) -> None:
    spend(owner, 70, days_ago=1)
    assert used(owner).tokens == 0
    spend(owner, 5)
    assert used(owner).tokens == 5
    spend(owner, 6)
    assert used(owner).tokens == 11


def test_without_tokens_a_file_waits_for_tomorrow_and_says_so(build: Build, owner: Owner) -> None:
    resources = build(OWNER_TOKENS_PER_DAY="100")
    spend(owner, 100)
    file_id = owner.upload(prose(3, seed=5))
    before = datetime.now(UTC)
    ingest(file_id, resources)

    # Then it is due when the next day begins, and nothing was tried
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.stage, file.attempt, file.attempts) == (
        "QUEUED",
        "daily_quota",
        0,
        [],
    )
    assert (file.sent_at, file.lease_token, file.deliveries) == (None, None, 0)
    midnight = before.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    later = file.next_attempt_at - midnight
    assert timedelta(0) <= later <= timedelta(seconds=TOMORROW_SPREAD_SECONDS)
    assert used(owner).tokens == 100
    assert owner.chunks(file_id) == []

    # and also after a day on which there were none again
    make_due(owner)
    with owner.engine.begin() as connection:
        connection.execute(
            update(File)
            .where(File.id == file_id)
            .values(queued_at=func.now() - timedelta(days=30), attempt=2)
        )
    ingest(file_id, resources)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt) == ("QUEUED", 2)

    # When it is tomorrow
    spend(owner, 0, days_ago=1)
    make_due(owner)
    ingest(file_id, resources)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.stage) == ("COMPLETED", None)
    assert used(owner).tokens > 0


def test_a_file_that_has_begun_is_finished(build: Build, owner: Owner) -> None:
    resources = build(OWNER_TOKENS_PER_DAY="100")
    spend(owner, 99)
    first, second = owner.upload(prose(10, seed=6)), owner.upload(prose(10, seed=7))
    ingest(first, resources)
    ingest(second, resources)
    rows = [owner.file(file_id) for file_id in (first, second)]
    assert [row and row.status for row in rows] == ["COMPLETED", "QUEUED"]
    assert used(owner).tokens > 100


def test_another_owner_does_not_wait(build: Build, owner: Owner, other_owner: Owner) -> None:
    resources = build(OWNER_TOKENS_PER_DAY="100")
    spend(owner, 100)
    file_id = other_owner.upload(prose(3, seed=8))
    ingest(file_id, resources)
    file = other_owner.file(file_id)
    assert file is not None
    assert file.status == "COMPLETED"


def test_a_duplicate_needs_no_tokens(build: Build, owner: Owner) -> None:
    resources = build(OWNER_TOKENS_PER_DAY="100")
    first, second = owner.upload(prose(3, seed=9), "a.txt"), owner.upload(prose(3, seed=9), "b.txt")
    ingest(first, resources)
    spend(owner, 100)
    ingest(second, resources)
    file = owner.file(second)
    assert file is not None
    assert file.status == "DUPLICATE"


def test_bytes_that_are_not_the_declared_ones_fail(resources: Resources, owner: Owner) -> None:
    content = prose(3, seed=10)
    good, bad = (
        owner.reserve("a.txt", len(content), sha256=hashlib.sha256(declared).digest())
        for declared in (content, b"something else")
    )
    for file_id in (good, bad):
        owner.put(file_id, content)
        owner.confirm(file_id)
        ingest(file_id, resources)
    completed, failed = owner.file(good), owner.file(bad)
    assert completed is not None
    assert completed.status == "COMPLETED"
    assert failed is not None
    assert (failed.status, failed.failure_reason) == ("FAILED", "checksum_mismatch")
    assert hashlib.sha256(content).hexdigest() in failed.failure_detail
    assert owner.chunks(bad) == []
