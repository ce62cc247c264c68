"""Users, their tokens and keys, and what is recorded of both."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    ForeignKey,
    Index,
    Text,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from docmill_shared.schema.base import Base


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
    #: Access tokens that were issued before are refused: the password was changed since.
    tokens_valid_from: Mapped[datetime | None]
    #: Set when the owner asked for the end of the account; the janitor removes the rest.
    deleted_at: Mapped[datetime | None]
    #: Whom an identity provider knows this account as; both or neither.
    external_issuer: Mapped[str | None]
    external_subject: Mapped[str | None]

    __table_args__ = (
        Index(
            "users_external",
            "external_issuer",
            "external_subject",
            unique=True,
            postgresql_where=sql("external_subject is not null"),
        ),
        Index("users_deleted", "deleted_at", postgresql_where=sql("deleted_at is not null")),
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


class ApiKey(Base):
    """A program's key, by its SHA-256; ``prefix`` is its beginning, for people to tell it by."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    prefix: Mapped[str]
    key_sha256: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    #: Exact to a minute, so that a busy key costs no write per request.
    last_used_at: Mapped[datetime | None]


class AuditEvent(Base):
    """Something that matters for security: who, what, from where; never a secret."""

    __tablename__ = "audit_events"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    event: Mapped[str]
    #: No foreign key: the trace of an account outlives it.
    user_id: Mapped[UUID | None]
    address: Mapped[str | None]
    request_id: Mapped[str | None]
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=sql("'{}'"))

    __table_args__ = (
        Index("audit_events_newest", sql("at desc"), sql("id desc")),
        Index("audit_events_user", "user_id", sql("at desc"), sql("id desc")),
    )
