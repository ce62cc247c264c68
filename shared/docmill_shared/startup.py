"""The first thing that a process does: read its settings or end with one clear sentence."""

import sys
from typing import TYPE_CHECKING, NoReturn, TypeVar

from docmill_shared.errors import ConfigurationError
from docmill_shared.observability import configure_logging
from docmill_shared.settings import EnvironmentSettings

if TYPE_CHECKING:  # a worker's main process has no use for SQLAlchemy
    from docmill_shared.database import Database

AnySettings = TypeVar("AnySettings", bound=EnvironmentSettings)


def prepare(service: str, kind: type[AnySettings]) -> AnySettings:
    """Load the settings and configure the log; exit with status 2 if a setting is wrong."""
    try:
        settings = kind.load()
    except ConfigurationError as error:
        refuse(service, error)
    configure_logging(service, settings)
    return settings


def require_schema(service: str, settings: "Database") -> None:
    """End this process with one sentence if the schema is older than this release."""
    # Imported here: Alembic logs while it is imported, and the log is configured by now.
    from docmill_shared.migrate import refuse_old_schema

    refuse_old_schema(service, settings)


def require_row_security(service: str, settings: "Database") -> None:
    """End this process with one sentence if its login may see every owner's rows."""
    # Imported here for the same reason: it brings SQLAlchemy with it.
    from docmill_shared import row_security

    try:
        row_security.require_row_security(settings)
    except ConfigurationError as error:
        refuse(service, error)


def refuse(service: str, error: ConfigurationError) -> NoReturn:
    """End the process with the sentence of this error, without a traceback."""
    sys.stderr.write(f"docmill-{service} cannot start: {error}\n")
    sys.exit(2)
