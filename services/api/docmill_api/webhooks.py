"""Webhooks of the caller: kept, changed, tested, and what was delivered to them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from docmill_api.problems import Problem, invalid
from docmill_api.resources import Resources
from docmill_shared import audit
from docmill_shared.audit import Event, Origin
from docmill_shared.observability import get_logger
from docmill_shared.row_security import statements_of, transaction_of
from docmill_shared.webhooks import deliveries, registrations, secrets, targets
from docmill_shared.webhooks.events import FileEvent
from docmill_shared.webhooks.registrations import MOST_WEBHOOKS
from docmill_shared.webhooks.targets import TargetRefused

log = get_logger(__name__)


def require_key(resources: Resources) -> None:
    """A :class:`Problem` where webhooks are not set up."""
    if resources.settings.webhook_key is None:
        raise Problem(
            503,
            "webhooks_not_configured",
            "This docmill delivers no webhooks: WEBHOOK_KEY is not set.",
        )


def secret_of(resources: Resources, webhook: Row[Any]) -> str:
    """The webhook's present secret."""
    key = resources.settings.webhook_key
    assert key is not None
    return secrets.secret(key.get_secret_value().encode(), webhook.id, webhook.secret_version)


def create(
    resources: Resources,
    owner_id: UUID,
    origin: Origin,
    *,
    url: str,
    events: Sequence[FileEvent],
    description: str | None,
    idempotency_key: str | None,
    idempotency_sha256: bytes,
) -> tuple[Row[Any], bool]:
    """A webhook, and whether this call made it; a :class:`Problem` when it is refused."""
    _check_url(resources, url)
    with transaction_of(resources.engine, owner_id) as connection:
        registrations.lock_owner(connection, owner_id)
        if idempotency_key is not None:
            known = registrations.by_idempotency_key(connection, owner_id, idempotency_key)
            if known is not None:
                return _repeated(known, idempotency_sha256), False
        webhook = registrations.add(
            connection,
            owner_id,
            url=url,
            events=events,
            description=description,
            idempotency_key=idempotency_key,
            idempotency_sha256=None if idempotency_key is None else idempotency_sha256,
        )
        if webhook is None:
            raise Problem(
                409,
                "too_many_webhooks",
                f"An account has at most {MOST_WEBHOOKS} webhooks; delete one first.",
            )
        _record(connection, Event.WEBHOOK_CREATED, owner_id, origin, webhook.id)
    log.info("webhook created", webhook_id=str(webhook.id))
    return webhook, True


def find(resources: Resources, owner_id: UUID, webhook_id: UUID) -> Row[Any]:
    """The webhook; a :class:`Problem` when the caller has none with this id."""
    with statements_of(resources.engine, owner_id) as connection:
        return _found(registrations.find(connection, webhook_id, owner_id))


def change(
    resources: Resources,
    owner_id: UUID,
    webhook_id: UUID,
    values: dict[str, Any],
    *,
    enabled: bool | None,
) -> Row[Any]:
    """Set these columns, and enable or disable it."""
    if "url" in values:
        _check_url(resources, values["url"])
    with transaction_of(resources.engine, owner_id) as connection:
        webhook = _found(registrations.change(connection, webhook_id, owner_id, values))
        if enabled is not None:
            switch = registrations.enable if enabled else registrations.disable
            webhook = _found(switch(connection, webhook_id, owner_id))
        return webhook


def rotate_secret(
    resources: Resources, owner_id: UUID, origin: Origin, webhook_id: UUID
) -> Row[Any]:
    """Give it a new secret; the one before signs as well for a day."""
    with transaction_of(resources.engine, owner_id) as connection:
        webhook = _found(registrations.rotate(connection, webhook_id, owner_id))
        _record(connection, Event.WEBHOOK_SECRET_ROTATED, owner_id, origin, webhook_id)
    log.info("webhook secret rotated", webhook_id=str(webhook_id))
    return webhook


def delete(resources: Resources, owner_id: UUID, origin: Origin, webhook_id: UUID) -> None:
    """Delete it, with its deliveries; a call that is under way may still arrive."""
    with transaction_of(resources.engine, owner_id) as connection:
        if not registrations.remove(connection, webhook_id, owner_id):
            raise not_found()
        _record(connection, Event.WEBHOOK_DELETED, owner_id, origin, webhook_id)
    log.info("webhook deleted", webhook_id=str(webhook_id))


def send_test(resources: Resources, owner_id: UUID, webhook_id: UUID) -> Row[Any]:
    """Queue a delivery of ``webhook.test``, or find the one that still waits."""

    def queue(connection: Connection) -> Row[Any]:
        waiting = deliveries.waiting_test(connection, webhook_id, owner_id)
        if waiting is not None:
            return waiting
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return deliveries.add_test(connection, webhook_id, owner_id, now)

    return _deliver(resources, owner_id, webhook_id, queue)


def redeliver(
    resources: Resources, owner_id: UUID, webhook_id: UUID, delivery_id: UUID
) -> Row[Any]:
    """Make a delivery due now, whatever became of it."""

    def again(connection: Connection) -> Row[Any]:
        return _delivery_found(deliveries.redeliver(connection, delivery_id, webhook_id, owner_id))

    return _deliver(resources, owner_id, webhook_id, again)


def find_delivery(
    resources: Resources, owner_id: UUID, webhook_id: UUID, delivery_id: UUID
) -> Row[Any]:
    """The delivery; a :class:`Problem` when the caller has none with these ids."""
    with statements_of(resources.engine, owner_id) as connection:
        return _delivery_found(deliveries.find(connection, delivery_id, webhook_id, owner_id))


def not_found() -> Problem:
    """The caller has no such webhook; whether somebody else has is not for them to know."""
    return Problem(404, "webhook_not_found", "You have no webhook with this id.")


def _deliver(
    resources: Resources,
    owner_id: UUID,
    webhook_id: UUID,
    queue: Callable[[Connection], Row[Any]],
) -> Row[Any]:
    with statements_of(resources.engine, owner_id) as connection:
        webhook = _found(registrations.find(connection, webhook_id, owner_id))
        if webhook.disabled_at is not None:
            raise Problem(409, "webhook_disabled", "The webhook is disabled; enable it first.")
        return queue(connection)


def _found(webhook: Row[Any] | None) -> Row[Any]:
    if webhook is None:
        raise not_found()
    return webhook


def _delivery_found(delivery: Row[Any] | None) -> Row[Any]:
    if delivery is None:
        raise Problem(404, "delivery_not_found", "This webhook has no delivery with this id.")
    return delivery


def _check_url(resources: Resources, url: str) -> None:
    """Of its form alone; what its name resolves to is looked at before each delivery.

    A look-up here would let strangers' name servers hold the threads that serve requests, and
    could be answered differently a moment later.
    """
    try:
        targets.parse(url, allow_private=resources.settings.webhook_allow_private_targets)
    except TargetRefused as refusal:
        raise invalid("url", str(refusal).removesuffix(".")) from None


def _repeated(known: Row[Any], idempotency_sha256: bytes) -> Row[Any]:
    if bytes(known.idempotency_sha256) != idempotency_sha256:
        raise Problem(
            422,
            "idempotency_key_reused",
            "This Idempotency-Key came with another request before; use a new one.",
        )
    return known


def _record(
    connection: Connection, event: Event, owner_id: UUID, origin: Origin, webhook_id: UUID
) -> None:
    detail = {"webhook_id": str(webhook_id)}
    audit.record(connection, event, user_id=owner_id, detail=detail, **origin)
