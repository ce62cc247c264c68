"""The embedded stack, with its real servers."""

import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import minio
import psutil
import psycopg
import pytest
import redis

from docmill_dev.children import is_alive
from docmill_dev.stack import Stack, StackError

# Durable files are not what most of these tests are about.
QUICK = {"fsync": "off"}


def family(pids: list[int]) -> list[psutil.Process]:
    """The processes and all their descendants."""
    parents = [psutil.Process(pid) for pid in pids]
    return parents + [child for each in parents for child in each.children(recursive=True)]


def command_line(process: psutil.Process) -> str:
    """Nothing of one that has ended since it was found: Postgres' sessions come and go."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def pids_of(stack: Stack) -> list[int]:
    pids = [stack.postgres.pid, stack.valkey.pid, stack.s3.pid]
    assert None not in pids
    return [pid for pid in pids if pid is not None]


def libpq(url: str) -> str:
    return url.replace("postgresql+psycopg", "postgresql")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One running stack for the tests that do not stop it."""
    with Stack(tmp_path_factory.mktemp("shared"), environ={}, postgres_settings=QUICK) as running:
        yield running


def test_the_environment_leads_to_servers_that_answer(stack: Stack) -> None:
    variables = stack.environment()

    with psycopg.connect(libpq(variables["DATABASE_URL"])) as connection:
        row = connection.execute(
            "SELECT current_user, current_database(),"
            " (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"
        ).fetchone()
    client = redis.Redis.from_url(variables["REDIS_URL"])

    assert row == ("docmill", "docmill", False)
    assert client.ping()
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_a_fresh_database_has_pgvector_and_belongs_to_the_application(stack: Stack) -> None:
    url = libpq(stack.create_database("fresh"))
    with psycopg.connect(url) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute("CREATE TABLE points (place halfvec(3))")
        connection.execute("INSERT INTO points VALUES ('[1,0,0]'), ('[0,1,0]')")
        connection.execute("CREATE INDEX ON points USING hnsw (place halfvec_cosine_ops)")
        nearest = connection.execute(
            "SELECT place::text FROM points ORDER BY place <=> '[0,2,0]' LIMIT 1"
        ).fetchone()

    again = libpq(stack.create_database("fresh"))
    with psycopg.connect(again) as connection:
        left = connection.execute("SELECT to_regclass('points')").fetchone()

    assert nearest == ("[0,1,0]",)
    assert left == (None,)


def test_the_stack_keeps_its_own_database(stack: Stack) -> None:
    with pytest.raises(ValueError, match="belongs to the stack"):
        stack.create_database("docmill")


def test_a_presigned_upload_is_stored(stack: Stack) -> None:
    variables = stack.environment()
    client = minio.Minio(
        variables["S3_ENDPOINT"].removeprefix("http://"),
        variables["S3_ACCESS_KEY"],
        variables["S3_SECRET_KEY"],
        secure=False,
        region=variables["S3_REGION"],
    )

    url = client.presigned_put_object(
        variables["S3_BUCKET"], "a/b.txt", expires=timedelta(minutes=1)
    )
    answer = httpx.put(url, content=b"passage", trust_env=False)
    forged = httpx.put(url.replace("b.txt", "c.txt"), content=b"x", trust_env=False)

    assert answer.status_code == 200
    assert client.get_object(variables["S3_BUCKET"], "a/b.txt").read() == b"passage"
    assert forged.status_code == 403


def test_credentials_are_private_and_in_no_log(stack: Stack) -> None:
    path = stack.directory / "credentials.json"
    variables = stack.environment()
    password = variables["DATABASE_URL"].split(":")[2].split("@")[0]
    logs = "".join(log.read_text() for log in (stack.directory / "logs").glob("*.log"))
    commands = "".join(map(command_line, family(pids_of(stack))))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert password not in logs + commands
    assert variables["S3_SECRET_KEY"] not in logs + commands


def test_the_servers_listen_on_the_loopback_only(stack: Stack) -> None:
    addresses = {
        connection.laddr.ip
        for pid in pids_of(stack)
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert addresses == {"127.0.0.1"}


def test_the_same_directory_twice_is_refused_with_one_sentence(stack: Stack) -> None:
    with pytest.raises(StackError) as caught:
        Stack(stack.directory, environ={}).start()

    assert "already running" in str(caught.value)
    assert str(os.getpid()) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_data_and_urls_survive_a_clean_restart_and_no_process_is_left(tmp_path: Path) -> None:
    # Given a stack with a row, a key and an object
    with Stack(tmp_path, environ={}) as stack:
        before = stack.environment()
        with psycopg.connect(libpq(before["DATABASE_URL"])) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        redis.Redis.from_url(before["REDIS_URL"]).set("kept", "7")
        (tmp_path / "s3" / "docmill" / "kept").write_bytes(b"7")
        processes = family(pids_of(stack))

    # Then its end leaves no process
    assert not [process for process in processes if is_alive(process)]

    # And a second start finds everything again
    with Stack(tmp_path, environ={}) as stack:
        assert stack.environment() == before
        with psycopg.connect(libpq(before["DATABASE_URL"])) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
        assert redis.Redis.from_url(before["REDIS_URL"]).get("kept") == b"7"


def test_two_stacks_run_side_by_side(stack: Stack, tmp_path: Path) -> None:
    with Stack(tmp_path, environ={}, postgres_settings=QUICK) as other:
        assert not set(other.environment().values()) & (
            set(stack.environment().values()) - {"docmill", "us-east-1"}
        )
        with psycopg.connect(libpq(other.environment()["DATABASE_URL"])) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_users_own_servers_are_passed_through_and_not_started(tmp_path: Path) -> None:
    own = {
        "DATABASE_URL": "postgresql+psycopg://me@db.example/mine",
        "API_DATABASE_URL": "postgresql+psycopg://api@db.example/mine",
        "REDIS_URL": "redis://cache.example/3",
        "S3_ENDPOINT": "https://s3.example",
        "S3_BUCKET": "mine",
    }

    with Stack(tmp_path, environ={**own, "HOME": "/"}) as stack:
        assert stack.environment() == own
        with pytest.raises(StackError, match="DATABASE_URL is set"):
            _ = stack.postgres


def test_a_database_in_the_users_own_server_is_made_but_never_replaced(
    stack: Stack, tmp_path: Path
) -> None:
    # Given a server whose address the user gives, with a role that may create databases
    with stack.postgres.connect() as connection:
        connection.execute("ALTER ROLE docmill CREATEDB")
    environ = {**stack.environment()}

    with Stack(tmp_path, environ=environ) as borrowed:
        url = borrowed.create_database("borrowed")
        assert url == environ["DATABASE_URL"].removesuffix("/docmill") + "/borrowed"
        with pytest.raises(psycopg.errors.DuplicateDatabase):
            borrowed.create_database("borrowed")
