"""What a migration does to a database that is in use, and what is left of one that is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import Engine, text

from docmill_dev.stack import Stack
from docmill_shared import migrate
from tests.conftest import without_docmill

#: Before the migration that these tests look at, which has both kinds of steps.
OLD = "0002"
INDEX = "files_duplicate_objects"  #: what 0003 builds last, concurrently, on files
ROWS = 5_000
#: Less than three attempts and their pauses take, which would be one wait if the lock were kept.
SLOW_MACHINE_SECONDS = 6


@pytest.fixture
def old_schema(stack: Stack) -> Iterator[Engine]:
    """A database at the old schema, with an owner and files."""
    engine = sqlalchemy.create_engine(stack.create_database(f"rollout_{uuid4().hex[:12]}"))
    migrate.upgrade(engine, OLD)
    with engine.begin() as connection:
        connection.execute(
            text("insert into users (id, email, password_hash) values (:id, 'a@b.org', '-')"),
            {"id": uuid4()},
        )
        connection.execute(
            text(
                "insert into files (id, owner_id, name, media_type, size_bytes, object_key)"
                " select gen_random_uuid(), users.id, n || '.txt', 'text/plain', 1, n::text"
                " from users, generate_series(1, :rows) n"
            ),
            {"rows": ROWS},
        )
    yield engine
    engine.dispose()


@contextmanager
def migration(engine: Engine, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``python -m docmill_shared.migrate`` as a process of its own."""
    environment = without_docmill(os.environ) | {
        "DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "PYTHONUNBUFFERED": "1",
    }
    argv = [sys.executable, "-m", "docmill_shared.migrate"]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, env=environment, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def long_transaction(engine: Engine, statement: str) -> Iterator[None]:
    """Somebody who did ``statement`` and does not commit."""
    with engine.connect() as connection:
        connection.execute(text(statement))
        yield
        connection.rollback()


def index_is_valid(engine: Engine, name: str = INDEX) -> bool | None:
    """None: there is no such index."""
    with engine.connect() as connection:
        valid: bool | None = connection.execute(
            text("select indisvalid from pg_index where indexrelid = to_regclass(:name)"),
            {"name": name},
        ).scalar_one_or_none()
        return valid


def sessions_of_migrations(engine: Engine) -> int:
    with engine.connect() as connection:
        count: int = connection.execute(
            text(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and application_name = 'docmill-migrate'"
            )
        ).scalar_one()
        return count


#: What keeps an index from being built to its end, and holds no lock on any table.
OLD_SNAPSHOT = "set transaction isolation level repeatable read; select 1"


