"""How the embedded stack recovers: killed servers, killed holders, broken settings."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from minio import Minio

from docmill_dev.children import is_alive
from docmill_dev.servers import Server
from docmill_dev.stack import Stack

# Durable files are not what these tests are about, except where a holder is killed.
QUICK = {"fsync": "off"}

HOLDER = """
    import sys, threading
    from pathlib import Path
    from docmill_dev.processes import end_on_signals
    from docmill_dev.stack import Stack

    with end_on_signals(), Stack(Path(sys.argv[1]), environ={}) as stack:
        print(stack.postgres.pid, stack.valkey.pid, stack.s3.pid, flush=True)
        threading.Event().wait()
"""


def wait_until(condition: Callable[[], bool], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def family(pids: list[int]) -> list[psutil.Process]:
    """The processes and all their descendants."""
    parents = [psutil.Process(pid) for pid in pids]
    return parents + [child for each in parents for child in each.children(recursive=True)]


@contextlib.contextmanager
def holder(directory: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """Another process that holds a stack; and its servers."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(directory)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield process, family([int(pid) for pid in line.split()])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("name", ["postgres", "valkey", "s3"])
def test_a_killed_server_comes_back_on_its_port(tmp_path: Path, name: str) -> None:
    external = {"DATABASE_URL": "postgresql://x/x", "REDIS_URL": "x", "S3_ENDPOINT": "x"}
    only = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL", "s3": "S3_ENDPOINT"}[name]
    del external[only]
    with Stack(tmp_path, environ=external, postgres_settings=QUICK) as stack:
        server: Server = getattr(stack, name)
        assert server.pid is not None
        before, url = family([server.pid]), stack.environment()[only]

        server.kill()
        assert server.pid is None
        assert not [process for process in before if is_alive(process)]
        assert not server.answers()

        server.start()
        server.restart()
        wait_until(server.answers)
        assert stack.environment()[only] == url


def test_an_s3_that_was_killed_in_the_middle_of_a_put_takes_the_object_again(
    tmp_path: Path,
) -> None:
    elsewhere = {"DATABASE_URL": "postgresql://elsewhere/x", "REDIS_URL": "redis://elsewhere"}
    with Stack(tmp_path, environ=elsewhere) as stack:
        stack.s3.kill()
        bucket = stack.s3.home / stack.environment()["S3_BUCKET"]
        for leftover in ("uploads/o/.tmp.0123", ".nanio-meta/uploads/o/f.json.tmp"):
            (bucket / leftover).parent.mkdir(parents=True, exist_ok=True)
            (bucket / leftover).write_bytes(b"half")
        stack.s3.start()
        settings = stack.environment()
        client = Minio(
            settings["S3_ENDPOINT"].removeprefix("http://"),
            access_key=settings["S3_ACCESS_KEY"],
            secret_key=settings["S3_SECRET_KEY"],
            region=settings["S3_REGION"],
            secure=False,
        )
        client.put_object(settings["S3_BUCKET"], "uploads/o/f", io.BytesIO(b"whole"), 5)
        listed = client.list_objects(settings["S3_BUCKET"], recursive=True)
        assert [each.object_name for each in listed] == ["uploads/o/f"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_holder_leaves_no_process_and_the_next_start_works(
    tmp_path: Path, number: signal.Signals
) -> None:
    with holder(tmp_path) as (process, servers):
        assert len(servers) > 3
        process.send_signal(number)
        code = process.wait(100)
        # At once, while servers of the killed run may still be shutting down.
        with Stack(tmp_path, environ={}) as stack:
            wait_until(stack.postgres.answers)
        wait_until(lambda: not any(is_alive(server) for server in servers))

    assert code == (143 if number == signal.SIGTERM else -signal.SIGKILL)


def test_the_end_of_holder_and_guardian_is_recovered_from(tmp_path: Path) -> None:
    # Given servers that nobody holds: the holder and its guardian are killed together
    with holder(tmp_path) as (process, servers):
        for child in psutil.Process(process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # a session of Postgres that has ended
                if any("guardian" in argument for argument in child.cmdline()):
                    child.kill()
        process.kill()
        process.wait()
        assert is_alive(servers[0])

        # When the stack is started again, Then it ends them and works on their data
        with Stack(tmp_path, environ={}) as stack:
            wait_until(stack.postgres.answers)
            assert not [server for server in servers if is_alive(server)]


def test_a_stale_lock_file_of_postgres_that_names_a_stranger_is_removed(tmp_path: Path) -> None:
    external = {"REDIS_URL": "x", "S3_ENDPOINT": "x"}
    with Stack(tmp_path, environ=external, postgres_settings=QUICK) as stack:
        lock = stack.postgres.data / "postmaster.pid"
        stack.postgres.kill()
        _, rest = lock.read_text().split("\n", 1)
        lock.write_text(f"{os.getpid()}\n{rest}")

        stack.postgres.start()

        wait_until(stack.postgres.answers)


def test_postgres_starts_right_after_its_main_process_was_killed(tmp_path: Path) -> None:
    external = {"REDIS_URL": "x", "S3_ENDPOINT": "x"}
    with (
        Stack(tmp_path, environ=external, postgres_settings=QUICK) as stack,
        stack.postgres.connect() as session,
    ):
        # Given a session whose backend does not look up for a long time
        session.execute("SET statement_timeout = 0")
        session.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000000)")
        pid = stack.postgres.pid
        assert pid is not None

        # When the main process alone is killed
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: stack.postgres.pid is None)

        # Then the next start is not stopped by what is left
        stack.postgres.start()
        wait_until(stack.postgres.answers)
        session.close()


def test_a_server_that_cannot_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = Stack(tmp_path, environ={}, postgres_settings={"shared_buffers": "nonsense"})

    with pytest.raises(RuntimeError) as caught:
        broken.start()

    assert "postgres exited with code 1" in str(caught.value)
    assert 'invalid value for parameter "shared_buffers"' in str(caught.value)
    # And the lock and the other servers are gone: the next start works.
    with Stack(tmp_path, environ={}) as stack:
        wait_until(stack.valkey.answers)
