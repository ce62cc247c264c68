"""Row-level security, seen from the api: every statement says for whom it is made.

The policies (migration 0004) compare ``owner_id`` with the setting ``docmill.caller``. The setting
goes out in the same message as the statement and ends with it: it costs no round trip, and nothing
of it is left on a connection that goes back to the pool. Without a caller a statement finds none of
the rows that belong to anybody.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self
from uuid import UUID

import psycopg
import sqlalchemy
from psycopg.abc import Params, Query
from sqlalchemy import Connection, Engine, NullPool, text
from sqlalchemy.exc import OperationalError

from docmill_shared.database import Database, autocommit
from docmill_shared.errors import ConfigurationError

_ATTRIBUTE = "docmill_caller"


class CallerCursor(psycopg.ClientCursor[Any]):
    """A cursor whose statements carry the caller of their connection.

    Binding parameters in the client is what allows two statements in one message; the server runs
    such a message as one transaction, and the setting is local to that.
    """

    def execute(
        self,
        query: Query,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """As psycopg's, for the caller of this connection if there is one."""
        # SQLAlchemy sends text, and nothing else uses these connections.
        assert isinstance(query, str)
        caller: UUID | None = getattr(self.connection, _ATTRIBUTE, None)
        if caller is None:
            return super().execute(query, params, prepare=prepare, binary=binary)
        setting = f"select set_config('docmill.caller', '{UUID(str(caller))}', true); "
        super().execute(setting + query, params, prepare=prepare, binary=binary)
        self.nextset()
        return self

    def executemany(self, *_: Any, **__: Any) -> None:
        """Not for callers: psycopg would send it without the setting."""
        raise NotImplementedError("one statement with several rows does the same")


@contextmanager
def statements_of(engine: Engine, caller: UUID) -> Iterator[Connection]:
    """A connection on which every statement is the caller's and commits by itself."""
    with autocommit(engine) as connection, _acting(connection, caller):
        yield connection


@contextmanager
def transaction_of(engine: Engine, caller: UUID) -> Iterator[Connection]:
    """A transaction of the caller's."""
    with engine.begin() as connection, _acting(connection, caller):
        yield connection


@contextmanager
def _acting(connection: Connection, caller: UUID) -> Iterator[None]:
    driver = connection.connection.driver_connection
    setattr(driver, _ATTRIBUTE, caller)
    try:
        yield
    finally:
        setattr(driver, _ATTRIBUTE, None)


def require_row_security(settings: Database) -> None:
    """Refuse a login that the policies do not bind.

    A database that is away is no reason: services start without it.

    Raises:
        ConfigurationError: says which login it is and which it should be.
    """
    engine = sqlalchemy.create_engine(
        settings.database_url, poolclass=NullPool, connect_args={"connect_timeout": 5}
    )
    try:
        with autocommit(engine) as connection:
            bound, login = connection.execute(
                text("select row_security_active('files'), current_user")
            ).one()
    except OperationalError:
        return
    if not bound:
        raise ConfigurationError(
            f"API_DATABASE_URL logs in as {login}, whom row-level security does not bind: it owns "
            "the tables or is a superuser. Use the login docmill_api, which the migration makes "
            "(docs/deployment.md)"
        )
