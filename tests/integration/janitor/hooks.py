"""Webhooks and their deliveries, arranged in the database."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, Row, func, insert, select, update

from docmill_shared.schema import AuditEvent, File, Webhook, WebhookDelivery
from docmill_shared.states import FileStatus
from docmill_shared.webhooks import registrations, secrets
from docmill_shared.webhooks.events import FileEvent
from tests.conftest import WEBHOOK_KEY
from tests.owners import Owner

KEY = WEBHOOK_KEY.encode()


@dataclass(frozen=True)
class Hook:
    """A webhook of an owner."""

    id: UUID
    owner: Owner
    engine: Engine

    def row(self) -> Row[Any]:
        with self.engine.connect() as connection:
            found = registrations.find(connection, self.id, self.owner.id)
        assert found is not None
        return found

    def set(self, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(Webhook).where(Webhook.id == self.id).values(**values))

    def secret(self, version: int = 1) -> str:
        return secrets.secret(KEY, self.id, version)

    def queue(self, **values: object) -> UUID:
        """A delivery that is due."""
        fields = {
            "id": uuid4(),
            "webhook_id": self.id,
            "owner_id": self.owner.id,
            "event": "webhook.test",
            "payload": {"type": "webhook.test"},
            **values,
        }
        with self.engine.begin() as connection:
            connection.execute(insert(WebhookDelivery).values(**fields))
        return UUID(str(fields["id"]))

    def deliveries(self) -> list[Row[Any]]:
        """Oldest first."""
        with self.engine.connect() as connection:
            return list(
                connection.execute(
                    select(*WebhookDelivery.__table__.columns)
                    .where(WebhookDelivery.webhook_id == self.id)
                    .order_by(WebhookDelivery.created_at, WebhookDelivery.id)
                )
            )

    def delivery(self, delivery_id: UUID) -> Row[Any]:
        (found,) = (each for each in self.deliveries() if each.id == delivery_id)
        return found

    def move(self, delivery_id: UUID, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                update(WebhookDelivery).where(WebhookDelivery.id == delivery_id).values(**values)
            )

    def audited(self) -> list[tuple[str, str]]:
        """What the audit log says of it, and why."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                select(AuditEvent.event, AuditEvent.detail).where(
                    AuditEvent.detail["webhook_id"].astext == str(self.id)
                )
            )
            return [(row.event, row.detail.get("why", "")) for row in rows]


def add_hook(owner: Owner, url: str, events: list[FileEvent] | None = None) -> Hook:
    """A webhook that hears of everything if nothing is said."""
    with owner.engine.begin() as connection:
        row = registrations.add(
            connection,
            owner.id,
            url=url,
            events=list(FileEvent) if events is None else events,
            description=None,
            idempotency_key=None,
            idempotency_sha256=None,
        )
    assert row is not None
    return Hook(row.id, owner, owner.engine)


def live(owner: Owner, *statuses: FileStatus, **fields: object) -> UUID:
    """A file that went through these states, after PENDING."""
    file_id = owner.reserve("report.pdf", 5, "application/pdf")
    for status in statuses:
        with owner.engine.begin() as connection:
            leased = status == FileStatus.PROCESSING
            values: dict[str, Any] = {
                "status": status,
                "lease_token": uuid4() if leased else None,
                "lease_expires_at": func.now() if leased else None,
            }
            if status == FileStatus.FAILED:
                values |= {"failure_reason": "corrupt", "failure_detail": "It is broken."}
            if status == statuses[-1]:
                values |= fields
            connection.execute(update(File).where(File.id == file_id).values(**values))
    return file_id


def ago(now: datetime, **amount: float) -> datetime:
    return now - timedelta(**amount)
