"""API keys: ``dmk_`` and 256 random bits, shown once to whoever creates one."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from docmill_api.problems import Problem
from docmill_api.resources import Resources
from docmill_shared import api_keys, audit
from docmill_shared.api_keys import KeyScope
from docmill_shared.audit import Event, Origin
from docmill_shared.observability import get_logger

PREFIX = "dmk_"
_FORM = re.compile(r"dmk_[A-Za-z0-9_-]{43}", re.ASCII)
#: Enough to tell fifty apart, and 48 bits of 256.
_SHOWN_CHARACTERS = len(PREFIX) + 8

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and its row; the only time that the key itself is known."""

    key: str
    row: Row[Any]


def create(
    resources: Resources,
    user_id: UUID,
    origin: Origin,
    *,
    name: str,
    scopes: list[KeyScope],
    lifetime: timedelta | None,
) -> NewKey:
    """A new key; a :class:`Problem` when the account has too many."""
    key = PREFIX + secrets.token_urlsafe(32)
    with resources.engine.begin() as connection:
        row = api_keys.add(
            connection,
            user_id=user_id,
            name=name,
            prefix=key[:_SHOWN_CHARACTERS],
            key_sha256=digest(key),
            scopes=scopes,
            lifetime=lifetime,
        )
        if row is None:
            raise Problem(
                409,
                "too_many_api_keys",
                f"An account has at most {api_keys.MOST_KEYS} API keys; revoke one first.",
            )
        detail = {"key_id": str(row.id), "scopes": [str(each) for each in scopes]}
        audit.record(connection, Event.API_KEY_CREATED, user_id=user_id, detail=detail, **origin)
    log.info("api key created", key_id=str(row.id))
    return NewKey(key, row)


def revoke(resources: Resources, user_id: UUID, origin: Origin, key_id: UUID) -> None:
    """Refuse the key from now on; a :class:`Problem` when the account has none with this id."""
    with resources.engine.begin() as connection:
        if not api_keys.revoke(connection, key_id, user_id):
            raise Problem(404, "api_key_not_found", "You have no such API key.")
        detail = {"key_id": str(key_id)}
        audit.record(connection, Event.API_KEY_REVOKED, user_id=user_id, detail=detail, **origin)
    log.info("api key revoked", key_id=str(key_id))


def has_form(credential: str) -> bool:
    """Whether this can be a key at all."""
    return _FORM.fullmatch(credential) is not None


def digest(key: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).digest()
