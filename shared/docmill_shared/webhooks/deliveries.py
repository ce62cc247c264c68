"""The webhook_deliveries table as owners and operators see it; see ``attempts`` for the sending."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, case, func, insert, select, text, tuple_, update

from docmill_shared.schema import Webhook, WebhookDelivery
from docmill_shared.webhooks.events import TEST_EVENT, DeliveryStatus

#: A delivery is due for so long only if its webhook's target answers nothing: there are thousands
#: before it, and each takes until its time-out. Or nobody delivered for days.
OVERDUE = timedelta(days=3)

_DELIVERY = WebhookDelivery.__table__

_GIVE_UP_WAITING = text("""
update webhook_deliveries
set status = 'FAILED', finished_at = :now,
    attempts = jsonb_path_query_array(attempts || cast(:entry as jsonb), '$[last - 47 to last]')
where webhook_id = :webhook_id and status = 'PENDING'
""")
_GIVE_UP_OVERDUE = text("""
update webhook_deliveries
set status = 'FAILED', finished_at = :now,
    attempts = jsonb_path_query_array(attempts || cast(:entry as jsonb), '$[last - 47 to last]')
where ctid = any(array(
    select ctid from webhook_deliveries where status = 'PENDING' and next_attempt_at < :before
    order by next_attempt_at limit :limit for update skip locked
))
""")
_FORGET = text("""
delete from webhook_deliveries where ctid = any(array(
    select ctid from webhook_deliveries where created_at < :before and status <> 'PENDING'
    order by created_at limit :limit for update skip locked
))
""")


def newest(
    connection: Connection,
    webhook_id: UUID,
    owner_id: UUID,
    *,
    limit: int,
    status: DeliveryStatus | None = None,
    after: tuple[datetime, UUID] | None = None,
) -> list[Row[Any]]:
    """The webhook's deliveries, newest first, at most ``limit``, from behind ``after``."""
    query = (
        select(*_DELIVERY.columns)
        .where(WebhookDelivery.webhook_id == webhook_id, WebhookDelivery.owner_id == owner_id)
        .order_by(WebhookDelivery.created_at.desc(), WebhookDelivery.id.desc())
        .limit(limit)
    )
    if status is not None:
        query = query.where(WebhookDelivery.status == str(status))
    if after is not None:
        query = query.where(tuple_(WebhookDelivery.created_at, WebhookDelivery.id) < after)
    return list(connection.execute(query))


def find(
    connection: Connection, delivery_id: UUID, webhook_id: UUID, owner_id: UUID
) -> Row[Any] | None:
    """The owner's delivery, or None."""
    return connection.execute(
        select(*_DELIVERY.columns).where(
            WebhookDelivery.id == delivery_id,
            WebhookDelivery.webhook_id == webhook_id,
            WebhookDelivery.owner_id == owner_id,
        )
    ).one_or_none()


def waiting_test(connection: Connection, webhook_id: UUID, owner_id: UUID) -> Row[Any] | None:
    """A test of this webhook that has not ended."""
    return connection.execute(
        select(*_DELIVERY.columns)
        .where(
            WebhookDelivery.webhook_id == webhook_id,
            WebhookDelivery.owner_id == owner_id,
            WebhookDelivery.event == TEST_EVENT,
            WebhookDelivery.status == str(DeliveryStatus.PENDING),
        )
        .limit(1)
    ).one_or_none()


def add_test(connection: Connection, webhook_id: UUID, owner_id: UUID, timestamp: str) -> Row[Any]:
    """Queue a delivery that tells of nothing but the webhook itself."""
    payload = {"type": TEST_EVENT, "timestamp": timestamp, "data": {"webhook_id": str(webhook_id)}}
    return connection.execute(
        insert(WebhookDelivery)
        .values(webhook_id=webhook_id, owner_id=owner_id, event=TEST_EVENT, payload=payload)
        .returning(*_DELIVERY.columns)
    ).one()


def redeliver(
    connection: Connection, delivery_id: UUID, webhook_id: UUID, owner_id: UUID
) -> Row[Any] | None:
    """Make it due now, with the same id and, if it had ended, with all attempts before it again.

    None: there is no such delivery.
    """
    ended = WebhookDelivery.status != str(DeliveryStatus.PENDING)
    return connection.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.id == delivery_id,
            WebhookDelivery.webhook_id == webhook_id,
            WebhookDelivery.owner_id == owner_id,
        )
        .values(
            status=str(DeliveryStatus.PENDING),
            attempt=case((ended, 0), else_=WebhookDelivery.attempt),
            next_attempt_at=func.now(),
            finished_at=None,
        )
        .returning(*_DELIVERY.columns)
    ).one_or_none()


def log_entry(
    at: datetime, error: str | None, *, status: int | None = None, ms: int | None = None
) -> str:
    """An entry of a delivery's log: the target's HTTP status and how long it took, if it answered.

    Never what else the target said: whoever may read the log need not be who runs the target.
    """
    return json.dumps({"at": at.isoformat(), "status": status, "ms": ms, "error": error})


def give_up_waiting(connection: Connection, webhook_id: UUID, *, now: datetime) -> None:
    """FAILED for all deliveries that wait for this webhook, since it was disabled."""
    entry = log_entry(now, "The webhook was disabled.")
    connection.execute(_GIVE_UP_WAITING, {"webhook_id": webhook_id, "now": now, "entry": entry})


def give_up_overdue(connection: Connection, *, now: datetime, limit: int) -> int:
    """FAILED for up to ``limit`` deliveries that were due for ``OVERDUE``; return how many."""
    why = f"It was due for {OVERDUE.days} days without its turn: too much waits for this target."
    parameters = {"now": now, "before": now - OVERDUE, "entry": log_entry(now, why)}
    return connection.execute(_GIVE_UP_OVERDUE, {**parameters, "limit": limit}).rowcount


def delete_older_than(connection: Connection, *, now: datetime, age: timedelta, limit: int) -> int:
    """Forget up to ``limit`` deliveries that ended and are older than ``age``; return how many."""
    return connection.execute(_FORGET, {"before": now - age, "limit": limit}).rowcount


def waiting(connection: Connection) -> Row[Any]:
    """How many wait (``pending``) and how long the first one has been due (``oldest_seconds``)."""
    oldest = func.max(func.extract("epoch", func.now() - WebhookDelivery.next_attempt_at))
    return connection.execute(
        select(func.count().label("pending"), func.greatest(oldest, 0).label("oldest_seconds"))
        .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
        .where(WebhookDelivery.status == str(DeliveryStatus.PENDING), Webhook.disabled_at.is_(None))
    ).one()
