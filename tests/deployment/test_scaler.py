"""KEDA asks Postgres how much work is due; its query is run here on the real schema."""

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import Engine, func, insert, text

from docmill_shared.schema import File, User
from tests.deployment import manifests


def due(engine: Engine) -> int:
    """What KEDA would read, as it reads it: one row, one number."""
    (scaler,) = manifests.of_kind("production", "ScaledObject")
    (trigger,) = scaler["spec"]["triggers"]
    with engine.connect() as connection:
        return int(connection.execute(text(trigger["metadata"]["query"])).scalar_one())


def add(engine: Engine, status: str, *, later: timedelta = timedelta(0), **values: object) -> None:
    """A file in this state, whose next attempt is so much later than now."""
    owner, file = uuid4(), uuid4()
    with engine.begin() as connection:
        connection.execute(
            insert(User).values(id=owner, email=f"{owner}@example.org", password_hash="-")
        )
        connection.execute(
            insert(File).values(
                id=file,
                owner_id=owner,
                name="a",
                media_type="text/plain",
                size_bytes=1,
                object_key=str(file),
                status=status,
                next_attempt_at=func.now() + later,
                **values,
            )
        )


def test_only_files_that_are_due_or_in_work_count(engine: Engine) -> None:
    before = due(engine)

    add(engine, "QUEUED")
    add(engine, "PROCESSING", lease_token=uuid4(), lease_expires_at=func.now())
    assert due(engine) == before + 2

    # What waits for its next attempt needs no further pod, and the least number of pods is one.
    add(engine, "QUEUED", later=timedelta(hours=1))
    add(engine, "PENDING")
    add(engine, "COMPLETED", sha256=b"0" * 32)
    add(engine, "FAILED", failure_reason="corrupt")
    assert due(engine) == before + 2