def test_a_migration_that_gets_no_lock_blocks_nobody_for_long(
    old_schema: Engine, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    # Given somebody who reads files in a transaction that does not end
    log, longest, stop = tmp_path / "log", [0.0], threading.Event()
    writes = "update files set stage = 'x' where name = '1.txt'"

    def use() -> None:
        while not stop.is_set():
            began = time.monotonic()
            with old_schema.begin() as connection:
                connection.execute(text("select count(*) from files")).scalar_one()
                connection.execute(text(writes))
            longest[0] = max(longest[0], time.monotonic() - began)
            time.sleep(0.01)

    user = threading.Thread(target=use)
    with long_transaction(old_schema, "select count(*) from files"):
        user.start()
        # When the schema is migrated
        with migration(old_schema, log) as process:
            eventually(lambda: log.read_text().count("Next attempt in") >= 3, timeout=120)
            assert process.poll() is None
        stop.set()
        user.join()

    # Then everybody else went on, apart from the time that it waits for its lock
    sentence = log.read_text().splitlines()[0]
    assert sentence.startswith("docmill: A table is in use; the migration did not get its lock in ")
    assert "Open transactions: " in sentence
    assert 0.5 < longest[0] < migrate.LOCK_SECONDS + SLOW_MACHINE_SECONDS, longest
    # And once they have gone, it runs
    migrate.upgrade(old_schema)
    migrate.require_current(old_schema)


@contextmanager
def queries(url: str, statement: str, errors: list[str]) -> Iterator[None]:
    """Somebody who asks this again and again, and what the database refused."""
    enough = threading.Event()

    def ask() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not enough.is_set():
                try:
                    connection.execute(statement.encode())
                except psycopg.Error as error:
                    errors.append(f"{type(error).__name__}: {error}")

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        enough.set()
        asking.join()


@pytest.mark.parametrize("tables", [("chunks c", "files f"), ("files f", "chunks c")])
def test_no_query_of_several_tables_fails(old_schema: Engine, tables: tuple[str, str]) -> None:
    """What takes them in another order than the migration would wait for it, and it for that."""
    migrate.upgrade(old_schema, "0003")
    url = old_schema.url.set(drivername="postgresql").render_as_string(hide_password=False)
    statement = "select from {} join {} on c.file_id = f.id limit 1".format(*tables)
    errors: list[str] = []
    with ExitStack() as traffic:
        for _ in range(4):
            traffic.enter_context(queries(url, statement, errors))
        migrate.upgrade(old_schema)
    assert errors == []


def test_after_its_last_attempt_it_says_who_is_in_the_way(old_schema: Engine) -> None:
    with (
        long_transaction(old_schema, "select count(*) from files"),
        pytest.raises(migrate.MigrationBlocked, match="Gave up after 1 attempts; run it again"),
    ):
        migrate.upgrade(old_schema, attempts=1)
    # Nothing of it is left
    assert "object_missing_at" not in _columns(old_schema, "files")
    assert "schedule" not in sqlalchemy.inspect(old_schema).get_table_names()


def test_a_slow_statement_is_ended(old_schema: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "STATEMENT_SECONDS", 0.1)
    with old_schema.begin() as connection:  # 0003 builds an index over all of these
        connection.execute(
            text(
                "insert into job_runs (id, job, started_at, finished_at, host)"
                " select gen_random_uuid(), 'a', now() - n * interval '1 s', now(), 'h'"
                " from generate_series(1, 600000) n order by random()"
            )
        )
    with pytest.raises(migrate.MigrationBlocked, match=r"took more than 0\.1 s and was ended"):
        migrate.upgrade(old_schema)
    assert "welcomed_at" not in _columns(old_schema, "users")
    assert "schedule" not in sqlalchemy.inspect(old_schema).get_table_names()


def test_a_build_that_was_killed_is_repaired_by_the_next_run(
    old_schema: Engine, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    # Given a migration that is killed in the middle of building an index on files
    with long_transaction(old_schema, OLD_SNAPSHOT):
        with migration(old_schema, tmp_path / "log") as process:
            first = "users_unwelcomed"
            eventually(lambda: index_is_valid(old_schema, first) is False, timeout=60)
            process.send_signal(signal.SIGKILL)
            process.wait()
        # And whose session the server ends by itself
        eventually(lambda: sessions_of_migrations(old_schema) == 0)
        assert index_is_valid(old_schema, first) is False
        assert "welcomed_at" in _columns(old_schema, "users"), "its first part is committed"

    # When it runs again
    migrate.upgrade(old_schema)

    # Then everything is there, and whole
    migrate.require_current(old_schema)
    assert index_is_valid(old_schema, first)
    assert index_is_valid(old_schema)


def test_one_of_two_migrations_waits_and_lets_the_other_build_its_index(
    old_schema: Engine, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    logs = [tmp_path / "first", tmp_path / "second"]
    with ExitStack() as exits:
        # Given one that is in the middle of building an index, and another one that waits for it
        with long_transaction(old_schema, OLD_SNAPSHOT):
            first = exits.enter_context(migration(old_schema, logs[0]))
            eventually(lambda: index_is_valid(old_schema, "users_unwelcomed") is False, timeout=60)
            second = exits.enter_context(migration(old_schema, logs[1]))
            eventually(lambda: "Another migration is running" in logs[1].read_text(), timeout=60)
        # When nobody is in the way any more but they themselves, Then both end well
        codes = [first.wait(120), second.wait(120)]
    assert codes == [0, 0], [log.read_text() for log in logs]
    assert "waiting" not in logs[0].read_text()


def test_on_a_newer_schema_it_has_nothing_to_do(old_schema: Engine) -> None:
    """A rollback starts the previous release, and its migration with it."""
    migrate.upgrade(old_schema)
    said: list[str] = []
    with old_schema.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    migrate.upgrade(old_schema, say=said.append)
    assert said == ["The schema is of a newer release, which this one works on; nothing to do."]


def _columns(engine: Engine, table: str) -> set[str]:
    return {column["name"] for column in sqlalchemy.inspect(engine).get_columns(table)}
