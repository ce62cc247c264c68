"""Delete revoked access tokens and refresh tokens that have expired."""

from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared import accounts

#: Small, so that no statement holds its row locks for more than a moment.
BATCH = 1_000


class _Delete(Protocol):
    def __call__(self, connection: Connection, *, now: datetime, limit: int) -> int: ...


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Delete up to ``limit`` of each kind, in batches that each commit by themselves."""
    with resources.sweeping(dry_run=dry_run) as connection:
        revoked = _delete_in_batches(accounts.delete_expired_revoked_tokens, connection, now, limit)
        refresh = _delete_in_batches(accounts.delete_expired_refresh_tokens, connection, now, limit)
    return Swept(
        {"revoked_tokens": revoked, "refresh_tokens": refresh}, more=limit in (revoked, refresh)
    )


def _delete_in_batches(delete: _Delete, connection: Connection, now: datetime, limit: int) -> int:
    deleted = 0
    while deleted < limit:
        batch = min(BATCH, limit - deleted)
        gone = delete(connection, now=now, limit=batch)
        deleted += gone
        if gone < batch:
            break
    return deleted
