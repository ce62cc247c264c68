"""The signed form of a delivery, by the Standard Webhooks specification.

``webhook-signature`` holds one ``v1,`` signature for each secret that is valid, so that a receiver
can change to a new secret at any moment of a rotation.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from docmill_shared.webhooks.secrets import PREFIX


def body(payload: Mapping[str, Any]) -> bytes:
    """The bytes that are signed and sent: the same for each attempt at a delivery."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def headers(
    delivery_id: UUID | str, at: datetime, content: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """The three headers by which a receiver knows a delivery, its age and its sender."""
    timestamp = str(int(at.timestamp()))
    signed = f"{delivery_id}.{timestamp}.".encode() + content
    return {
        "webhook-id": str(delivery_id),
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(each, signed) for each in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
