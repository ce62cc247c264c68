"""Delete revoked access tokens and refresh tokens that have expired, and API keys long ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, text

from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared import api_keys, revocations

#: Small, so that no statement holds its row locks for more than a moment: `make bench-janitor`.
BATCH = 200
#: Whoever still sends such a key is told for so long why it is refused.
KEYS_KEPT = timedelta(days=30)


class _Delete(Protocol):
    def __call__(self, connection: Connection, *, now: datetime, limit: int) -> int: ...


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Delete up to ``limit`` of each kind, in batches that each commit by themselves."""
    with resources.sweeping(dry_run=dry_run) as connection, _not_waiting_for_the_disk(connection):
        revoked = _delete_in_batches(revocations.forget_expired, connection, now, limit)
        refresh = _delete_in_batches(revocations.delete_expired, connection, now, limit)
        keys = _delete_in_batches(_delete_ended_keys, connection, now, limit)
    return Swept(
        {"revoked_tokens": revoked, "refresh_tokens": refresh, "api_keys": keys},
        more=limit in (revoked, refresh, keys),
    )


def _delete_ended_keys(connection: Connection, *, now: datetime, limit: int) -> int:
    return api_keys.delete_ended(connection, now=now, age=KEYS_KEPT, limit=limit)


@contextmanager
def _not_waiting_for_the_disk(connection: Connection) -> Iterator[None]:
    """Commits hold their locks until the disk has answered, and it may be busy for long.

    What a crash of the server undoes here, the next sweep deletes again.
    """
    connection.execute(text("set synchronous_commit = off"))
    try:
        yield
    except BaseException:
        connection.invalidate()  # nobody else may get it with this setting
        raise
    connection.execute(text("reset synchronous_commit"))


def _delete_in_batches(delete: _Delete, connection: Connection, now: datetime, limit: int) -> int:
    deleted = 0
    while deleted < limit:
        batch = min(BATCH, limit - deleted)
        gone = delete(connection, now=now, limit=batch)
        deleted += gone
        if gone < batch:
            break
    return deleted
