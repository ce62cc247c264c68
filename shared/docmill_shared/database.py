"""Postgres: one engine a process, and the cheap way to run one statement."""

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from docmill_shared.bounded_connection import BoundedConnection

Answer = TypeVar("Answer")

#: A statement that runs, or a transaction that idles, for longer is a bug.
STATEMENT_SECONDS = 30
#: How much later than the server, which ends such a statement, a client stops listening to it.
SILENCE_GRACE_SECONDS = 5
_OUTAGE_POLL_SECONDS = 0.5


class Database(Protocol):
    """Where Postgres is and how much of it one process may use."""

    @property
    def database_url(self) -> str:
        """In SQLAlchemy's form, with a login."""

    @property
    def database_pool_size(self) -> int:
        """The most connections."""


def create_engine(settings: Database, application_name: str, **connect_args: Any) -> Engine:
    """An engine that connects on first use, with further arguments of psycopg's if any.

    What exceeds ``STATEMENT_SECONDS`` is ended by the server, so that no lock outlives the process
    that took it; a server that stands still itself is given up a little later.
    """
    engine = sqlalchemy.create_engine(
        settings.database_url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=10,
        pool_use_lifo=True,
        # Errors end up in logs, and parameters are e-mail addresses, hashes and passages.
        hide_parameters=True,
        connect_args={
            "application_name": application_name,
            "connect_timeout": 5,
            # A pooled connection whose network is gone is closed before somebody asks for it.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "options": f"-c statement_timeout={STATEMENT_SECONDS}s"
            f" -c idle_in_transaction_session_timeout={STATEMENT_SECONDS}s -c timezone=UTC",
            **connect_args,
        },
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "checkout", _refuse_dead)
    event.listen(engine, "checkout", _limit_silence)
    return engine


def _connect(_: object, __: object, args: Any, arguments: dict[str, Any]) -> BoundedConnection:
    connection = BoundedConnection.connect(*args, **arguments)
    _limit_silence(connection)
    return connection


def _limit_silence(connection: Any, *_: object) -> None:
    """Whatever was expected by the one who had the connection before."""
    connection.silence_seconds = STATEMENT_SECONDS + SILENCE_GRACE_SECONDS


def _refuse_dead(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
    """Let the pool replace a connection that its server has ended, as a restart does.

    A server that ends a session says so, and nothing else is sent to a client that waits: a look at
    the socket tells, where SQLAlchemy's ``pool_pre_ping`` would ask, at a round trip each time.
    """
    if not record.info.get("has_served"):
        # The pool replaces one that is refused once. If this is the other, a statement must find
        # out: its error says that the server is away, the pool's is taken for a bug.
        record.info["has_served"] = True
        return
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        raise DisconnectionError("the server has ended this connection")


@contextmanager
def autocommit(engine: Engine) -> Iterator[Connection]:
    """A connection whose every statement commits by itself.

    One statement in a transaction costs three round trips (BEGIN, the statement, COMMIT); here
    it costs one.
    """
    with engine.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


def allow_minutes(connection: Connection, minutes: int) -> None:
    """Let a statement of this transaction take that long."""
    connection.execute(text(f"set local statement_timeout = '{minutes}min'"))
    expect_silence(connection, minutes * 60 + SILENCE_GRACE_SECONDS)


def expect_silence(connection: Connection, seconds: float) -> None:
    """Listen that long for the server, until the connection is given back."""
    driver: Any = connection.connection.driver_connection
    driver.silence_seconds = seconds


def outlast(function: Callable[[], Answer], *, seconds: float) -> Answer:
    """``function()``, repeated while the database is away; for what must not be lost to a restart.

    It must be harmless to do twice: a commit whose answer was lost is done again.

    Raises:
        sqlalchemy.exc.OperationalError: the database was away for longer than ``seconds``.
    """
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            return function()
        except OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_OUTAGE_POLL_SECONDS)
