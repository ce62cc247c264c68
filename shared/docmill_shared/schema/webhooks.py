"""Webhooks and what they are told."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    Text,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from docmill_shared.schema.base import Base


class Webhook(Base):
    """Where an owner wants to hear of files. Its secret is derived, not stored."""

    __tablename__ = "webhooks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    url: Mapped[str]
    description: Mapped[str | None]
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    #: Counts up with every rotation; until ``previous_secret_until`` the one before signs as well.
    secret_version: Mapped[int] = mapped_column(server_default="1")
    previous_secret_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: Set by the owner, or after deliveries failed for long: nothing is sent.
    disabled_at: Mapped[datetime | None]
    idempotency_key: Mapped[str | None]
    idempotency_sha256: Mapped[bytes | None]

    __table_args__ = (
        Index("webhooks_owner", "owner_id", "created_at", "id"),
        Index(
            "webhooks_idempotency",
            "owner_id",
            "idempotency_key",
            unique=True,
            postgresql_where=sql("idempotency_key is not null"),
        ),
    )


class WebhookDelivery(Base):
    """One event for one webhook: written by a trigger with the state of the file, then sent."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    owner_id: Mapped[UUID]
    event: Mapped[str]
    #: The file as it was; no foreign key, since the file may be gone.
    file_id: Mapped[UUID | None]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    status: Mapped[str] = mapped_column(server_default="PENDING")
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    #: One entry for each attempt: ``{"at", "status", "error", "ms"}``.
    attempts: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=sql("'[]'"))
    #: When it is due, or, while somebody sends it, when that is taken to have failed.
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(
            "status in ('PENDING', 'DELIVERED', 'FAILED')", name="webhook_deliveries_status_known"
        ),
        # By webhook, since one dead target may have a hundred thousand.
        Index(
            "webhook_deliveries_due",
            "webhook_id",
            "next_attempt_at",
            postgresql_where=sql("status = 'PENDING'"),
        ),
        Index("webhook_deliveries_newest", "webhook_id", sql("created_at desc"), sql("id desc")),
        Index("webhook_deliveries_created", "created_at"),
    )
