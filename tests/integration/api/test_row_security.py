"""Row-level security: what the api's login sees when a query forgets to ask whose rows it wants."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import ProgrammingError

from docmill_dev.stack import Stack
from docmill_shared import migrate
from docmill_shared.database import autocommit
from docmill_shared.errors import ConfigurationError
from docmill_shared.row_security import require_row_security, statements_of, transaction_of
from tests.integration.api.driver import Account, Api

#: What belongs to an owner.
OWNED = ("files", "chunks", "owner_usage", "webhooks", "webhook_deliveries")


@pytest.fixture(scope="module")
def both(api: Api) -> tuple[Account, Account]:
    """Two owners, each with a private and a public file, passages, usage, a webhook, deliveries."""
    owners = api.account("contributor"), api.account("contributor")
    for owner in owners:
        api.file_with_chunks(owner, ["a secret of mine"], name="private.txt")
        api.file_with_chunks(owner, ["for everyone"], name="public.txt", visibility="public")
        with api.owner.begin() as connection:
            webhook = {"id": uuid4(), "owner": owner.id}
            connection.execute(
                text(
                    "insert into webhooks (id, owner_id, url, events)"
                    " values (:id, :owner, 'https://example.org', '{file.completed}')"
                ),
                webhook,
            )
            connection.execute(
                text(
                    "insert into webhook_deliveries (webhook_id, owner_id, event, payload)"
                    " values (:id, :owner, 'webhook.test', '{}')"
                ),
                webhook,
            )
    return owners


@pytest.fixture
def connection(api: Api, both: tuple[Account, Account]) -> Iterator[Connection]:
    """As the first of the two."""
    with statements_of(api.resources.engine, both[0].id) as connection:
        yield connection


@pytest.mark.parametrize("table", OWNED)
def test_a_query_without_a_where_leaks_nothing(
    api: Api, both: tuple[Account, Account], connection: Connection, table: str
) -> None:
    # Given rows of both owners
    with api.owner.connect() as unbound:
        everyone = unbound.execute(text(f"select owner_id from {table}")).scalars().all()
    assert {each.id for each in both} <= set(everyone)
    # When the first one's request forgets to say whose it wants, only theirs are there
    seen = connection.execute(text(f"select owner_id from {table}")).scalars().all()
    assert set(seen) == {both[0].id}


@pytest.mark.parametrize("table", OWNED)
def test_without_a_caller_there_is_nothing(
    api: Api, both: tuple[Account, Account], table: str
) -> None:
    # A connection that served somebody before carries nothing of them
    with statements_of(api.resources.engine, both[0].id) as used:
        assert used.execute(text(f"select count(*) from {table}")).scalar_one() > 0
    with autocommit(api.resources.engine) as connection:
        assert connection.execute(text(f"select count(*) from {table}")).scalar_one() == 0


@pytest.mark.parametrize(
    "statement",
    [
        "update files set name = 'mine now' where owner_id <> :me",
        "delete from files where owner_id <> :me",
        "delete from chunks where owner_id <> :me",
        "update chunks set visibility = 'public' where owner_id <> :me",
        "delete from webhooks where owner_id <> :me",
        "update webhook_deliveries set status = 'PENDING' where owner_id <> :me",
    ],
)
def test_nothing_of_others_is_changed(
    both: tuple[Account, Account], connection: Connection, statement: str
) -> None:
    assert connection.execute(text(statement), {"me": both[0].id}).rowcount == 0


@pytest.mark.parametrize(
    "statement",
    [
        "insert into files (id, owner_id, name, media_type, size_bytes, object_key)"
        " values (gen_random_uuid(), :other, 'x', 'text/plain', 1, 'k')",
        "update files set owner_id = :other",
        "insert into webhooks (id, owner_id, url, events)"
        " values (gen_random_uuid(), :other, 'https://example.org', '{}')",
    ],
)
def test_nothing_is_given_to_others(
    both: tuple[Account, Account], connection: Connection, statement: str
) -> None:
    with pytest.raises(ProgrammingError, match="row-level security"):
        connection.execute(text(statement), {"other": both[1].id})


@pytest.mark.parametrize(
    "statement",
    [
        "alter table files disable row level security",
        "drop policy own on files",
        "set role docmill",
        "select * from embedding_cache",
        "create table public.mine (x int)",
        "delete from users",
        "truncate audit_events",
        "delete from audit_events",
        "update audit_events set event = 'nothing'",
    ],
)
def test_the_login_may_not_help_itself(connection: Connection, statement: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
        connection.execute(text(statement))


def test_through_the_views_only_what_was_published_is_seen(
    api: Api, both: tuple[Account, Account], connection: Connection
) -> None:
    texts = text("select owner_id, text from visible_chunks")
    seen = {tuple(row) for row in connection.execute(texts)}
    mine, others = both[0].id, both[1].id
    assert seen == {
        (mine, "a secret of mine"),
        (mine, "for everyone"),
        (others, "for everyone"),
    }
    names = text("select owner_id, name from visible_files")
    assert (others, "private.txt") not in {tuple(row) for row in connection.execute(names)}


def test_a_transaction_is_one_callers(api: Api, both: tuple[Account, Account]) -> None:
    with transaction_of(api.resources.engine, both[1].id) as connection:
        for _ in range(2):
            seen = connection.execute(text("select distinct owner_id from files")).scalars().all()
            assert seen == [both[1].id]


def test_a_statement_costs_one_message(
    api: Api, both: tuple[Account, Account], tmp_path: Path
) -> None:
    """As libpq's own trace tells: the caller travels with the statement."""
    with (
        (tmp_path / "trace").open("w+") as trace,
        statements_of(api.resources.engine, both[0].id) as connection,
    ):
        driver: Any = connection.connection.driver_connection
        driver.pgconn.trace(trace.fileno())
        count = text("select count(*) from files where owner_id = :owner")
        assert connection.execute(count, {"owner": both[0].id}).scalar_one() == 2
        driver.pgconn.untrace()
        trace.seek(0)
        sent = [line for line in trace.read().splitlines() if "\tF\t" in line]
    assert len(sent) == 1, sent


