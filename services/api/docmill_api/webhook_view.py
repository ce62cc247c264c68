"""Webhooks and their deliveries as the API shows them."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import Row

from docmill_shared.webhooks.events import DeliveryStatus, FileEvent


class WebhookView(BaseModel):
    """A webhook, without its secret."""

    id: UUID
    url: str
    events: list[FileEvent]
    description: str | None
    enabled: bool = Field(
        description="False: nothing is sent. You disabled it, or its target answered 410, or"
        " nothing but failures for five days."
    )
    disabled_at: datetime | None
    previous_secret_until: datetime | None = Field(
        description="Until then the secret before the last rotation signs as well."
    )
    created_at: datetime

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """From a row of ``webhooks``."""
        return cls(**_fields(row))


class WebhookWithSecret(WebhookView):
    """A webhook and what its deliveries are signed with."""

    secret: str = Field(
        description="Keep it like a password. `whsec_` and the key in base64, by the Standard"
        " Webhooks specification."
    )

    @classmethod
    def revealed(cls, row: Row[Any], secret: str) -> Self:
        """From a row of ``webhooks`` and its secret."""
        return cls(**_fields(row), secret=secret)


class DeliveryView(BaseModel):
    """One event for one webhook."""

    id: UUID = Field(description="Sent as `webhook-id`, the same at each attempt.")
    event: str = Field(examples=["file.completed"])
    file_id: UUID | None = Field(description="Null for `webhook.test`.")
    status: DeliveryStatus
    attempt: int = Field(description="Attempts since it was queued, or queued again.")
    next_attempt_at: datetime | None = Field(description="While PENDING.")
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """From a row of ``webhook_deliveries``."""
        return cls(**_delivery_fields(row))


class Attempt(BaseModel):
    """One attempt at a delivery."""

    at: datetime
    status: int | None = Field(description="HTTP status; null when there was no answer.")
    ms: int | None = Field(description="How long it took, in milliseconds.")
    error: str | None = Field(description="What went wrong; null: it was taken.")


class DeliveryDetails(DeliveryView):
    """One event for one webhook, with what is sent and how that went."""

    payload: dict[str, Any] = Field(description="The body.")
    attempts: list[Attempt] = Field(description="The latest 48 of them, oldest first.")

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """From a row of ``webhook_deliveries``."""
        return cls(**_delivery_fields(row), payload=row.payload, attempts=row.attempts)


def _fields(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": row.url,
        "events": row.events,
        "description": row.description,
        "enabled": row.disabled_at is None,
        "disabled_at": row.disabled_at,
        "previous_secret_until": row.previous_secret_until,
        "created_at": row.created_at,
    }


def _delivery_fields(row: Row[Any]) -> dict[str, Any]:
    pending = row.status == DeliveryStatus.PENDING
    return {
        "id": row.id,
        "event": row.event,
        "file_id": row.file_id,
        "status": row.status,
        "attempt": row.attempt,
        "next_attempt_at": row.next_attempt_at if pending else None,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }
