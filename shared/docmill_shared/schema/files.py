"""Files, their passages, what their owners hold, and embeddings that were paid for."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    false,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from docmill_shared.schema.base import Base

DIMENSIONS = 768

#: Full-text configuration of ``chunks.tsv`` and of the queries against it.
TEXT_SEARCH_CONFIG = "english"


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
    #: What the client said it would be; the worker compares.
    declared_sha256: Mapped[bytes | None]
    #: The client's ``Idempotency-Key`` and a digest of what it asked for with it.
    idempotency_key: Mapped[str | None]
    idempotency_sha256: Mapped[bytes | None]
    #: Of the request that queued it, so that what the dispatcher sends later still names it.
    request_id: Mapped[str | None]

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
        Index(
            "files_idempotency",
            "owner_id",
            "idempotency_key",
            unique=True,
            postgresql_where=sql("idempotency_key is not null"),
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


class OwnerUsage(Base):
    """What an owner holds; a trigger on ``files`` counts. ``tokens`` are those of ``tokens_on``."""

    __tablename__ = "owner_usage"

    owner_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    files: Mapped[int] = mapped_column(BigInteger, server_default="0")
    bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    #: The day in UTC on which the tokens were embedded.
    tokens_on: Mapped[date | None]


class CachedEmbedding(Base):
    """A paid embedding, by the exact text that was sent: cache and checkpoint in one."""

    __tablename__ = "embedding_cache"

    model: Mapped[str] = mapped_column(primary_key=True)
    dimensions: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    task_type: Mapped[str] = mapped_column(primary_key=True)
    text_sha256: Mapped[bytes] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(HALFVEC(DIMENSIONS))
    last_used_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
