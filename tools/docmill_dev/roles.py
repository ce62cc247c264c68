"""Giving an account its role, directly in the database: whoever may do that needs no other right.

The services' packages are slow to import, and most commands do without them.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from docmill_client import DocmillError, Unreachable
from docmill_dev import private_files
from docmill_dev.servers import PostgresServer
from docmill_dev.session import NOT_RUNNING, NoSession


class Role(StrEnum):
    """What an account may do beyond its own files."""

    USER = "user"
    CONTRIBUTOR = "contributor"
    ADMIN = "admin"


def grant(database_url: str, email: str, role: str) -> None:
    """Give the account this role; it counts from its next request on.

    Raises:
        DocmillError: there is no such account, or no such database.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    from docmill_shared import accounts
    from docmill_shared.settings import DatabaseSettings

    # How good the password is, is for the services to judge.
    settings = DatabaseSettings(database_url=database_url, development=True)
    engine = create_engine(settings.database_url)
    try:
        with engine.begin() as connection:
            found = accounts.set_role(connection, email.strip().lower(), role)
    except OperationalError:
        raise Unreachable("The database cannot be reached.") from None
    except SQLAlchemyError:
        raise DocmillError("The database is not one of docmill, or of another version.") from None
    finally:
        engine.dispose()
    if not found:
        raise DocmillError(f"There is no account {email}; it has to register first.")


def database_url(environ: Mapping[str, str], directory: Path) -> str:
    """DATABASE_URL, or the database of the docmill that runs in this folder.

    Raises:
        NoSession: there is neither.
    """
    if environ.get("DATABASE_URL"):
        return _checked(environ["DATABASE_URL"])
    ports = private_files.read(directory / "ports.json") or {}
    keys = private_files.read(directory / "credentials.json") or {}
    if not (directory / "session.json").exists() or "postgres" not in ports:
        raise NoSession(f"{NOT_RUNNING} (or set DATABASE_URL)")
    server = PostgresServer(
        directory,
        int(ports["postgres"]),
        superuser_password=keys["superuser_password"],
        password=keys["password"],
        api_password=keys.get("api_password", ""),
        settings={},
    )
    return server.url()


def _checked(url: str) -> str:
    """Refuse what the services would; the value may hold a password and is not repeated."""
    if not url.startswith(("postgres://", "postgresql://", "postgresql+psycopg://")):
        raise NoSession("DATABASE_URL must start with postgresql://")
    return url
