"""What counts of the time in which a killed worker's file waits."""

import time
from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import Engine, insert, text

from docmill_shared.schema import File, User
from tests.chaos.recoveries import ClaimWatch

LEASE_SECONDS = 600.0
FILE, OWNER = UUID(int=1), UUID(int=2)
_CLAIM = text(
    "update files set status = 'PROCESSING', lease_token = gen_random_uuid(),"
    " deliveries = deliveries + 1, started_at = now(), lease_expires_at = now() + interval '600 s'"
)


@pytest.fixture
def claim(engine: Engine) -> Callable[[], None]:
    """A worker takes the file, and the one that had it is not heard of again."""
    with engine.begin() as connection:
        connection.execute(text("delete from files"))
        connection.execute(text("delete from users"))
        connection.execute(insert(User).values(id=OWNER, email="a@example.org", password_hash="-"))
        connection.execute(
            insert(File).values(
                id=FILE,
                owner_id=OWNER,
                name="a",
                media_type="text/plain",
                size_bytes=1,
                object_key="a",
                status="QUEUED",
            )
        )

    def take() -> None:
        with engine.begin() as connection:
            connection.execute(_CLAIM)

    return take


@pytest.mark.parametrize("is_whole", [True, False])
def test_only_moments_count_in_which_nothing_was_missing(
    engine: Engine, claim: Callable[[], None], eventually: Callable[..., None], is_whole: bool
) -> None:
    looks: list[float] = []

    def look() -> bool:
        looks.append(time.time())
        return is_whole

    with ClaimWatch(engine, LEASE_SECONDS, look) as watch:
        claim()
        seen = len(looks)
        eventually(lambda: len(looks) > seen + 2, what="the claim is seen")
        killed = time.time()
        eventually(lambda: time.time() > killed + 1)
        claim()
        seen = len(looks)
        eventually(lambda: len(looks) > seen + 2, what="the next claim is seen")

    [seconds] = watch.recoveries([(killed, "ingest-1")])
    if is_whole:
        assert seconds > 0.9
    else:
        # Found broken at each look, from the one before the kill to the one after the claim
        assert seconds == pytest.approx(0, abs=1e-3)
