"""Webhooks: create, change, rotate, test, delete, and the log of deliveries."""

from typing import Annotated
from uuid import UUID

from flask import Response
from pydantic import AfterValidator, BaseModel, Field

from docmill_api import cursors, webhooks
from docmill_api.answers import answer, nothing, problems
from docmill_api.client_input import Flag, Idempotency, Requested, Text, digest_of, never_null
from docmill_api.current import caller, origin, resources
from docmill_api.problems import invalid
from docmill_api.routes.blueprints import protected
from docmill_api.webhook_view import (
    DeliveryDetails,
    DeliveryView,
    WebhookView,
    WebhookWithSecret,
)
from docmill_shared.row_security import statements_of
from docmill_shared.webhooks import deliveries, registrations
from docmill_shared.webhooks.events import DeliveryStatus, FileEvent
from docmill_shared.webhooks.targets import LONGEST_URL

blueprint = protected(
    "webhooks",
    "/v1/webhooks",
    "Calls to your own addresses when something becomes of a file. 503"
    " `webhooks_not_configured` where the operator has not set them up.",
    scope="webhooks",
)
blueprint.before_request(lambda: webhooks.require_key(resources()))

_NOT_YOURS = problems(_404="`webhook_not_found`: you have no such webhook.")
_NO_SUCH_DELIVERY = problems(_404="`webhook_not_found` or `delivery_not_found`")
_DISABLED = problems(_409="`webhook_disabled`: enable it first.")
_BODY_IS_WRONG = problems(_400="Malformed JSON.", _413="Body too large.", _415="Not JSON.")


def _once_each(events: list[FileEvent]) -> list[FileEvent]:
    return sorted(set(events))


Url = Annotated[Text, Field(min_length=1, max_length=LONGEST_URL)]
Events = Annotated[
    list[FileEvent],
    Field(min_length=1, max_length=len(FileEvent)),
    AfterValidator(_once_each),
]
Description = Annotated[Text, Field(max_length=500)]


class NewWebhook(Requested):
    """A webhook to be."""

    url: Url = Field(
        description="Public, and https. Redirects are not followed.",
        examples=["https://example.org/hooks/docmill"],
    )
    events: Events = Field(description="What it hears of.")
    description: Description | None = None


class WebhookChanges(Requested):
    """What is to be another; absent fields stay."""

    url: Url | None = Field(None, json_schema_extra=never_null)
    events: Events | None = Field(None, json_schema_extra=never_null)
    description: Description | None = Field(None, description="Null: none.")
    enabled: Flag | None = Field(
        None,
        json_schema_extra=never_null,
        description="`false` gives up the deliveries that wait, too.",
    )


class WebhookId(BaseModel):
    """Which webhook."""

    webhook_id: UUID


class DeliveryId(WebhookId):
    """Which delivery of which webhook."""

    delivery_id: UUID


class WebhookList(BaseModel):
    """All your webhooks, oldest first."""

    items: list[WebhookView]


class DeliveriesQuery(Requested):
    """Which part of the list."""

    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=512, description="`next_cursor` of the page before")
    status: DeliveryStatus | None = Field(None, description="Only deliveries with this status.")


class DeliveryList(BaseModel):
    """Deliveries, newest first."""

    items: list[DeliveryView]
    next_cursor: str | None = Field(description="Null on the last page.")


@blueprint.post(
    "",
    responses={
        200: WebhookWithSecret,
        201: WebhookWithSecret,
        **_BODY_IS_WRONG,
        **problems(
            _409=f"`too_many_webhooks`: there are {registrations.MOST_WEBHOOKS}.",
            _422="`idempotency_key_reused`, or a field is wrong.",
        ),
    },
)
def create(header: Idempotency, body: NewWebhook) -> Response:
    """Create a webhook; 200 when this repeats a request that created it."""
    webhook, new = webhooks.create(
        resources(),
        caller().id,
        origin(),
        url=body.url,
        events=body.events,
        description=body.description,
        idempotency_key=header.key,
        idempotency_sha256=digest_of(body),
    )
    shown = WebhookWithSecret.revealed(webhook, webhooks.secret_of(resources(), webhook))
    location = {"Location": f"/v1/webhooks/{webhook.id}"}
    return answer(shown, 201 if new else 200, headers=location)


@blueprint.get("", responses={200: WebhookList})
def list_webhooks() -> Response:
    """Your webhooks."""
    with statements_of(resources().engine, caller().id) as connection:
        rows = registrations.listed(connection, caller().id)
    return answer(WebhookList(items=[WebhookView.of(row) for row in rows]))


