"""For whoever receives docmill's webhooks (https://www.standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from time import time

from docmill_client.answers import Json
from docmill_client.errors import WebhookRejected


def verify_webhook(
    headers: Mapping[str, str], body: bytes | str, secret: str, tolerance: float = 300.0
) -> Json:
    """The content of a webhook, once it is certain that docmill sent it, and just now.

    ``body`` is what arrived, byte for byte, not what a framework parsed. Keep ``webhook-id`` for a
    while: what is delivered twice has the same.

    Raises:
        WebhookRejected: the signature is wrong, or older or newer than ``tolerance`` seconds.
        ValueError: ``secret`` is none.
    """
    key = _key(secret)
    raw = body.encode() if isinstance(body, str) else body
    wanted = {name.lower(): value for name, value in headers.items()}
    try:
        identity, sent = wanted["webhook-id"], wanted["webhook-timestamp"]
        signatures = wanted["webhook-signature"].split(" ")
    except KeyError as error:
        raise WebhookRejected(f"The header {error.args[0]} is missing.") from None
    expected = hmac.digest(key, f"{identity}.{sent}.".encode() + raw, hashlib.sha256)
    # Several, while a secret is being replaced. All are compared, whichever is right.
    right = [_matches(signature, expected) for signature in signatures]
    if not any(right):
        raise WebhookRejected("The signature is not that of this secret.")
    if not sent.isascii() or not sent.isdecimal() or abs(time() - int(sent)) > tolerance:
        raise WebhookRejected("It was sent too long ago, or the clocks differ.")
    content = json.loads(raw)
    if not isinstance(content, dict):
        raise WebhookRejected("The content is no JSON object.")
    return content


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("A webhook's secret begins with whsec_ and is base64.") from None


def _matches(signature: str, expected: bytes) -> bool:
    kind, _, encoded = signature.partition(",")
    try:
        given = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    return kind == "v1" and hmac.compare_digest(given, expected)
