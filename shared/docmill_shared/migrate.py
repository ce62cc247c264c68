"""Bring the database to this release's schema: ``python -m docmill_shared.migrate``.

It runs while the previous release works. No statement waits longer than two seconds for a table
lock, because whatever comes after it for the same table waits with it; a migration that does not
get its lock is rolled back and tried again. Only one runs at a time, whoever starts it. It may be
killed at any moment: the next run goes on from where it was.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, NullPool, text
from sqlalchemy.exc import OperationalError

from docmill_shared.errors import ConfigurationError, DocmillError
from docmill_shared.settings import DatabaseSettings
from docmill_shared.startup import refuse

#: "docmill" in ASCII, read as a number; any constant would do.
ADVISORY_LOCK = 0x646F636D696C6C
#: The longest that queries of the live system are held up by a migration that waits for a lock.
LOCK_SECONDS = 2.0
#: The longest that a statement may work while it holds its locks; building an index concurrently
#: holds none that matters and takes what it takes (see migrations/env.py).
STATEMENT_SECONDS = 60.0
#: Ten attempts with pauses of 1, 2, 4 and then 8 seconds: about a minute and a half.
ATTEMPTS = 10
_LONGEST_PAUSE_SECONDS = 8.0
#: A large index may take an hour. Whoever waits for another migration waits longer than that.
PATIENCE_SECONDS = 2 * 3600.0
_POLL_SECONDS = 0.5

_LOCK_NOT_AVAILABLE, _DEADLOCK, _CANCELLED = "55P03", "40P01", "57014"

Say = Callable[[str], object]


class MigrationBlocked(DocmillError):
    """The database is as it was, or part of the way, and the migration may be run again."""


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration; no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def upgrade(
    engine: Engine,
    revision: str = "head",
    *,
    say: Say = lambda sentence: None,
    attempts: int = ATTEMPTS,
) -> None:
    """Run every migration up to ``revision`` that this database lacks.

    On the schema of a newer release it does nothing: this one is being rolled back to.

    Raises:
        MigrationBlocked: says who is in the way and what to do.
    """
    for attempt in range(1, attempts + 1):
        with _migrating(engine, say) as connection:
            if _is_newer(_revision(connection)):
                say("The schema is of a newer release, which this one works on; nothing to do.")
                return
            connection.commit()
            try:
                command.upgrade(configuration(connection), revision)
                connection.commit()
                return
            except OperationalError as error:
                connection.rollback()
                state = getattr(error.orig, "sqlstate", None)
                if state == _CANCELLED:
                    raise MigrationBlocked(_too_slow()) from error
                if state not in (_LOCK_NOT_AVAILABLE, _DEADLOCK):
                    raise
                blocked = _blocked(connection)
        if attempt == attempts:
            raise MigrationBlocked(f"{blocked} Gave up after {attempts} attempts; run it again.")
        pause = min(2.0 ** (attempt - 1), _LONGEST_PAUSE_SECONDS)
        say(f"{blocked} Next attempt in {pause:g} s.")
        time.sleep(pause)


def require_current(engine: Engine) -> None:
    """Refuse to work on a schema that is older than this code.

    Raises:
        ConfigurationError: says what to run.
    """
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    with engine.connect() as connection:
        revision = _revision(connection)
    # A revision that this code does not know belongs to a newer release: a rollout is under way,
    # and every migration keeps the previous release working.
    if revision == head or _is_newer(revision):
        return
    raise ConfigurationError(
        f"The database schema is {'empty' if revision is None else f'at {revision}'}, this release "
        f"needs {head}. Run: python -m docmill_shared.migrate"
    )


def refuse_old_schema(service: str, settings: DatabaseSettings) -> None:
    """End this process with one sentence if the schema is older than this code.

    A database that is away is no reason: services start without it, and work when it comes.
    """
    engine = sqlalchemy.create_engine(
        settings.database_url, poolclass=NullPool, connect_args={"connect_timeout": 5}
    )
    try:
        require_current(engine)
    except ConfigurationError as error:
        refuse(service, error)
    except OperationalError:
        return


@contextmanager
def _migrating(engine: Engine, say: Say) -> Iterator[Connection]:
    """A connection of which there is only one in the database at a time.

    The session that works holds the lock itself, so that the lock lasts as long as its work does:
    the server may still be building an index for a client that was killed.
    """
    # An engine without a pool: the lock and the settings of the session end with it.
    own = sqlalchemy.create_engine(
        engine.url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"application_name": "docmill-migrate", "connect_timeout": 5},
    )
    with own.connect() as connection:
        for name, value in {
            "lock_timeout": f"{LOCK_SECONDS:g}s",
            "statement_timeout": f"{STATEMENT_SECONDS:g}s",
            "idle_in_transaction_session_timeout": "60s",
            # The server looks this often whether its client still lives.
            "client_connection_check_interval": "2s",
        }.items():
            connection.execute(text(f"set {name} = '{value}'"))
        connection.commit()
        deadline, waiting = time.monotonic() + PATIENCE_SECONDS, False
        while not _locked(connection):
            if not waiting:
                say("Another migration is running; waiting for it.")
                waiting = True
            if time.monotonic() > deadline:
                raise MigrationBlocked("Another migration has been running for hours; look at it.")
            time.sleep(_POLL_SECONDS)
        yield connection


def _locked(connection: Connection) -> bool:
    # Asked again and again: a session that waits inside a statement has a snapshot, for which an
    # index that the other migration builds concurrently would wait, and that is a deadlock.
    query = text("select pg_try_advisory_lock(:key)")
    locked: bool = connection.execute(query, {"key": ADVISORY_LOCK}).scalar_one()
    connection.commit()
    return locked


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _is_newer(revision: str | None) -> bool:
    scripts = ScriptDirectory.from_config(configuration()).walk_revisions()
    return revision is not None and revision not in {script.revision for script in scripts}


def _blocked(connection: Connection) -> str:
    """Who is in the way, without what they do: statements may hold what must not be logged."""
    rows = connection.execute(
        text(
            "select pid, coalesce(nullif(application_name, ''), usename, '?') as name,"
            " extract(epoch from now() - xact_start)::int as seconds from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
            " and xact_start < now() - make_interval(secs => :seconds)"
            " order by xact_start limit 3"
        ),
        {"seconds": LOCK_SECONDS},
    ).all()
    connection.rollback()
    sentence = f"A table is in use; the migration did not get its lock in {LOCK_SECONDS:g} s."
    if rows:
        named = ", ".join(f"{row.pid} ({row.name}, {row.seconds} s)" for row in rows)
        sentence += f" Open transactions: {named}."
    return sentence


def _too_slow() -> str:
    return (
        f"A statement took more than {STATEMENT_SECONDS:g} s and was ended, so that nothing waits "
        "behind it. The migration can be run again; if it fails again, its step must be split."
    )


def main() -> int:
    """The command line: migrate the database of DATABASE_URL."""

    def say(sentence: str) -> None:
        print(f"docmill: {sentence}", file=sys.stderr, flush=True)

    try:
        settings = DatabaseSettings.load()
    except ConfigurationError as error:
        say(str(error))
        return 2
    try:
        upgrade(sqlalchemy.create_engine(settings.database_url), say=say)
    except MigrationBlocked as error:
        say(str(error))
        return 1
    except OperationalError as error:
        say(f"The schema was not brought up to date: {str(error.orig).strip()}")
        return 1
    print("docmill: the schema is up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
