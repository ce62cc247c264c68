"""The webhooks table: where an owner wants to hear of files. Always for one owner."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from docmill_shared.schema import User, Webhook
from docmill_shared.webhooks import deliveries
from docmill_shared.webhooks.events import FileEvent

#: Of one owner.
MOST_WEBHOOKS = 20
#: How long the secret before signs as well after a rotation.
OVERLAP = timedelta(hours=24)

_WEBHOOK = Webhook.__table__


def lock_owner(connection: Connection, owner_id: UUID) -> None:
    """Let nobody else add webhooks of this owner until the transaction ends."""
    connection.execute(select(User.id).where(User.id == owner_id).with_for_update(key_share=True))


def by_idempotency_key(connection: Connection, owner_id: UUID, key: str) -> Row[Any] | None:
    """The webhook that was created with this key."""
    return connection.execute(
        select(*_WEBHOOK.columns).where(
            Webhook.owner_id == owner_id, Webhook.idempotency_key == key
        )
    ).one_or_none()


def add(
    connection: Connection,
    owner_id: UUID,
    *,
    url: str,
    events: Sequence[FileEvent],
    description: str | None,
    idempotency_key: str | None,
    idempotency_sha256: bytes | None,
) -> Row[Any] | None:
    """Insert a webhook; None when the owner has ``MOST_WEBHOOKS``. After ``lock_owner``."""
    count = select(func.count()).where(Webhook.owner_id == owner_id)
    if connection.execute(count).scalar_one() >= MOST_WEBHOOKS:
        return None
    return connection.execute(
        insert(Webhook)
        .values(
            id=uuid4(),
            owner_id=owner_id,
            url=url,
            events=[str(each) for each in events],
            description=description,
            idempotency_key=idempotency_key,
            idempotency_sha256=idempotency_sha256,
        )
        .returning(*_WEBHOOK.columns)
    ).one()


def listed(connection: Connection, owner_id: UUID) -> list[Row[Any]]:
    """The owner's webhooks, oldest first; there are ``MOST_WEBHOOKS`` at most."""
    return list(
        connection.execute(
            select(*_WEBHOOK.columns)
            .where(Webhook.owner_id == owner_id)
            .order_by(Webhook.created_at, Webhook.id)
        )
    )


def find(connection: Connection, webhook_id: UUID, owner_id: UUID) -> Row[Any] | None:
    """The owner's webhook, or None."""
    return connection.execute(
        select(*_WEBHOOK.columns).where(Webhook.id == webhook_id, Webhook.owner_id == owner_id)
    ).one_or_none()


def change(
    connection: Connection, webhook_id: UUID, owner_id: UUID, values: dict[str, Any]
) -> Row[Any] | None:
    """Set ``url``, ``events`` or ``description``, or nothing; None: no such webhook."""
    if not values:
        return find(connection, webhook_id, owner_id)
    return _changed(connection, webhook_id, owner_id, **values)


def enable(connection: Connection, webhook_id: UUID, owner_id: UUID) -> Row[Any] | None:
    """Tell it of events from now on; None: no such webhook."""
    return _changed(connection, webhook_id, owner_id, disabled_at=None)


def disable(connection: Connection, webhook_id: UUID, owner_id: UUID) -> Row[Any] | None:
    """Send it nothing more, and give up what waits; None: no such webhook. In a transaction."""
    disabled = _changed(
        connection,
        webhook_id,
        owner_id,
        disabled_at=func.coalesce(Webhook.disabled_at, func.now()),
    )
    if disabled is not None:
        deliveries.give_up_waiting(connection, webhook_id, now=disabled.disabled_at)
    return disabled


def rotate(connection: Connection, webhook_id: UUID, owner_id: UUID) -> Row[Any] | None:
    """Count the version of its secret up; None: no such webhook."""
    return _changed(
        connection,
        webhook_id,
        owner_id,
        secret_version=Webhook.secret_version + 1,
        previous_secret_until=func.now() + OVERLAP,
    )


def remove(connection: Connection, webhook_id: UUID, owner_id: UUID) -> bool:
    """Delete it with its deliveries; False: no such webhook."""
    removed = connection.execute(
        delete(Webhook).where(Webhook.id == webhook_id, Webhook.owner_id == owner_id)
    )
    return removed.rowcount == 1


def _changed(
    connection: Connection, webhook_id: UUID, owner_id: UUID, **values: Any
) -> Row[Any] | None:
    return connection.execute(
        update(Webhook)
        .where(Webhook.id == webhook_id, Webhook.owner_id == owner_id)
        .values(**values)
        .returning(*_WEBHOOK.columns)
    ).one_or_none()
