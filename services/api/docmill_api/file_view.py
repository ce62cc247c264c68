"""A file as the API shows it."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import Row

from docmill_shared.states import FailureReason, FileStatus, Visibility


class Progress(BaseModel):
    """How far the file is; a count is null until it is known."""

    pages_done: int
    page_count: int | None
    chunks_done: int
    chunk_count: int | None


class Failure(BaseModel):
    """Why a file FAILED."""

    reason: FailureReason = Field(description="For programs.")
    detail: str = Field(description="For people: what is wrong and what to do.")


class FailedAttempt(BaseModel):
    """An attempt that ended in a fault that may pass, and what it was."""

    at: datetime
    error: str


class FileView(BaseModel):
    """A file and all that is known of it."""

    id: UUID
    name: str
    media_type: str
    size_bytes: int
    visibility: Visibility
    status: FileStatus
    stage: str | None = Field(
        description="What a worker does with it; null when none does. `daily_quota` of a QUEUED"
        " file: it waits until your next day's tokens are there."
    )
    progress: Progress
    failure: Failure | None = Field(description="Set while FAILED.")
    duplicate_of: UUID | None = Field(description="Of a DUPLICATE: your file with these bytes.")
    sha256: str | None = Field(description="Of the bytes, in hexadecimal, once they were read.")
    declared_sha256: str | None = Field(description="What you said that it would be.")
    bulk: bool = Field(description="Whether it waits behind files that somebody waits for.")
    attempt: int = Field(description="Attempts since it was queued that ended in such a fault.")
    attempts: list[FailedAttempt] = Field(description="All of them, oldest first.")
    created_at: datetime
    queued_at: datetime | None
    next_attempt_at: datetime | None = Field(description="Of a QUEUED file: not before then.")
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """The view of a row of ``files``."""
        failure = None
        if row.failure_reason is not None:
            failure = Failure(
                reason=FailureReason(row.failure_reason), detail=row.failure_detail or ""
            )
        return cls(
            id=row.id,
            name=row.name,
            media_type=row.media_type,
            size_bytes=row.size_bytes,
            visibility=Visibility(row.visibility),
            status=FileStatus(row.status),
            stage=row.stage,
            progress=Progress(
                pages_done=row.pages_done,
                page_count=row.page_count,
                chunks_done=row.chunks_done,
                chunk_count=row.chunk_count,
            ),
            failure=failure,
            duplicate_of=row.duplicate_of,
            sha256=_hex(row.sha256),
            declared_sha256=_hex(row.declared_sha256),
            bulk=row.bulk,
            attempt=row.attempt,
            attempts=[FailedAttempt.model_validate(each) for each in row.attempts],
            created_at=row.created_at,
            queued_at=row.queued_at,
            next_attempt_at=row.next_attempt_at if row.status == FileStatus.QUEUED else None,
            started_at=row.started_at,
            finished_at=row.finished_at,
        )


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else bytes(digest).hex()