@blueprint.get("/<uuid:webhook_id>", responses={200: WebhookView, **_NOT_YOURS})
def get(path: WebhookId) -> Response:
    """One webhook."""
    return answer(WebhookView.of(webhooks.find(resources(), caller().id, path.webhook_id)))


@blueprint.patch(
    "/<uuid:webhook_id>",
    responses={
        200: WebhookView,
        **_NOT_YOURS,
        **_BODY_IS_WRONG,
        **problems(_422="A field is wrong."),
    },
)
def change(path: WebhookId, body: WebhookChanges) -> Response:
    """Change its address, what it hears of, its description, or whether it is enabled."""
    values = body.model_dump(exclude_unset=True)
    for name in ("url", "events", "enabled"):
        if name in values and values[name] is None:
            raise invalid(name, "must not be null")
    enabled = values.pop("enabled", None)
    changed = webhooks.change(resources(), caller().id, path.webhook_id, values, enabled=enabled)
    return answer(WebhookView.of(changed))


@blueprint.delete("/<uuid:webhook_id>", responses={204: None, **_NOT_YOURS})
def delete(path: WebhookId) -> Response:
    """Delete a webhook and its log."""
    webhooks.delete(resources(), caller().id, origin(), path.webhook_id)
    return nothing()


@blueprint.post(
    "/<uuid:webhook_id>/rotate-secret", responses={200: WebhookWithSecret, **_NOT_YOURS}
)
def rotate_secret(path: WebhookId) -> Response:
    """Get a new secret. For 24 hours deliveries carry a signature by the one before, too."""
    webhook = webhooks.rotate_secret(resources(), caller().id, origin(), path.webhook_id)
    return answer(WebhookWithSecret.revealed(webhook, webhooks.secret_of(resources(), webhook)))


@blueprint.post("/<uuid:webhook_id>/test", responses={202: DeliveryView, **_NOT_YOURS, **_DISABLED})
def send_test(path: WebhookId) -> Response:
    """Send `webhook.test` now; while one waits, there is no second."""
    delivery = webhooks.send_test(resources(), caller().id, path.webhook_id)
    return _queued(path.webhook_id, DeliveryView.of(delivery))


@blueprint.get(
    "/<uuid:webhook_id>/deliveries",
    responses={200: DeliveryList, **_NOT_YOURS, **problems(_422="A parameter is wrong.")},
)
def list_deliveries(path: WebhookId, query: DeliveriesQuery) -> Response:
    """What was sent, and what waits, of the last 30 days or what the operator chose."""
    after = None if query.cursor is None else cursors.decode_place(query.cursor)
    webhooks.find(resources(), caller().id, path.webhook_id)
    with statements_of(resources().engine, caller().id) as connection:
        rows = deliveries.newest(
            connection,
            path.webhook_id,
            caller().id,
            limit=query.limit + 1,
            status=query.status,
            after=after,
        )
    page = rows[: query.limit]
    more = len(rows) > len(page)
    return answer(
        DeliveryList(
            items=[DeliveryView.of(row) for row in page],
            next_cursor=cursors.encode_place(page[-1].created_at, page[-1].id) if more else None,
        )
    )


@blueprint.get(
    "/<uuid:webhook_id>/deliveries/<uuid:delivery_id>",
    responses={200: DeliveryDetails, **_NO_SUCH_DELIVERY},
)
def get_delivery(path: DeliveryId) -> Response:
    """One delivery, with its body and every attempt."""
    found = webhooks.find_delivery(resources(), caller().id, path.webhook_id, path.delivery_id)
    return answer(DeliveryDetails.of(found))


@blueprint.post(
    "/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/redeliver",
    responses={202: DeliveryView, **_NO_SUCH_DELIVERY, **_DISABLED},
)
def redeliver(path: DeliveryId) -> Response:
    """Send it now, under the same `webhook-id`, whatever became of it."""
    delivery = webhooks.redeliver(resources(), caller().id, path.webhook_id, path.delivery_id)
    return _queued(path.webhook_id, DeliveryView.of(delivery))


def _queued(webhook_id: UUID, delivery: DeliveryView) -> Response:
    location = {"Location": f"/v1/webhooks/{webhook_id}/deliveries/{delivery.id}"}
    return answer(delivery, 202, headers=location)
