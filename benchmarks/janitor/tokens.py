"""A sweep over expired tokens: how long it takes, and what logins beside it notice."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, event, text

from benchmarks.janitor.logins import logging_in
from benchmarks.janitor.place import Place
from docmill_janitor.jobs import clean_expired_tokens
from docmill_shared.database import autocommit

#: Logins are watched this long without a sweep.
_QUIET_SECONDS = 20.0

_USERS = text("""
insert into users (id, email, password_hash)
select gen_random_uuid(), 'user' || number || '@example.org', '-'
from generate_series(cast(:first as int), cast(:last as int)) number
""")
#: Of every two tokens of a kind one has expired, within the last ten days and an hour.
_REFRESH = text("""
insert into refresh_tokens (id, user_id, family_id, token_sha256, expires_at)
select gen_random_uuid(), users[1 + number % cardinality(users)], gen_random_uuid(),
       sha256(cast('token ' || number as bytea)),
       now() + way * (interval '1 hour' + random() * interval '10 days')
from (select number, number % 2 * 2 - 1 as way
      from generate_series(cast(:first as int), cast(:last as int)) number) numbered,
     (select array_agg(id) users from users) everyone
""")
_REVOKED = text("""
insert into revoked_tokens (jti, expires_at)
select gen_random_uuid(), now() + way * (interval '1 hour' + random() * interval '10 days')
from (select number % 2 * 2 - 1 as way
      from generate_series(cast(:first as int), cast(:last as int)) number) numbered
""")


@dataclass(frozen=True)
class SweptTokens:
    """What was measured; times of logins in milliseconds, sorted."""

    tokens: int
    deleted: int
    left: int  #: expired, and still there
    seconds: float
    sweeps: int
    statements: list[float]  #: milliseconds of each delete, sorted
    logins_alone: list[float]
    logins_beside: list[float]


def measure(place: Place, tokens: int) -> SweptTokens:
    """Fill the tables, then sweep while users log in."""
    place.fill("accounts", _USERS, 1_000)
    place.fill("refresh tokens", _REFRESH, tokens // 2)
    place.fill("revoked tokens", _REVOKED, tokens - tokens // 2)
    place.settle("refresh_tokens", "revoked_tokens")
    resources = place.resources
    now = resources.now()
    with (
        logging_in(resources.settings, _a_user(resources.engine)) as logins,
        _timed_deletes(resources.engine) as statements,
    ):
        time.sleep(1)  # the first few load what all others use
        quiet = time.monotonic()
        with place.progress("logins without a sweep (s)", int(_QUIET_SECONDS)) as advance:
            while time.monotonic() - quiet < _QUIET_SECONDS:
                time.sleep(1)
                advance(1)
        began, deleted, sweeps, more = time.monotonic(), 0, 0, True
        with place.progress("expired tokens deleted", tokens // 2) as advance:
            while more:
                swept = clean_expired_tokens.run(
                    resources, now=now, limit=resources.settings.sweep_rows
                )
                deleted, sweeps, more = deleted + sum(swept.counts.values()), sweeps + 1, swept.more
                advance(sum(swept.counts.values()))
        ended = time.monotonic()
        logins.stop()
    with autocommit(resources.engine) as connection:
        left = sum(
            connection.execute(
                text(f"select count(*) from {table} where expires_at < :now"),  # noqa: S608 - ours
                {"now": now},
            ).scalar_one()
            for table in ("refresh_tokens", "revoked_tokens")
        )
    return SweptTokens(
        tokens,
        deleted,
        left,
        ended - began,
        sweeps,
        sorted(statements),
        logins.between(quiet, began),
        logins.between(began, ended),
    )


def _a_user(engine: Engine) -> UUID:
    with autocommit(engine) as connection:
        user_id: UUID = connection.execute(text("select id from users limit 1")).scalar_one()
    return user_id


@contextmanager
def _timed_deletes(engine: Engine) -> Iterator[list[float]]:
    """The milliseconds of every delete: its locks are held for no longer, as it commits itself."""
    taken: list[float] = []
    began = [0.0]

    def before(*_: Any) -> None:
        began[0] = time.monotonic()

    def after(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().lower().startswith("delete"):
            taken.append((time.monotonic() - began[0]) * 1e3)

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    try:
        yield taken
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "after_cursor_execute", after)
