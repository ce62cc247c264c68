"""Claims, leases and fencing, at the database's own clock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, func, update

from docmill_ingest.leases import LeaseKeeper
from docmill_ingest.resources import Resources
from docmill_shared.errors import LeaseLost
from docmill_shared.files import claims
from docmill_shared.files.claims import Claim
from docmill_shared.schema import File
from docmill_shared.states import FailureReason
from tests.owners import Owner

LEASE = timedelta(seconds=30)


@pytest.fixture
def queued(owner: Owner) -> UUID:
    file_id = owner.reserve("notes.txt", 10)
    owner.confirm(file_id)
    return file_id


def claim(owner: Owner, file_id: UUID) -> Claim | None:
    with owner.engine.begin() as connection:
        return claims.claim(connection, file_id, LEASE)


def take_over(owner: Owner, file_id: UUID) -> None:
    """As if the lease had run out and another worker had claimed the file."""
    with owner.engine.begin() as connection:
        connection.execute(update(File).where(File.id == file_id).values(lease_token=uuid4()))


def expiry(owner: Owner, file_id: UUID) -> datetime:
    file = owner.file(file_id)
    assert file is not None
    moment: datetime = file.lease_expires_at
    return moment


def test_of_many_claims_at_once_one_succeeds(owner: Owner, queued: UUID) -> None:
    with ThreadPoolExecutor(5) as pool:
        results = list(pool.map(lambda _: claim(owner, queued), range(20)))
    assert sum(result is not None for result in results) == 1


def test_a_worker_without_its_lease_can_write_nothing(owner: Owner, queued: UUID) -> None:
    stale = claim(owner, queued)
    assert stale is not None
    take_over(owner, queued)
    before = owner.file(queued)

    attempts: list[Callable[[Connection], object]] = [
        lambda c: claims.complete(c, stale, sha256=b"x", page_count=1, chunk_count=1),
        lambda c: claims.mark_duplicate(c, stale, b"x", queued),
        lambda c: claims.fail(c, stale, FailureReason.CORRUPT, "no"),
        lambda c: claims.retry_later(c, stale, LEASE, attempt_error="no"),
        lambda c: claims.forget(c, stale),
        lambda c: claims.report_progress(
            c, stale, stage="embed", page_count=1, pages_done=1, chunks_done=1
        ),
    ]
    for attempt in attempts:
        with owner.engine.begin() as connection, pytest.raises(LeaseLost):
            attempt(connection)
    assert owner.file(queued) == before


def test_the_keeper_renews_in_the_background(
    resources: Resources, owner: Owner, queued: UUID, eventually: Callable[..., None]
) -> None:
    keeper = LeaseKeeper(resources.engine, timedelta(seconds=1))
    with owner.engine.begin() as connection:
        held = claims.claim(connection, queued, timedelta(seconds=1))
    assert held is not None
    first = expiry(owner, queued)
    with keeper.hold(held) as lease:
        eventually(lambda: expiry(owner, queued) > first + timedelta(seconds=1))
        lease.check()
    keeper.close()


def test_the_keeper_notices_a_lost_lease(
    resources: Resources, owner: Owner, queued: UUID, eventually: Callable[..., None]
) -> None:
    keeper = LeaseKeeper(resources.engine, timedelta(seconds=0.5))
    held = claim(owner, queued)
    assert held is not None
    with keeper.hold(held) as lease:
        take_over(owner, queued)
        eventually(lambda: lease.lost)
        with pytest.raises(LeaseLost):
            lease.check()
    keeper.close()


def test_a_file_is_not_claimed_before_it_is_due(owner: Owner, queued: UUID) -> None:
    with owner.engine.begin() as connection:
        connection.execute(
            update(File)
            .where(File.id == queued)
            .values(next_attempt_at=func.now() + timedelta(seconds=60))
        )
    assert claim(owner, queued) is None
