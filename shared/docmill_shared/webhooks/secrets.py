"""Secrets of webhooks: derived from one key, so that none is stored and each can be shown again."""

import base64
import hashlib
import hmac
from datetime import datetime
from uuid import UUID

PREFIX = "whsec_"


def secret(key: bytes, webhook_id: UUID, version: int) -> str:
    """The secret of one version, as its owner sees it; ``key`` is ``WEBHOOK_KEY``."""
    derived = hmac.digest(key, webhook_id.bytes + version.to_bytes(4, "big"), hashlib.sha256)
    return PREFIX + base64.b64encode(derived).decode()


def valid(
    key: bytes, webhook_id: UUID, version: int, previous_until: datetime | None, now: datetime
) -> list[str]:
    """The secrets that sign at this moment, the newest first."""
    found = [secret(key, webhook_id, version)]
    if previous_until is not None and previous_until > now:
        found.append(secret(key, webhook_id, version - 1))
    return found
