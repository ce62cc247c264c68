"""A server that says nothing, as far as a client can tell; and one that works for long."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from docmill_shared import database
from docmill_shared.database import allow_minutes, autocommit, create_engine

LIMIT = 2.0
#: To a client, a server that sleeps is one that has come to a stand.
LONGER = text(f"select pg_sleep({1.5 * LIMIT})")


@dataclass
class Login:
    """One connection to a database."""

    database_url: str
    database_pool_size: int = 1


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
    process = text("select pg_backend_pid()")
    with autocommit(bounded) as connection:
        before = connection.execute(process).scalar_one()
    silence = pytest.raises(OperationalError, match=f"said nothing for {LIMIT:g} s")
    with silence, autocommit(bounded) as connection:
        connection.execute(text("select pg_sleep(20)"))
    with autocommit(bounded) as connection:
        assert connection.execute(process).scalar_one() != before


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
