"""What a worker does with a file: claim it, hold it, end it.

A claim is a lease: a random token in the row and an expiry by the database's clock. Every write
below names the token, so a worker that lost its lease changes nothing (fencing).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, update

from docmill_shared import usage
from docmill_shared.errors import LeaseLost
from docmill_shared.schema import File
from docmill_shared.states import FailureReason, FileStatus, Visibility


@dataclass(frozen=True, slots=True)
class Claim:
    """A file in PROCESSING and the token that proves who processes it."""

    file_id: UUID
    token: UUID
    owner_id: UUID
    name: str
    media_type: str
    size_bytes: int
    visibility: Visibility
    object_key: str
    attempt: int
    waiting: timedelta  #: since it was queued, by the database's clock
    declared_sha256: bytes | None  #: what the owner said that it would be
    tokens_today: int  #: that were embedded for its owner before, on this day in UTC


def claim(connection: Connection, file_id: UUID, lease: timedelta) -> Claim | None:
    """QUEUED to PROCESSING if the file is due; None if it is not, or someone else was first."""
    token = uuid4()
    row = connection.execute(
        update(File)
        .where(
            File.id == file_id,
            File.status == FileStatus.QUEUED,
            File.next_attempt_at <= func.now(),
        )
        .values(
            status=FileStatus.PROCESSING,
            lease_token=token,
            lease_expires_at=func.now() + lease,
            deliveries=File.deliveries + 1,
            started_at=func.now(),
            stage="fetch",
            page_count=None,
            pages_done=0,
            chunks_done=0,
        )
        .returning(
            File.id,
            File.owner_id,
            File.name,
            File.media_type,
            File.size_bytes,
            File.visibility,
            File.object_key,
            File.attempt,
            (func.now() - File.queued_at).label("waiting"),
            File.declared_sha256,
            usage.tokens_today(File.owner_id).label("tokens_today"),
        )
    ).one_or_none()
    if row is None:
        return None
    return Claim(
        file_id=row.id,
        token=token,
        owner_id=row.owner_id,
        name=row.name,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        visibility=Visibility(row.visibility),
        object_key=row.object_key,
        attempt=row.attempt,
        waiting=row.waiting,
        declared_sha256=None if row.declared_sha256 is None else bytes(row.declared_sha256),
        tokens_today=row.tokens_today,
    )


def renew(connection: Connection, tokens: Collection[UUID], lease: timedelta) -> set[UUID]:
    """Prolong these leases in one statement; return the tokens that still hold."""
    held = connection.execute(
        update(File)
        .where(File.lease_token.in_(tokens), File.status == FileStatus.PROCESSING)
        .values(lease_expires_at=func.now() + lease)
        .returning(File.lease_token)
    ).scalars()
    return {token for token in held if token is not None}


def find_completed_twin(connection: Connection, claim: Claim, sha256: bytes) -> UUID | None:
    """The owner's COMPLETED file with this content, if there is one."""
    twin: UUID | None = connection.execute(
        select(File.id).where(
            File.owner_id == claim.owner_id,
            File.sha256 == sha256,
            File.status == FileStatus.COMPLETED,
            File.id != claim.file_id,
        )
    ).scalar()
    return twin


def report_progress(
    connection: Connection,
    claim: Claim,
    *,
    stage: str,
    page_count: int | None,
    pages_done: int,
    chunks_done: int,
) -> None:
    """Write how far the file is; raises :class:`LeaseLost`."""
    _write(
        connection,
        claim,
        stage=stage,
        page_count=page_count,
        pages_done=pages_done,
        chunks_done=chunks_done,
    )


def complete(
    connection: Connection,
    claim: Claim,
    *,
    sha256: bytes,
    page_count: int | None,
    chunk_count: int,
) -> Visibility:
    """PROCESSING to COMPLETED; the row stays locked until the caller commits its chunks.

    Returns the visibility that the file has now, which its chunks must have too.

    Raises:
        LeaseLost: nothing was changed.
        sqlalchemy.exc.IntegrityError: the owner completed the same content meanwhile.
    """
    return _write(
        connection,
        claim,
        status=FileStatus.COMPLETED,
        sha256=sha256,
        page_count=page_count,
        pages_done=page_count or 0,
        chunk_count=chunk_count,
        chunks_done=chunk_count,
        **_RELEASED,
        finished_at=func.now(),
    )


