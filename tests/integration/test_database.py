"""The connections of a pool: their server ends them, says nothing, or works for long."""

import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from docmill_shared import database
from docmill_shared.database import allow_minutes, autocommit, create_engine

LIMIT = 2.0
#: To a client, a server that sleeps is one that has come to a stand.
LONGER = text(f"select pg_sleep({1.5 * LIMIT})")
PROCESS = text("select pg_backend_pid()")


@dataclass
class Login:
    """One connection to a database."""

    database_url: str
    database_pool_size: int = 1


@pytest.fixture
def pooled(database_url: str) -> Iterator[Engine]:
    """An engine with one connection, which is in its pool."""
    engine = create_engine(Login(database_url), "docmill-test")
    with autocommit(engine) as connection:
        connection.execute(PROCESS)
    yield engine
    engine.dispose()


@pytest.fixture
def end(engine: Engine) -> Callable[[Any], None]:
    """Have the server end this connection, and return when it has said so."""

    def end_it(connection: Any) -> None:
        with engine.connect() as other:
            ended = text("select pg_terminate_backend(:process)")
            other.execute(ended, {"process": connection.info.backend_pid})
        told = select.poll()
        told.register(connection.fileno(), select.POLLIN)
        assert told.poll(60_000)

    return end_it


def end_what_is_pooled(pooled: Engine, end: Callable[[Any], None]) -> None:
    connection = pooled.raw_connection()
    driver = connection.driver_connection
    connection.close()
    end(driver)


def test_one_that_was_ended_in_the_pool_is_replaced(
    pooled: Engine, end: Callable[[Any], None]
) -> None:
    end_what_is_pooled(pooled, end)
    with autocommit(pooled) as connection:
        assert connection.execute(PROCESS).scalar_one()


def test_a_server_that_ends_the_new_one_as_well_is_away(
    pooled: Engine, end: Callable[[Any], None]
) -> None:
    end_what_is_pooled(pooled, end)

    # Given a server that ends whoever comes, as it does while it shuts down
    def end_at_once(connection: Any, _: object) -> None:
        end(connection)

    event.listen(pooled, "connect", end_at_once)
    with pytest.raises(OperationalError), autocommit(pooled) as connection:
        connection.execute(PROCESS)
    # Then it serves again as soon as it is back
    event.remove(pooled, "connect", end_at_once)
    with autocommit(pooled) as connection:
        assert connection.execute(PROCESS).scalar_one()


@pytest.fixture
def bounded(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine with one connection, on which a silence of ``LIMIT`` is too long."""
    monkeypatch.setattr(database, "SILENCE_GRACE_SECONDS", LIMIT - database.STATEMENT_SECONDS)
    engine = create_engine(Login(database_url), "docmill-test")
    yield engine
    engine.dispose()


def test_a_silent_server_is_given_up_and_the_next_statement_has_another_connection(
    bounded: Engine,
) -> None:
    with autocommit(bounded) as connection:
        before = connection.execute(PROCESS).scalar_one()
    silence = pytest.raises(OperationalError, match=f"said nothing for {LIMIT:g} s")
    with silence, autocommit(bounded) as connection:
        connection.execute(text("select pg_sleep(20)"))
    with autocommit(bounded) as connection:
        assert connection.execute(PROCESS).scalar_one() != before


def test_a_long_answer_that_arrives_bit_by_bit_is_not_silence(bounded: Engine) -> None:
    # The server sends a buffer when it is full, which is at each of these rows.
    rows = text("select repeat('x', 100000), pg_sleep(:pause) from generate_series(1, 16)")
    with autocommit(bounded) as connection:
        assert len(connection.execute(rows, {"pause": LIMIT / 8}).all()) == 16


def test_who_announces_minutes_gets_them_until_the_connection_is_given_back(
    bounded: Engine,
) -> None:
    with bounded.begin() as connection:
        allow_minutes(connection, 1)
        connection.execute(LONGER)
    silence = pytest.raises(OperationalError, match="said nothing")
    with silence, bounded.begin() as connection:
        connection.execute(LONGER)
