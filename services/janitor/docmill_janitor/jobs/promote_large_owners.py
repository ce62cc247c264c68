"""Give large owners a partial index of their own, and take it away when they have shrunk."""

import math
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared import owner_indexes
from docmill_shared.database import autocommit, expect_silence

#: One build at a time, whichever worker does it; the number only has to be nobody else's.
_LOCK = text("select pg_try_advisory_lock(7_301_405)")
_UNLOCK = text("select pg_advisory_unlock(7_301_405)")


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Build or drop one index; the next sweep does the next.

    An owner is promoted above ``PROMOTE_ABOVE_CHUNKS`` and loses the index below half of that, so
    that nobody at the border has it built again and again. What a broken-off build left is dropped.
    """
    threshold = resources.settings.promote_above_chunks
    with autocommit(resources.engine) as connection:
        if dry_run:
            drops, grown = _wanted(connection, threshold)
            return Swept(
                {"promoted": len(grown), "dropped": len(drops)},
                findings=(
                    *(f"drop the index of owner {owner}" for owner in drops),
                    *(
                        f"build an index for owner {owner}: {passages:,} passages"
                        for owner, passages in grown.items()
                    ),
                ),
            )
        if not connection.execute(_LOCK).scalar_one():
            return Swept({"promoted": 0, "dropped": 0})
        try:
            return _one(connection, *_wanted(connection, threshold))
        finally:
            connection.execute(_UNLOCK)


def _wanted(connection: Connection, threshold: int) -> tuple[list[UUID], dict[UUID, int]]:
    """Whose index has to go, and who needs one with how many passages, the largest first."""
    large = owner_indexes.large_owners(connection, more_than=threshold // 2)
    indexes = owner_indexes.existing(connection)
    broken = [index.owner_id for index in indexes if not index.valid]
    shrunk = [index.owner_id for index in indexes if index.owner_id not in large]
    indexed = {index.owner_id for index in indexes if index.valid}
    by_size = sorted(large.items(), key=lambda item: -item[1])
    grown = {
        owner: passages
        for owner, passages in by_size
        if passages > threshold and owner not in indexed
    }
    return list(dict.fromkeys(broken + shrunk)), grown


def _one(connection: Connection, drops: list[UUID], grown: dict[UUID, int]) -> Swept:
    if not (drops or grown):
        return Swept({"promoted": 0, "dropped": 0})
    # A build takes minutes, and nobody waits for it: CONCURRENTLY holds no lock that matters.
    connection.execute(text("set statement_timeout = 0"))
    expect_silence(connection, math.inf)
    try:
        if drops:
            owner_indexes.drop(connection, drops[0])
        else:
            owner_indexes.build(connection, next(iter(grown)))
    finally:
        connection.execute(text("reset statement_timeout"))
    return Swept(
        {"promoted": 0 if drops else 1, "dropped": 1 if drops else 0},
        more=len(drops) + len(grown) > 1,
    )
