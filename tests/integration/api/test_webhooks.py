"""Webhooks over HTTP: what an owner can do with them, and what others cannot."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from docmill_api.resources import Resources
from docmill_shared.schema import AuditEvent, Webhook, WebhookDelivery
from docmill_shared.webhooks.registrations import MOST_WEBHOOKS
from tests.integration.api.driver import Account, Api, problem, settings_from

URL = "https://hooks.example.org/docmill"
EVENTS = ["file.completed", "file.failed"]


def create(account: Account, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    body = {"url": URL, "events": EVENTS, **fields}
    answer = account.post("/v1/webhooks", body, headers=headers or {})
    assert answer.status_code in {200, 201}, answer.text
    return answer.json


def content(answer: TestResponse) -> Any:
    """What it says."""
    assert answer.json is not None, answer.text
    return answer.json


def path(webhook: Any, *more: str) -> str:
    return "/".join((f"/v1/webhooks/{webhook['id']}", *more))


def finish(api: Api, delivery_id: str, status: str = "FAILED", **values: Any) -> None:
    """As the deliverer would."""
    entry = {"at": "2026-01-01T00:00:00+00:00", "status": 500, "ms": 7, "error": "It said 500."}
    with api.owner.begin() as connection:
        connection.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == UUID(delivery_id))
            .values(
                status=status,
                attempt=12,
                attempts=[entry],
                finished_at=WebhookDelivery.created_at,
                **values,
            )
        )


def audited(api: Api, account: Account) -> list[str]:
    with api.owner.connect() as connection:
        return list(
            connection.execute(
                select(AuditEvent.event)
                .where(AuditEvent.user_id == account.id, AuditEvent.event.like("webhook%"))
                .order_by(AuditEvent.at)
            ).scalars()
        )


def test_a_webhook_is_created_with_its_secret_and_shown_without(account: Account) -> None:
    answer = account.post(
        "/v1/webhooks", {"url": URL, "events": [*EVENTS, *EVENTS], "description": "Ours."}
    )
    assert answer.status_code == 201
    made = answer.json
    assert made is not None
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert made["events"] == EVENTS
    assert (made["url"], made["description"], made["enabled"]) == (URL, "Ours.", True)
    assert answer.headers["Location"] == path(made)
    assert content(account.get(path(made))) == made
    assert content(account.get("/v1/webhooks")) == {"items": [made]}


def test_a_repeated_request_gets_the_same_webhook(account: Account) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    first = create(account, key)
    again = account.post("/v1/webhooks", {"url": URL, "events": EVENTS}, headers=key)
    assert (again.status_code, again.json) == (200, first)
    other = account.post("/v1/webhooks", {"url": f"{URL}/2", "events": EVENTS}, headers=key)
    problem(other, 422, "idempotency_key_reused")
    assert len(content(account.get("/v1/webhooks"))["items"]) == 1


def test_of_many_at_once_with_one_key_there_is_one(account: Account) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    with ThreadPoolExecutor(5) as threads:
        made = list(threads.map(lambda _: create(account, key)["id"], range(10)))
    assert len(set(made)) == 1


def test_an_account_has_twenty_at_most_however_it_asks(account: Account) -> None:
    body = {"url": URL, "events": EVENTS}
    with ThreadPoolExecutor(5) as threads:
        answers = list(
            threads.map(lambda _: account.post("/v1/webhooks", body), range(MOST_WEBHOOKS + 5))
        )
    assert sum(each.status_code == 201 for each in answers) == MOST_WEBHOOKS
    refused = [each for each in answers if each.status_code != 201]
    for each in refused:
        problem(each, 409, "too_many_webhooks")
    assert len(refused) == 5


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://169.254.169.254/",
        "https://metadata.google.internal/",
        "https://localhost/",
        "https://user:password@example.org/",
        "https://example.org:22/",
        "https://bücher.example/",
    ],
)
def test_a_target_inside_is_refused_when_it_is_named(account: Account, url: str) -> None:
    refused = account.post("/v1/webhooks", {"url": url, "events": EVENTS})
    (error,) = problem(refused, 422, "validation_failed")["errors"]
    assert error["field"] == "url"
    webhook = create(account)
    problem(account.call("PATCH", path(webhook), {"url": url}), 422, "validation_failed")
    assert content(account.get(path(webhook)))["url"] == URL


@pytest.mark.parametrize(
    "body",
    [
        {"url": URL},
        {"events": EVENTS},
        {"url": URL, "events": []},
        {"url": URL, "events": ["webhook.test"]},
        {"url": URL, "events": ["file.completed'); drop table webhooks; --"]},
        {"url": URL, "events": EVENTS, "secret": "mine"},
        {"url": URL, "events": EVENTS, "description": "a" * 501},
        {"url": f"{URL}/\u0000", "events": EVENTS},
    ],
)
def test_a_wrong_body_is_refused(account: Account, body: dict[str, Any]) -> None:
    problem(account.post("/v1/webhooks", body), 422, "validation_failed")


def test_it_is_changed_field_by_field(account: Account) -> None:
    webhook = create(account, description="Ours.")
    del webhook["secret"]
    for changes in (
        {"url": f"{URL}/2"},
        {"events": ["file.deleted"]},
        {"description": None},
        {"url": URL, "events": EVENTS, "description": "Again."},
        {},
    ):
        answer = account.call("PATCH", path(webhook), changes)
        webhook |= changes
        assert (answer.status_code, answer.json) == (200, webhook)
    for nulled in ("url", "events", "enabled"):
        refused = account.call("PATCH", path(webhook), {nulled: None})
        problem(refused, 422, "validation_failed")


def test_disabled_it_gives_up_what_waits_and_takes_no_tests(account: Account) -> None:
    webhook = create(account)
    waiting = content(account.post(path(webhook, "test")))
    off = content(account.call("PATCH", path(webhook), {"enabled": False}))
    assert off["enabled"] is False
    assert off["disabled_at"] is not None
    delivery = content(account.get(path(webhook, "deliveries", waiting["id"])))
    assert delivery["status"] == "FAILED"
    assert delivery["attempts"][0]["error"] == "The webhook was disabled."
    for refused in (
        account.post(path(webhook, "test")),
        account.post(path(webhook, "deliveries", waiting["id"], "redeliver")),
    ):
        problem(refused, 409, "webhook_disabled")
    on = content(account.call("PATCH", path(webhook), {"enabled": True}))
    assert (on["enabled"], on["disabled_at"]) == (True, None)
    assert account.post(path(webhook, "test")).status_code == 202


def test_a_secret_is_rotated_and_the_one_before_stays_for_a_day(api: Api, account: Account) -> None:
    webhook = create(account)
    rotated = content(account.post(path(webhook, "rotate-secret")))
    assert rotated["secret"] != webhook["secret"]
    until = datetime.fromisoformat(rotated["previous_secret_until"])
    created = datetime.fromisoformat(webhook["created_at"])
    assert timedelta(hours=24) <= until - created < timedelta(hours=24, minutes=5)
    assert audited(api, account) == ["webhook_created", "webhook_secret_rotated"]


def test_a_test_is_queued_once(account: Account) -> None:
    webhook = create(account)
    answer = account.post(path(webhook, "test"))
    assert answer.status_code == 202
    queued = answer.json
    assert queued is not None
    assert (queued["event"], queued["status"], queued["file_id"]) == (
        "webhook.test",
        "PENDING",
        None,
    )
    assert answer.headers["Location"] == path(webhook, "deliveries", queued["id"])
    assert content(account.post(path(webhook, "test")))["id"] == queued["id"]
    payload = content(account.get(answer.headers["Location"]))["payload"]
    assert payload["type"] == "webhook.test"
    assert payload["data"] == {"webhook_id": webhook["id"]}
    assert datetime.fromisoformat(payload["timestamp"]).tzinfo is not None


def test_a_file_that_is_deleted_is_in_the_log_with_every_attempt(
    api: Api, account: Account
) -> None:
    webhook = create(account, events=["file.deleted"])
    file_id = account.upload()
    assert account.delete(f"/v1/files/{file_id}").status_code in {202, 204}
    (shown,) = content(account.get(path(webhook, "deliveries")))["items"]
    assert (shown["event"], shown["file_id"]) == ("file.deleted", file_id)
    assert shown["next_attempt_at"] is not None
    finish(api, shown["id"])
    details = content(account.get(path(webhook, "deliveries", shown["id"])))
    assert details["payload"]["data"]["file_id"] == file_id
    assert details["status"] == "FAILED"
    assert details["next_attempt_at"] is None
    assert details["attempts"] == [
        {"at": "2026-01-01T00:00:00Z", "status": 500, "ms": 7, "error": "It said 500."}
    ]


def test_deliveries_come_in_pages_and_by_status(api: Api, account: Account) -> None:
    webhook = create(account)
    ids = []
    for number in range(7):
        ids.append(content(account.post(path(webhook, "test")))["id"])
        finish(api, ids[-1], "DELIVERED" if number % 2 else "FAILED")
    found, cursor = [], None
    while True:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = content(account.get(path(webhook, "deliveries"), query_string=query))
        found += [each["id"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == ids[::-1]
    failed = content(account.get(path(webhook, "deliveries"), query_string={"status": "FAILED"}))
    assert [each["id"] for each in failed["items"]] == ids[::-2]
    for query in ({"status": "LOST"}, {"cursor": "x"}, {"limit": 0}):
        refused = account.get(path(webhook, "deliveries"), query_string=query)
        problem(refused, 422, "validation_failed")


def test_it_is_delivered_again_under_the_same_id(api: Api, account: Account) -> None:
    webhook = create(account)
    delivery = content(account.post(path(webhook, "test")))
    finish(api, delivery["id"], "DELIVERED")
    answer = account.post(path(webhook, "deliveries", delivery["id"], "redeliver"))
    assert answer.status_code == 202
    again = answer.json
    assert again is not None
    assert (again["id"], again["status"], again["attempt"]) == (delivery["id"], "PENDING", 0)
    # What was tried before stays in the log
    log = content(account.get(path(webhook, "deliveries", delivery["id"])))["attempts"]
    assert len(log) == 1


def test_it_is_deleted_with_its_log(api: Api, account: Account) -> None:
    webhook = create(account)
    delivery = content(account.post(path(webhook, "test")))
    assert account.delete(path(webhook)).status_code == 204
    problem(account.get(path(webhook)), 404, "webhook_not_found")
    problem(account.delete(path(webhook)), 404, "webhook_not_found")
    problem(account.get(path(webhook, "deliveries", delivery["id"])), 404, "delivery_not_found")
    assert audited(api, account) == ["webhook_created", "webhook_deleted"]


Call = Callable[[Account, Any, Any], Any]
OF_A_WEBHOOK: dict[str, Call] = {
    "get": lambda who, hook, _: who.get(path(hook)),
    "change": lambda who, hook, _: who.call("PATCH", path(hook), {"enabled": False}),
    "delete": lambda who, hook, _: who.delete(path(hook)),
    "rotate": lambda who, hook, _: who.post(path(hook, "rotate-secret")),
    "test": lambda who, hook, _: who.post(path(hook, "test")),
    "list": lambda who, hook, _: who.get(path(hook, "deliveries")),
    "show": lambda who, hook, sent: who.get(path(hook, "deliveries", sent["id"])),
    "redeliver": lambda who, hook, sent: who.post(
        path(hook, "deliveries", sent["id"], "redeliver")
    ),
}


@pytest.mark.parametrize("name", OF_A_WEBHOOK)
def test_another_account_finds_nothing(api: Api, account: Account, name: str) -> None:
    webhook = create(account)
    delivery = content(account.post(path(webhook, "test")))
    before = content(account.get(path(webhook)))
    other = api.account()
    refused = OF_A_WEBHOOK[name](other, webhook, delivery)
    problem(refused, 404, "delivery_not_found" if name == "show" else "webhook_not_found")
    # Through a webhook of their own neither
    own = create(other)
    if name in {"show", "redeliver"}:
        problem(OF_A_WEBHOOK[name](other, own, delivery), 404, "delivery_not_found")
    assert content(account.get(path(webhook))) == before
    assert content(account.get(path(webhook, "deliveries", delivery["id"])))["status"] == "PENDING"
    assert [each["id"] for each in content(other.get("/v1/webhooks"))["items"]] == [own["id"]]


def test_no_secret_is_in_the_database(api: Api, account: Account) -> None:
    webhook = create(account)
    with api.owner.connect() as connection:
        row = connection.execute(
            select(*Webhook.__table__.columns).where(Webhook.id == UUID(webhook["id"]))
        ).one()
    assert webhook["secret"].removeprefix("whsec_") not in str(row)


def test_without_a_key_there_are_no_webhooks(
    api: Api, api_environment: dict[str, str], account: Account
) -> None:
    resources = Resources.from_settings(settings_from(api_environment, webhook_key=None))
    without = Api(resources, api.owner)
    headers = {"Authorization": f"Bearer {account.access}"}
    for method, where in (("GET", "/v1/webhooks"), ("DELETE", f"/v1/webhooks/{uuid4()}")):
        answer = without.call(method, where, headers=headers)
        problem(answer, 503, "webhooks_not_configured")
    problem(without.call("GET", "/v1/webhooks"), 401, "unauthenticated")
    resources.close()


def test_in_development_this_machine_may_be_called(
    api: Api, api_environment: dict[str, str], account: Account
) -> None:
    settings = settings_from(api_environment, webhook_allow_private_targets=True)
    resources = Resources.from_settings(settings)
    allowing = Api(resources, api.owner)
    headers = {"Authorization": f"Bearer {account.access}"}
    body = {"url": "http://127.0.0.1:8080/hook", "events": EVENTS}
    answer = allowing.call("POST", "/v1/webhooks", body, headers=headers)
    assert answer.status_code == 201, answer.text
    resources.close()