def mark_duplicate(connection: Connection, claim: Claim, sha256: bytes, twin: UUID) -> None:
    """PROCESSING to DUPLICATE of ``twin``; raises :class:`LeaseLost`."""
    _write(
        connection,
        claim,
        status=FileStatus.DUPLICATE,
        sha256=sha256,
        duplicate_of=twin,
        **_RELEASED,
        finished_at=func.now(),
    )


def mark_object_deleted(connection: Connection, file_id: UUID) -> None:
    """The object of a DUPLICATE is gone."""
    connection.execute(
        update(File)
        .where(File.id == file_id, File.status == FileStatus.DUPLICATE)
        .values(object_deleted_at=func.now())
    )


def fail(
    connection: Connection,
    claim: Claim,
    reason: FailureReason,
    detail: str,
    *,
    attempt_error: str | None = None,
) -> None:
    """PROCESSING to FAILED; raises :class:`LeaseLost`.

    ``attempt_error`` is what ended the last attempt, where that was not permanent by itself.
    """
    _write(
        connection,
        claim,
        status=FileStatus.FAILED,
        failure_reason=reason,
        failure_detail=detail,
        **_failed_attempt(attempt_error),
        **_RELEASED,
        finished_at=func.now(),
    )


def retry_later(
    connection: Connection, claim: Claim, delay: timedelta | None, *, attempt_error: str | None
) -> None:
    """PROCESSING back to QUEUED, due after ``delay``; raises :class:`LeaseLost`.

    ``delay`` None: at once, in the place in the queue that it had.
    ``attempt_error`` None means that this was not an attempt: the file waits for something.
    """
    _write(
        connection,
        claim,
        status=FileStatus.QUEUED,
        **_failed_attempt(attempt_error),
        next_attempt_at=File.next_attempt_at if delay is None else func.now() + delay,
        sent_at=None,
        **_RELEASED,
    )


def wait_for_tomorrow(connection: Connection, claim: Claim, later: timedelta) -> None:
    """PROCESSING back to QUEUED, due ``later`` than the next UTC day begins; no attempt.

    Its owner sees why: the stage is ``daily_quota`` meanwhile. Raises :class:`LeaseLost`.
    """
    today = func.date_trunc("day", func.timezone("UTC", func.now()))
    tomorrow = func.timezone("UTC", today + timedelta(days=1))
    _write(
        connection,
        claim,
        **{**_RELEASED, "stage": "daily_quota"},
        status=FileStatus.QUEUED,
        next_attempt_at=tomorrow + later,
        sent_at=None,
    )


def forget(connection: Connection, claim: Claim) -> None:
    """Delete the row of a file whose object does not exist; raises :class:`LeaseLost`."""
    deleted = connection.execute(delete(File).where(_held(claim)).returning(File.id))
    if deleted.one_or_none() is None:
        raise LeaseLost


#: What every end of a claim clears; an orderly end also forgives earlier crashes.
_RELEASED: dict[str, Any] = {
    "lease_token": None,
    "lease_expires_at": None,
    "deliveries": 0,
    "stage": None,
}


def _failed_attempt(error: str | None) -> dict[str, Any]:
    if error is None:
        return {}
    entry = func.jsonb_build_array(func.jsonb_build_object("at", func.now(), "error", error))
    return {"attempt": File.attempt + 1, "attempts": File.attempts.op("||")(entry)}


def _held(claim: Claim) -> ColumnElement[bool]:
    return and_(
        File.id == claim.file_id,
        File.status == FileStatus.PROCESSING,
        File.lease_token == claim.token,
    )


def _write(connection: Connection, claim: Claim, **values: Any) -> Visibility:
    visibility = connection.execute(
        update(File).where(_held(claim)).values(**values).returning(File.visibility)
    ).scalar()
    if visibility is None:
        raise LeaseLost(f"The claim on file {claim.file_id} has ended.")
    return Visibility(visibility)
