"""The audit_events table: what matters for security, who did it, and from where.

Details hold ids and words of docmill's own, never a secret, a password, an e-mail or a file's name.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypedDict
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, insert, select, text, tuple_

from docmill_shared.schema import AuditEvent

_FORGET = text("""
delete from audit_events where ctid = any(array(
    select ctid from audit_events where at < :before
    order by at limit :limit for update skip locked
))
""")


class Event(StrEnum):
    """What happened. The names are stable: programs filter by them."""

    LOGIN_SUCCEEDED = "login_succeeded"
    LOGIN_FAILED = "login_failed"
    REFRESH_TOKEN_REUSED = "refresh_token_reused"  # noqa: S105 - an event's name
    LOGGED_OUT = "logged_out"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - an event's name
    ACCOUNT_REGISTERED = "account_registered"
    ACCOUNT_DELETED = "account_deleted"
    ROLE_CHANGED = "role_changed"
    API_KEY_CREATED = "api_key_created"
    API_KEY_REVOKED = "api_key_revoked"
    FILE_PUBLISHED = "file_published"
    WEBHOOK_CREATED = "webhook_created"
    WEBHOOK_DELETED = "webhook_deleted"
    WEBHOOK_DISABLED = "webhook_disabled"
    WEBHOOK_SECRET_ROTATED = "webhook_secret_rotated"  # noqa: S105 - an event's name


class Origin(TypedDict):
    """The request that something came with: ``record(..., **origin)``."""

    address: str | None
    request_id: str | None


#: Of what no request asked for, such as a command of an operator's.
NO_REQUEST = Origin(address=None, request_id=None)


def record(
    connection: Connection,
    event: Event,
    *,
    user_id: UUID | None,
    address: str | None,
    request_id: str | None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Note the event, in the transaction of what it is about.

    ``user_id`` is the account that it is about; None when nobody knows, as of a login to an account
    that does not exist.
    """
    connection.execute(
        insert(AuditEvent).values(
            id=uuid4(),
            event=str(event),
            user_id=user_id,
            address=address,
            request_id=request_id,
            detail=dict(detail or {}),
        )
    )


def published(
    connection: Connection, owner_id: UUID, file_ids: Sequence[UUID], origin: Origin
) -> None:
    """Note that the owner let everybody find these files: one event, however many they are."""
    detail = {"file_ids": [str(each) for each in file_ids]}
    record(connection, Event.FILE_PUBLISHED, user_id=owner_id, detail=detail, **origin)


def newest(
    connection: Connection,
    *,
    limit: int,
    user_id: UUID | None = None,
    event: Event | None = None,
    before: tuple[datetime, UUID] | None = None,
) -> list[Row[Any]]:
    """Events, newest first, at most ``limit``, from before ``before`` (time and id)."""
    query = select(*AuditEvent.__table__.columns).order_by(
        AuditEvent.at.desc(), AuditEvent.id.desc()
    )
    if user_id is not None:
        query = query.where(AuditEvent.user_id == user_id)
    if event is not None:
        query = query.where(AuditEvent.event == str(event))
    if before is not None:
        query = query.where(tuple_(AuditEvent.at, AuditEvent.id) < before)
    return list(connection.execute(query.limit(limit)))


def delete_older_than(connection: Connection, *, now: datetime, age: timedelta, limit: int) -> int:
    """Forget up to ``limit`` events older than ``age``, the oldest first; return how many."""
    return connection.execute(_FORGET, {"before": now - age, "limit": limit}).rowcount
