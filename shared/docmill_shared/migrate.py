"""Bring the database to this release's schema: ``python -m docmill_shared.migrate``.

One migration runs at a time, whoever starts it: an advisory lock is held for the duration. A
statement waits at most five seconds for a table lock, so that a migration which cannot get one
fails instead of queueing every query of the live system behind itself.
"""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text

from docmill_shared.database import autocommit
from docmill_shared.errors import ConfigurationError
from docmill_shared.settings import DatabaseSettings

#: "docmill" in ASCII, read as a number; any constant would do.
ADVISORY_LOCK = 0x646F636D696C6C


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration; no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine) -> None:
    """Run every migration that this database lacks."""
    # The lock is the session's, not a transaction's: an open one would hold up every index that is
    # built concurrently.
    with autocommit(engine) as guard, engine.connect() as connection:
        guard.execute(text("select pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
        connection.execute(text("set lock_timeout = '5s'"))
        connection.commit()
        command.upgrade(configuration(connection), "head")
        connection.commit()


def require_current(engine: Engine) -> None:
    """Refuse to work on a schema that is older than this code.

    Raises:
        ConfigurationError: says what to run.
    """
    known = {
        script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()
    }
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    with engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    # A revision that this code does not know belongs to a newer release: a rollout is under way,
    # and every migration keeps the previous release working.
    if revision == head or (revision is not None and revision not in known):
        return
    raise ConfigurationError(
        f"The database schema is {'empty' if revision is None else f'at {revision}'}, this release "
        f"needs {head}. Run: python -m docmill_shared.migrate"
    )


def main() -> int:
    """The command line: migrate the database of DATABASE_URL."""
    try:
        settings = DatabaseSettings.load()
    except ConfigurationError as error:
        print(f"docmill: {error}", file=sys.stderr)
        return 2
    upgrade(create_engine(settings.database_url))
    print("docmill: the schema is up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
