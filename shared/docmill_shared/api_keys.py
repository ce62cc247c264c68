"""The api_keys table: programs that act for an account, within scopes.

A key is stored as its SHA-256 alone; nothing slower is needed for 256 random bits.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, func, select, text, update
from sqlalchemy import insert as insert_into

from docmill_shared.schema import ApiKey, User

#: Keys of one account that are not revoked.
MOST_KEYS = 50

#: The time of use is written by whoever comes first after a minute; the others neither write nor
#: wait, and nobody pays a round trip for it.
_STANDING = text("""
with used as (
    update api_keys set last_used_at = now() where id = (
        select id from api_keys
        where key_sha256 = :key_sha256 and revoked_at is null
            and (expires_at is null or expires_at > now())
            and (last_used_at is null or last_used_at < now() - interval '1 minute')
        for no key update skip locked
    )
)
select api_keys.id, api_keys.scopes, api_keys.user_id, users.email, users.role, users.created_at,
    api_keys.revoked_at is not null or users.deleted_at is not null as revoked,
    coalesce(api_keys.expires_at <= now(), false) as expired
from api_keys join users on users.id = api_keys.user_id
where api_keys.key_sha256 = :key_sha256
""")
_FORGET = text("""
delete from api_keys where ctid = any(array(
    select ctid from api_keys where revoked_at < :before or expires_at < :before
    limit :limit for update skip locked
))
""")


class KeyScope(StrEnum):
    """What a key may be used for."""

    FILES_READ = "files:read"
    FILES_WRITE = "files:write"
    SEARCH = "search"
    WEBHOOKS = "webhooks"


_SHOWN = [
    ApiKey.__table__.c[name]
    for name in ("id", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at")
]


def add(
    connection: Connection,
    *,
    user_id: UUID,
    name: str,
    prefix: str,
    key_sha256: bytes,
    scopes: list[KeyScope],
    lifetime: timedelta | None,
) -> Row[Any] | None:
    """Store a key; None when the account has ``MOST_KEYS``. In a transaction.

    The account's row stays locked until then, so that two at once do not become one too many.
    """
    connection.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    count = connection.execute(
        select(func.count()).where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))
    ).scalar_one()
    if count >= MOST_KEYS:
        return None
    return connection.execute(
        insert_into(ApiKey)
        .values(
            id=uuid4(),
            user_id=user_id,
            name=name,
            prefix=prefix,
            key_sha256=key_sha256,
            scopes=[str(each) for each in scopes],
            expires_at=None if lifetime is None else func.now() + lifetime,
        )
        .returning(*_SHOWN)
    ).one()


def listed(connection: Connection, user_id: UUID) -> list[Row[Any]]:
    """The account's keys that are not revoked, newest first; there are ``MOST_KEYS`` at most."""
    return list(
        connection.execute(
            select(*_SHOWN)
            .where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))
            .order_by(ApiKey.created_at.desc(), ApiKey.id.desc())
        )
    )


def revoke(connection: Connection, key_id: UUID, user_id: UUID) -> bool:
    """Refuse the key from now on; False when the account has no such key."""
    revoked = connection.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    return revoked.rowcount == 1


def revoke_all(connection: Connection, user_id: UUID) -> None:
    """Refuse every key of the account from now on."""
    connection.execute(
        update(ApiKey)
        .where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )


def standing(connection: Connection, key_sha256: bytes) -> Row[Any] | None:
    """The key with its account, and whether it is revoked or expired; None: no such key.

    One statement, since it is part of every request. It notes the use, once a minute at most. The
    keys of an account that was deleted are revoked.
    """
    return connection.execute(_STANDING, {"key_sha256": key_sha256}).one_or_none()


def delete_ended(connection: Connection, *, now: datetime, age: timedelta, limit: int) -> int:
    """Delete up to ``limit`` keys that were revoked or expired longer ago than ``age``."""
    return connection.execute(_FORGET, {"before": now - age, "limit": limit}).rowcount