@pytest.mark.parametrize("login", ["owner", "superuser"])
def test_a_login_that_sees_everything_is_refused(
    api_environment: dict[str, str], stack: Stack, login: str
) -> None:
    url = make_url(api_environment["DATABASE_URL"])
    if login == "superuser":
        with stack.postgres.connect() as connection:
            connection.execute("create role almighty superuser login password 'almighty'")
        url = url.set(username="almighty", password="almighty")

    class Settings:
        database_url = url.render_as_string(hide_password=False)
        database_pool_size = 1

    with pytest.raises(ConfigurationError, match=r"Use the login docmill_api"):
        require_row_security(Settings())


def test_the_migration_makes_the_login(stack: Stack, database_url: str) -> None:
    """Where it may; it sets the password of a login that is there, and leaves one that works."""
    superuser = "create role maker createrole login password 'maker'"
    with stack.postgres.connect() as connection:
        connection.execute(superuser)
        connection.execute("grant docmill_api to maker with admin option")
    maker = sqlalchemy.create_engine(make_url(database_url).set(username="maker", password="maker"))
    login = make_url(database_url).set(username="api_of_a_team", password="first")
    for password in ("first", "second"):
        wanted = login.set(password=password).render_as_string(hide_password=False)
        migrate.ensure_api_login(maker, wanted)
        with psycopg.connect(wanted.replace("+psycopg", "")) as connection:
            assert connection.execute("select count(*) from files").fetchone() == (0,)
    maker.dispose()


def test_without_the_right_the_migration_says_what_to_run(database_url: str) -> None:
    engine = sqlalchemy.create_engine(database_url)
    wanted = make_url(database_url).set(username="nobody_yet", password="x")
    with pytest.raises(migrate.MigrationBlocked, match="CREATE ROLE nobody_yet LOGIN PASSWORD"):
        migrate.ensure_api_login(engine, wanted.render_as_string(hide_password=False))
    engine.dispose()
