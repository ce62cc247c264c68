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

import psycopg
import psycopg.sql
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import Field
from sqlalchemy import URL, Connection, Engine, NullPool, make_url, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from docmill_shared.database import Database
from docmill_shared.errors import ConfigurationError, DocmillError
from docmill_shared.settings import DatabaseSettings, PostgresUrl
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
_FORBIDDEN = "42501"

#: The role that migration 0004 gives the api's rights to, and that row-level security binds.
API_ROLE = "docmill_api"

Say = Callable[[str], object]


class MigrationSettings(DatabaseSettings):
    """What a migration is told."""

    api_database_url: PostgresUrl | None = Field(
        None, description="The api's login, to be made or given this password."
    )


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
            except ProgrammingError as error:
                connection.rollback()
                if getattr(error.orig, "sqlstate", None) != _FORBIDDEN:
                    raise
                if "create role" not in str(error.orig):
                    raise MigrationBlocked(str(error.orig).strip()) from error
                raise MigrationBlocked(_may_not_create(API_ROLE)) from error
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


def ensure_api_login(engine: Engine, api_database_url: str) -> None:
    """Make the login of this URL a member of the api's role, with the URL's password.

    Nothing is done where that login works already: whoever made it may have had more rights.

    Raises:
        MigrationBlocked: says what an administrator should run.
    """
    url = make_url(api_database_url)
    if _works(url):
        return
    login, password = url.username or API_ROLE, url.password or ""
    with engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        # The verifier instead of the password: a statement may end up in the server's log.
        verifier = driver.pgconn.encrypt_password(
            password.encode(), login.encode(), b"scram-sha-256"
        ).decode()
        exists = "select 1 from pg_roles where rolname = %s"
        role = psycopg.sql.Identifier(login)
        try:
            if driver.execute(exists, (login,)).fetchone() is None:
                driver.execute(psycopg.sql.SQL("create role {} login").format(role))
            driver.execute(
                psycopg.sql.SQL("alter role {} login password {}").format(
                    role, psycopg.sql.Literal(verifier)
                )
            )
            if login != API_ROLE:
                member = psycopg.sql.SQL("grant docmill_api to {}").format(role)
                driver.execute(member)
        except psycopg.errors.InsufficientPrivilege:
            raise MigrationBlocked(_may_not_create(login)) from None


def _works(url: URL) -> bool:
    """Whether one can log in with this URL and has the api's rights."""
    own = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 5})
    try:
        with own.connect() as connection:
            rights = text("select pg_has_role(current_user, :role, 'usage')")
            works: bool = connection.execute(rights, {"role": API_ROLE}).scalar_one()
            return works
    except OperationalError:
        return False


def _may_not_create(login: str) -> str:
    member = "" if login == API_ROLE else f" IN ROLE {API_ROLE}"
    return (
        f"The role of DATABASE_URL may not create the api's login. As an administrator run: "
        f"CREATE ROLE {login} LOGIN PASSWORD '...'{member}; with the password of API_DATABASE_URL. "
        "Then run the migration again."
    )


def require_current(engine: Engine) -> None:
    """Refuse to work on a schema that is older than this code.

    Raises:
        ConfigurationError: says what to run.
    """
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    try:
        with engine.connect() as connection:
            revision = _revision(connection)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _FORBIDDEN:
            raise
        # Rights come with the migrations, that of reading this among them.
        raise ConfigurationError(
            f"The database gives {engine.url.username} no rights: its schema is older than this "
            f"release, which needs {head}. Run: python -m docmill_shared.migrate"
        ) from None
    # A revision that this code does not know belongs to a newer release: a rollout is under way,
    # and every migration keeps the previous release working.
    if revision == head or _is_newer(revision):
        return
    raise ConfigurationError(
        f"The database schema is {'empty' if revision is None else f'at {revision}'}, this release "
        f"needs {head}. Run: python -m docmill_shared.migrate"
    )


def refuse_old_schema(service: str, settings: Database) -> None:
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
        settings = MigrationSettings.load()
    except ConfigurationError as error:
        say(str(error))
        return 2
    engine = sqlalchemy.create_engine(settings.database_url, poolclass=NullPool)
    try:
        upgrade(engine, say=say)
        if settings.api_database_url is not None:
            ensure_api_login(engine, settings.api_database_url)
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
