"""Everything that the previous release asks of the database still works on this schema.

During a rollout its processes run on the migrated database. This needs no history: what they ask
was recorded (see ``tests/migration/record.py``). ``tests/e2e/test_rolling_upgrade.py`` runs the
processes themselves where there is one.
"""

import re
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import Engine, text

from docmill_dev.stack import Stack
from docmill_shared import migrate
from tests.migration import releases
from tests.migration.statements import Recorded, Statement

RECORDED = Recorded.load()
#: The rows that parameters speak of were those of another database.
FOREIGN_KEY_VIOLATION = "23503"
#: An empty COPY in binary form: its signature, flags, no extension, and the end.
EMPTY_COPY = b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff"


def complaint(engine: Engine, each: Statement) -> str | None:
    """What Postgres has against a statement on this schema; nothing of it stays."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        try:
            if each.statement.lower().startswith("copy "):
                with driver.cursor() as cursor, cursor.copy(each.statement) as copy:
                    copy.write(EMPTY_COPY)
            else:
                connection.exec_driver_sql(each.statement, each.values)
        except psycopg.Error as error:
            return _unless_foreign_key(error)
        except sqlalchemy.exc.DBAPIError as error:
            return _unless_foreign_key(error.orig)
        finally:
            connection.rollback()
    return None


def _unless_foreign_key(error: BaseException | None) -> str | None:
    state = getattr(error, "sqlstate", None)
    return None if state == FOREIGN_KEY_VIOLATION else f"{state} {error}"


@pytest.fixture
def previous_schema(stack: Stack) -> Iterator[Engine]:
    engine = sqlalchemy.create_engine(stack.create_database("test_previous_schema"))
    migrate.upgrade(engine, releases.before_head())
    yield engine
    engine.dispose()


def test_the_statements_are_those_of_the_release_before_this_one() -> None:
    assert RECORDED.revision == releases.before_head(), (
        "a migration was added: run python -m tests.migration.record"
    )


def test_they_are_the_work_of_all_three_services() -> None:
    """A recording that broke off would prove little."""
    tables = {
        table
        for each in RECORDED.statements
        for table in re.findall(r"(?i)(?:from|into|update|copy)\s+([a-z_]+)", each.statement)
    }
    assert tables >= {
        "chunks",
        "embedding_cache",
        "files",
        "job_runs",
        "refresh_tokens",
        "revoked_tokens",
        "schedule_slots",
        "users",
    }


def test_on_their_own_schema_all_of_them_work(previous_schema: Engine) -> None:
    """So what fails below fails because of the schema, not because of the recording."""
    found = {each.statement: complaint(previous_schema, each) for each in RECORDED.statements}
    assert {statement: what for statement, what in found.items() if what} == {}


def test_on_this_schema_all_of_them_work(engine: Engine) -> None:
    found = {each.statement: complaint(engine, each) for each in RECORDED.statements}
    assert {statement: what for statement, what in found.items() if what} == {}


def test_what_they_leave_out_has_a_default(engine: Engine) -> None:
    """Columns that COPY does not name; of an INSERT, Postgres itself says so above."""
    (copy,) = (each.statement for each in RECORDED.statements if "copy " in each.statement.lower())
    table, columns = re.findall(r"(?is)copy\s+(\w+)\s*\((.*?)\)", copy)[0]
    with engine.connect() as connection:
        needed = connection.execute(
            text(
                "select column_name from information_schema.columns where table_name = :table"
                " and is_nullable = 'NO' and column_default is null and is_generated = 'NEVER'"
            ),
            {"table": table},
        ).scalars()
        assert set(needed) <= {column.strip() for column in columns.split(",")}


@pytest.mark.parametrize(
    ("contraction", "state"),
    [
        ("alter table files drop column page_count", "42703"),
        ("alter table files rename to documents", "42P01"),
        ("alter table files add column checked boolean not null", "23502"),
        ("alter table files add constraint short check (length(name) < 2) not valid", "23514"),
    ],
)
def test_a_contraction_would_be_noticed(engine: Engine, contraction: str, state: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("delete from files"))
        connection.execute(text(contraction))
    try:
        found = [complaint(engine, each) for each in RECORDED.statements]
        assert any(what and what.startswith(state) for what in found), found
    finally:
        with engine.begin() as connection:
            for statement in (
                "alter table if exists documents rename to files",
                "alter table files add column if not exists page_count integer",
                "alter table files drop column if exists checked",
                "alter table files drop constraint if exists short",
            ):
                connection.execute(text(statement))
