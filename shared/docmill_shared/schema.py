"""The tables. Alembic's migrations build the same ones; ``tests/migration`` proves it.

Each table has one owning module that holds its SQL: ``files``, ``chunks``, ``embedding_cache``
``accounts``, ``job_runs`` and ``job_schedule`` in this package, the janitor's ``schedule``.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    false,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DIMENSIONS = 768

#: Full-text configuration of ``chunks.tsv`` and of the queries against it.
TEXT_SEARCH_CONFIG = "english"


class Base(DeclarativeBase):
    """The declarative base; every time is timezone-aware, every string is unbounded text."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a plain class attribute
        datetime: DateTime(timezone=True),
        str: Text,
        bytes: LargeBinary,
    }


class User(Base):
    """An account. ``email`` is stored in lower case."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(server_default="user")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: Since when somebody sends the welcome mail, and when it was sent.
    welcome_claimed_at: Mapped[datetime | None]
    welcomed_at: Mapped[datetime | None]

    __table_args__ = (
        Index("users_unwelcomed", "created_at", postgresql_where=sql("welcomed_at is null")),
        CheckConstraint("role in ('user', 'contributor', 'admin')", name="users_role_known"),
    )


class RefreshToken(Base):
    """A refresh token, by its SHA-256; rotation keeps the family."""

    __tablename__ = "refresh_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    family_id: Mapped[UUID] = mapped_column(index=True)
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class RevokedToken(Base):
    """An access token that was revoked before its expiry."""

    __tablename__ = "revoked_tokens"

    jti: Mapped[UUID] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class File(Base):
    """An upload and all that is known of it. ``status`` is the truth."""

    __tablename__ = "files"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    visibility: Mapped[str] = mapped_column(server_default="private")
    object_key: Mapped[str] = mapped_column(unique=True)
    #: Set once the object is known to be gone while the row stays (DUPLICATE).
    object_deleted_at: Mapped[datetime | None]
    #: Set when a reconciliation found that the object which should be there is not.
    object_missing_at: Mapped[datetime | None]
    sha256: Mapped[bytes | None]

    status: Mapped[str] = mapped_column(server_default="PENDING")
    duplicate_of: Mapped[UUID | None] = mapped_column(
        ForeignKey("files.id", ondelete="SET NULL"), index=True
    )
    failure_reason: Mapped[str | None]
    failure_detail: Mapped[str | None]

    #: Attempts that ended in a transient failure; waiting for a quota is none.
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    #: Claims since the last orderly end of one: how often the file killed its worker.
    deliveries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    #: One entry for each attempt that failed: ``{"at": ..., "error": ...}``.
    attempts: Mapped[list[dict[str, str]]] = mapped_column(JSONB, server_default=sql("'[]'"))
    #: Uploaded as one of many; files that somebody waits for go first.
    bulk: Mapped[bool] = mapped_column(server_default=false())
    next_attempt_at: Mapped[datetime | None]
    #: When a message was last sent for it.
    sent_at: Mapped[datetime | None]
    lease_token: Mapped[UUID | None]
    lease_expires_at: Mapped[datetime | None]

    stage: Mapped[str | None]
    page_count: Mapped[int | None]
    pages_done: Mapped[int] = mapped_column(server_default="0")
    chunk_count: Mapped[int | None]
    chunks_done: Mapped[int] = mapped_column(server_default="0")

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(
            "status in ('PENDING', 'QUEUED', 'PROCESSING', 'COMPLETED', 'DUPLICATE', 'FAILED',"
            " 'DELETING')",
            name="files_status_known",
        ),
        CheckConstraint("visibility in ('private', 'public')", name="files_visibility_known"),
        CheckConstraint(
            "(status = 'PROCESSING') = (lease_token is not null)", name="files_lease_iff_processing"
        ),
        CheckConstraint(
            "(status = 'FAILED') = (failure_reason is not null)", name="files_reason_iff_failed"
        ),
        # One COMPLETED file per owner and content: what makes deduplication race-proof.
        Index(
            "files_owner_content",
            "owner_id",
            "sha256",
            unique=True,
            postgresql_where=sql("status = 'COMPLETED'"),
        ),
        Index("files_owner_newest", "owner_id", sql("created_at desc"), sql("id desc")),
        Index(
            "files_waiting",
            "owner_id",
            postgresql_where=sql("status in ('QUEUED', 'PROCESSING')"),
        ),
        Index(
            "files_unsent",
            "bulk",
            "owner_id",
            "next_attempt_at",
            postgresql_where=sql("status = 'QUEUED' and sent_at is null"),
        ),
        Index("files_due", "next_attempt_at", postgresql_where=sql("status = 'QUEUED'")),
        Index("files_leases", "lease_expires_at", postgresql_where=sql("status = 'PROCESSING'")),
        Index(
            "files_abandoned",
            "status",
            "created_at",
            postgresql_where=sql("status in ('PENDING', 'FAILED', 'DELETING')"),
        ),
        Index(
            "files_duplicate_objects",
            "finished_at",
            postgresql_where=sql("status = 'DUPLICATE' and object_deleted_at is null"),
        ),
    )


class Chunk(Base):
    """A passage of a COMPLETED file, with its place and its embedding.

    ``owner_id`` and ``visibility`` are copied from the file so that a search filters without a
    join. ``char_start`` and ``char_end`` are offsets into the file's extracted text.
    """

    __tablename__ = "chunks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    file_id: Mapped[UUID] = mapped_column(ForeignKey("files.id", ondelete="CASCADE"))
    owner_id: Mapped[UUID] = mapped_column(index=True)
    visibility: Mapped[str]
    ordinal: Mapped[int]
    text: Mapped[str]
    token_count: Mapped[int]
    page_start: Mapped[int | None]
    page_end: Mapped[int | None]
    heading_path: Mapped[list[str]] = mapped_column(ARRAY(Text))
    char_start: Mapped[int] = mapped_column(BigInteger)
    char_end: Mapped[int] = mapped_column(BigInteger)
    embedding: Mapped[Any] = mapped_column(HALFVEC(DIMENSIONS))
    tsv: Mapped[Any] = mapped_column(
        TSVECTOR, Computed(f"to_tsvector('{TEXT_SEARCH_CONFIG}'::regconfig, text)", persisted=True)
    )

    __table_args__ = (
        UniqueConstraint("file_id", "ordinal", name="chunks_file_ordinal"),
        Index("chunks_tsv", "tsv", postgresql_using="gin"),
        # Only public chunks: an HNSW index over everything slows COPY 60-fold (docs/adr/0003).
        Index(
            "chunks_public_embedding",
            "embedding",
            postgresql_using="hnsw",
            postgresql_ops={"embedding": "halfvec_cosine_ops"},
            postgresql_where=sql("visibility = 'public'"),
        ),
    )


class CachedEmbedding(Base):
    """A paid embedding, by the exact text that was sent: cache and checkpoint in one."""

    __tablename__ = "embedding_cache"

    model: Mapped[str] = mapped_column(primary_key=True)
    dimensions: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    task_type: Mapped[str] = mapped_column(primary_key=True)
    text_sha256: Mapped[bytes] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(HALFVEC(DIMENSIONS))
    last_used_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class ScheduleSlot(Base):
    """The latest slot of a recurring job that was claimed; who moves it on sends the message."""

    __tablename__ = "schedule_slots"

    job: Mapped[str] = mapped_column(primary_key=True)
    slot: Mapped[datetime]


class ScheduledJobRow(Base):
    """A recurring job as the scheduler that runs has it, for operators to see and to pause."""

    __tablename__ = "schedule"

    job: Mapped[str] = mapped_column(primary_key=True)
    cron: Mapped[str]
    what: Mapped[str]
    #: None for a job that runs every few seconds.
    next_at: Mapped[datetime | None]
    #: When a scheduler last said so.
    published_at: Mapped[datetime]
    #: While set, slots pass by without a message.
    paused_at: Mapped[datetime | None]
    #: Where a job that works through everything in parts goes on.
    bookmark: Mapped[str | None]


class JobRun(Base):
    """One run of a recurring job: what it did, or why it could not."""

    __tablename__ = "job_runs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job: Mapped[str]
    slot: Mapped[datetime | None]
    started_at: Mapped[datetime]
    #: None while it runs, and for ever if its worker died.
    finished_at: Mapped[datetime | None]
    dry_run: Mapped[bool] = mapped_column(server_default=false())
    #: The user who asked for it; None: the schedule.
    requested_by: Mapped[UUID | None]
    counts: Mapped[dict[str, int]] = mapped_column(JSONB, server_default=sql("'{}'"))
    #: A line for each thing that a dry run found to do, as far as they were kept.
    findings: Mapped[list[str]] = mapped_column(JSONB, server_default=sql("'[]'"))
    error: Mapped[str | None]
    host: Mapped[str]

    __table_args__ = (
        Index("job_runs_newest", "job", sql("started_at desc")),
        Index("job_runs_started", "started_at"),
    )
