"""The SQL of sending deliveries: which are due, who sends one, and what came of it.

A claim is a lease: it moves ``next_attempt_at`` to when the sender is taken for dead, and whoever
comes then sends again. ``attempt`` counts claims and serves as the token of the lease: only who
holds the latest can settle.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

#: Longer than any attempt: ten seconds, and a resolver that takes its time on top.
LEASE = timedelta(minutes=2)
#: A webhook is disabled when nothing was delivered for so long and something was given up.
FAILING_FOR = timedelta(days=5)

_DUE = text("""
select id, owner_id, url from webhooks
where disabled_at is null and exists (
    select from webhook_deliveries
    where webhook_id = webhooks.id and status = 'PENDING' and next_attempt_at <= :now)
""")

#: In READ COMMITTED the condition is looked at again once the row is locked, so of any number of
#: processes one gets a delivery.
_CLAIM = text("""
with chosen as materialized (
    select due.id
    from unnest(cast(:webhooks as uuid[]), cast(:counts as int[])) as wanted (webhook_id, count)
    cross join lateral (
        select id from webhook_deliveries
        where webhook_id = wanted.webhook_id and status = 'PENDING' and next_attempt_at <= :now
        order by next_attempt_at limit wanted.count for update skip locked
    ) due
)
update webhook_deliveries delivery
set attempt = attempt + 1, next_attempt_at = :until
from webhooks
where delivery.id in (select id from chosen)
    and webhooks.id = delivery.webhook_id and webhooks.disabled_at is null
returning delivery.id, delivery.webhook_id, delivery.owner_id, delivery.payload, delivery.attempt,
    webhooks.url, webhooks.secret_version, webhooks.previous_secret_until
""")

#: Of a delivery that is sent again and again the log keeps the latest 48 entries.
_SETTLE = text("""
update webhook_deliveries
set status = :status, finished_at = :finished_at,
    next_attempt_at = coalesce(:next_attempt_at, next_attempt_at),
    attempts = jsonb_path_query_array(attempts || cast(:entry as jsonb), '$[last - 47 to last]')
where id = :id and attempt = :attempt and status = 'PENDING'
""")

#: Something was given up that long ago or longer, and nothing was delivered since.
_FAILING = text("""
select exists (
    select from webhook_deliveries
    where webhook_id = :webhook_id and created_at <= :before
        and status = 'FAILED' and finished_at <= :before
) and not exists (
    select from webhook_deliveries
    where webhook_id = :webhook_id and status = 'DELIVERED' and finished_at > :before
)
""")


@dataclass(frozen=True, slots=True)
class DueWebhook:
    """A webhook for which at least one delivery is due."""

    id: UUID
    owner_id: UUID
    url: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send one delivery, until the lease ends or it is settled."""

    id: UUID
    webhook_id: UUID
    owner_id: UUID
    payload: dict[str, Any]
    attempt: int  #: this one, counted from 1
    url: str
    secret_version: int
    previous_secret_until: datetime | None


def due(connection: Connection, *, now: datetime) -> list[DueWebhook]:
    """The webhooks with deliveries that are due."""
    return [DueWebhook(*row) for row in connection.execute(_DUE, {"now": now})]


def claim(connection: Connection, wanted: Mapping[UUID, int], *, now: datetime) -> list[Claim]:
    """Claim up to this many due deliveries of each of these webhooks, the longest due first."""
    parameters = {
        "webhooks": list(wanted.keys()),
        "counts": list(wanted.values()),
        "now": now,
        "until": now + LEASE,
    }
    return [Claim(*row) for row in connection.execute(_CLAIM, parameters)]


def delivered(connection: Connection, held: Claim, entry: str, *, now: datetime) -> bool:
    """It arrived; False when the lease had ended and somebody else has claimed it."""
    return _settle(connection, held, "DELIVERED", entry, finished_at=now)


def retry(connection: Connection, held: Claim, entry: str, *, at: datetime) -> bool:
    """It did not, and is tried again at this time."""
    return _settle(connection, held, "PENDING", entry, next_attempt_at=at)


def give_up(connection: Connection, held: Claim, entry: str, *, now: datetime) -> bool:
    """It did not, and is not tried again."""
    return _settle(connection, held, "FAILED", entry, finished_at=now)


def has_failed_for_days(connection: Connection, webhook_id: UUID, *, now: datetime) -> bool:
    """Whether this webhook has failed for ``FAILING_FOR``, without one success."""
    parameters = {"webhook_id": webhook_id, "before": now - FAILING_FOR}
    return bool(connection.execute(_FAILING, parameters).scalar_one())


def _settle(
    connection: Connection,
    held: Claim,
    status: str,
    entry: str,
    *,
    next_attempt_at: datetime | None = None,
    finished_at: datetime | None = None,
) -> bool:
    parameters = {
        "id": held.id,
        "attempt": held.attempt,
        "status": status,
        "entry": entry,
        "next_attempt_at": next_attempt_at,
        "finished_at": finished_at,
    }
    return connection.execute(_SETTLE, parameters).rowcount == 1
