"""Whether a webhook is docmill's."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from docmill_client import WebhookRejected, verify_webhook

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = json.dumps({"type": "file.completed", "data": {"name": "é.pdf"}}, ensure_ascii=False)


def signature(identity: str, sent: str, body: str = BODY, key: bytes = KEY) -> str:
    signed = hmac.new(key, f"{identity}.{sent}.{body}".encode(), hashlib.sha256)
    return "v1," + base64.b64encode(signed.digest()).decode()


def headers(changes: dict[str, str] | None = None, *, age: float = 0) -> dict[str, str]:
    sent = str(int(time.time() - age))
    named = {"Webhook-Id": "m1", "Webhook-Timestamp": sent}
    return {**named, "Webhook-Signature": signature("m1", sent), **(changes or {})}


@pytest.mark.parametrize("body", [BODY, BODY.encode()])
def test_the_content_of_one_that_is(body: str | bytes) -> None:
    assert verify_webhook(headers(), body, SECRET) == json.loads(BODY)


def test_the_example_of_the_standard() -> None:
    """https://github.com/standard-webhooks: the test vector of its libraries."""
    given = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    age = time.time() - 1614265330

    assert verify_webhook(given, '{"test": 2432232314}', secret, tolerance=age + 60)
    with pytest.raises(WebhookRejected, match="too long ago"):
        verify_webhook(given, '{"test": 2432232314}', secret)


def test_one_of_several_signatures_is_enough() -> None:
    given = headers()
    other = signature("m1", given["Webhook-Timestamp"], key=bytes(32))
    given["Webhook-Signature"] = f"v2,x {other} v1,??? {given['Webhook-Signature']}"

    assert verify_webhook(given, BODY, SECRET)


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ({}, BODY.replace("completed", "deleted")),
        ({"Webhook-Id": "m2"}, BODY),
        ({"Webhook-Timestamp": str(int(time.time()) - 30)}, BODY),
        ({"Webhook-Signature": ""}, BODY),
        ({"Webhook-Signature": signature("m1", "1", key=bytes(32))}, BODY),
    ],
)
def test_one_that_is_not(given: dict[str, str], body: str) -> None:
    # Signed when the test runs: none is refused for its age
    with pytest.raises(WebhookRejected):
        verify_webhook(headers(given), body, SECRET, tolerance=86_400)


def test_one_without_a_time() -> None:
    given = headers()
    del given["Webhook-Timestamp"]

    with pytest.raises(WebhookRejected):
        verify_webhook(given, BODY, SECRET)


@pytest.mark.parametrize("age", [301, -390])
def test_one_that_is_copied_later_or_comes_from_the_future(age: float) -> None:
    with pytest.raises(WebhookRejected, match="too long ago, or the clocks differ"):
        verify_webhook(headers(age=age), BODY, SECRET)

    assert verify_webhook(headers(age=age), BODY, SECRET, tolerance=400)


@pytest.mark.parametrize("sent", ["now", "", "-5", "1e9", "٣"])
def test_a_timestamp_that_is_none_is_refused_although_it_is_signed(sent: str) -> None:
    given = headers({"Webhook-Timestamp": sent, "Webhook-Signature": signature("m1", sent)})

    with pytest.raises(WebhookRejected):
        verify_webhook(given, BODY, SECRET)


def test_a_secret_that_is_none_is_the_receivers_mistake() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify_webhook(headers(), BODY, "whsec_not base64!")
