"""What the api does while Redis, the object store or Postgres is away, and after."""

import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from uuid import uuid4

import psutil
import pytest
import sqlalchemy
from sqlalchemy import func, select

from docmill_api import health
from docmill_api.resources import Resources
from docmill_dev.servers.server import Server
from docmill_dev.stack import Stack
from docmill_shared import database, migrate
from docmill_shared.broker import QueueUnavailable
from docmill_shared.database import STATEMENT_SECONDS
from docmill_shared.schema import File
from tests.integration.api.driver import PASSWORD, Api, problem, put, settings_from

Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """A stack whose servers these tests may stop."""
    with (
        tempfile.TemporaryDirectory(prefix="docmill-outage-") as directory,
        Stack(Path(directory), environ={}, postgres_settings={"fsync": "off"}) as running,
    ):
        engine = sqlalchemy.create_engine(running.environment()["DATABASE_URL"])
        migrate.upgrade(engine)
        engine.dispose()
        yield running


@pytest.fixture
def api(own_stack: Stack, service_environment: dict[str, str]) -> Iterator[Api]:
    """An api on the private stack, all of whose servers run, before and after."""
    resources = Resources.from_settings(
        settings_from({**service_environment, **own_stack.environment()})
    )
    owner = sqlalchemy.create_engine(own_stack.environment()["DATABASE_URL"])
    yield Api(resources, owner)
    owner.dispose()
    for server in (own_stack.postgres, own_stack.valkey, own_stack.s3):
        server.start()
    resources.close()


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """A server that stands still: it takes connections, for the kernel does, and never answers."""
    assert server.pid is not None
    main = psutil.Process(server.pid)
    # The main process first, or it would start another meanwhile.
    main.suspend()
    processes = [main, *main.children(recursive=True)]
    try:
        for each in processes:
            each.suspend()
        yield
    finally:
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.resume()


def test_without_redis_files_wait_in_postgres(api: Api, own_stack: Stack) -> None:
    account = api.account()
    file_id = account.upload()
    own_stack.valkey.stop()
    # When a file is confirmed without Redis
    started = time.monotonic()
    confirmed = account.post(f"/v1/files/{file_id}/confirm")
    # Then it is queued at once, unsent, for the dispatcher
    assert time.monotonic() - started < 15
    assert confirmed.status_code == 202
    assert (api.row(file_id).status, api.row(file_id).sent_at) == ("QUEUED", None)
    # And everything else works
    assert account.get("/v1/files").status_code == 200
    assert account.post("/v1/search", {"query": "x"}).status_code == 200
    assert api.account().reserve()
    ready = api.call("GET", "/readyz")
    assert ready.status_code == 200
    assert ready.json is not None
    assert ready.json["dependencies"]["queue"] == "cannot be reached"
    # And when Redis is back, files are sent again
    own_stack.valkey.start()
    assert api.messages(account.confirmed()) == 1


def test_a_redis_that_stands_still_delays_a_confirmation_and_nothing_else(
    api: Api, own_stack: Stack
) -> None:
    account = api.account()
    files = [account.upload() for _ in range(3)]
    with frozen(own_stack.valkey):
        # When files are confirmed and read meanwhile
        started = time.monotonic()
        for file_id in files:
            assert account.post(f"/v1/files/{file_id}/confirm").status_code == 202
            assert account.get(f"/v1/files/{file_id}").status_code == 200
        # Then Redis is waited for, and told of progress, within the api's patience
        assert time.monotonic() - started < len(files) * 5.5
    for file_id in files:
        assert (api.row(file_id).status, api.row(file_id).sent_at) == ("QUEUED", None)
    # And once it goes on, so does everything
    assert api.messages(account.confirmed()) == 1


def test_a_message_that_is_not_taken_is_left_to_the_dispatcher(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a Redis that goes away between the look at the queue and the message
    def refuse(*_: object) -> None:
        raise QueueUnavailable("gone")

    monkeypatch.setattr("docmill_shared.broker.send", refuse)
    file_id = api.account().confirmed()
    assert (api.row(file_id).status, api.row(file_id).sent_at) == ("QUEUED", None)


def test_without_the_store_nothing_is_reserved(
    api: Api, own_stack: Stack, eventually: Eventually
) -> None:
    account = api.account()
    pending = account.upload()
    doomed = account.confirmed()
    own_stack.s3.stop()
    eventually(
        lambda: account.post("/v1/files", {"name": "a.txt", "size_bytes": 5}).status_code == 503,
        what="the answer of the last check is forgotten",
    )
    with api.owner.connect() as connection:
        count = select(func.count()).where(File.owner_id == account.id)
        before = connection.execute(count).scalar_one()
        answer = account.post("/v1/files", {"name": "a.txt", "size_bytes": 5})
        problem(answer, 503, "storage_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert connection.execute(count).scalar_one() == before
    # A confirmation waits, too
    problem(account.post(f"/v1/files/{pending}/confirm"), 503, "storage_unavailable")
    assert api.row(pending).status == "PENDING"
    # A deletion is promised and left to the janitor
    answer = account.delete(f"/v1/files/{doomed}")
    assert (answer.status_code, answer.data) == (202, b"")
    problem(account.get(f"/v1/files/{doomed}"), 404, "file_not_found")
    assert api.row(doomed).status == "DELETING"
    # Reads work, and the probe tells the truth
    assert account.get("/v1/files").status_code == 200
    ready = api.call("GET", "/readyz")
    assert ready.status_code == 200
    assert ready.json is not None
    assert ready.json["dependencies"]["storage"] != "ok"
    # And when the store is back, everything goes on
    own_stack.s3.start()
    eventually(lambda: account.post(f"/v1/files/{pending}/confirm").status_code == 202)
    eventually(
        lambda: account.post("/v1/files", {"name": "a.txt", "size_bytes": 5}).status_code == 201
    )
    assert put(account.reserve()["upload"], b"hello") == 200


def test_without_postgres_every_request_is_told_so_at_once(
    api: Api, own_stack: Stack, eventually: Eventually
) -> None:
    account = api.account()
    assert api.call("GET", "/readyz").status_code == 200
    own_stack.postgres.stop()
    started = time.monotonic()
    for method, path, body in (
        ("GET", "/v1/files", None),
        ("POST", "/v1/files", {"name": "a.txt", "size_bytes": 5}),
        ("POST", "/v1/search", {"query": "x"}),
        ("POST", "/v1/auth/login", {"email": account.email, "password": "x"}),
        ("POST", "/v1/auth/refresh", {"refresh_token": "x"}),
    ):
        answer = account.call(method, path, body)
        problem(answer, 503, "database_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    assert time.monotonic() - started < 30
    assert api.call("GET", "/healthz").status_code == 200
    eventually(lambda: api.call("GET", "/readyz").status_code == 503)
    # And it recovers by itself
    own_stack.postgres.start()
    assert account.get("/v1/files").status_code == 200
    eventually(lambda: api.call("GET", "/readyz").status_code == 200)


def test_a_postgres_that_stands_still_holds_no_request_for_longer_than_the_limit(
    api: Api, own_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given connections, idle and new, that listen for 2 s where they would for 35
    limit = 2
    monkeypatch.setattr(database, "SILENCE_GRACE_SECONDS", limit - database.STATEMENT_SECONDS)
    account = api.account()
    file_id = account.upload()
    with frozen(own_stack.postgres):
        # When requests come meanwhile
        started = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            answers = [
                pool.submit(account.call, method, path, body)
                for method, path, body in (
                    ("GET", "/v1/files", None),
                    ("POST", f"/v1/files/{file_id}/confirm", None),
                    ("POST", "/v1/search", {"query": "x"}),
                    ("POST", "/v1/auth/login", {"email": account.email, "password": PASSWORD}),
                )
            ]
            # Then each is told so; a new connection had 5 s to come about
            for answer in answers:
                problem(answer.result(timeout=60), 503, "database_unavailable")
        assert time.monotonic() - started < STATEMENT_SECONDS
    # And once it goes on, so does everything
    assert account.get("/v1/files").status_code == 200
    assert account.post(f"/v1/files/{file_id}/confirm").status_code == 202


def test_a_restart_of_postgres_between_requests_goes_unnoticed(api: Api, own_stack: Stack) -> None:
    account = api.account()
    assert account.get("/v1/me").status_code == 200
    own_stack.postgres.restart()
    assert account.get("/v1/me").status_code == 200
    assert account.reserve()
    # And so it does where nobody is asked who they are first
    credentials = {"email": account.email, "password": PASSWORD}
    for path, body in (
        ("login", credentials),
        ("register", {**credentials, "email": f"{uuid4().hex}@example.org"}),
        ("refresh", {"refresh_token": account.refresh}),
    ):
        own_stack.postgres.restart()
        answer = api.call("POST", f"/v1/auth/{path}", body)
        assert answer.status_code in {200, 201}, (path, answer.text)


def test_a_store_that_hangs_does_not_take_the_probe_with_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a store that gives no answer
    monkeypatch.setattr(health, "DEADLINE_SECONDS", 5.0)
    hanging = Event()

    def hang() -> None:
        hanging.wait(120)

    monkeypatch.setattr(api.resources.objects, "check", hang)
    # When the probe is asked, twice, and a client wants to upload
    account = api.account()
    started = time.monotonic()
    answers = [api.call("GET", "/readyz") for _ in range(2)]
    refused = account.post("/v1/files", {"name": "a.txt", "size_bytes": 5})
    # Then only the first waits, no longer than the deadline, and is told which it was
    assert time.monotonic() - started < 2.5 * 5
    problem(refused, 503, "storage_unavailable")
    for answer in answers:
        assert answer.status_code == 200
        assert answer.json is not None
        assert answer.json["dependencies"] == {
            "database": "ok",
            "storage": "gave no answer within 5 s",
            "queue": "ok",
        }
    hanging.set()


def test_a_store_that_never_answers_holds_no_request_for_long(
    api: Api, own_stack: Stack, service_environment: dict[str, str]
) -> None:
    # Given two files, and a store that from now on takes requests and does not answer them
    account = api.account()
    pending, doomed = account.upload(), account.confirmed()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hangs = {"S3_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        resources = Resources.from_settings(
            settings_from({**service_environment, **own_stack.environment(), **hangs})
        )
        other = replace(account, api=Api(resources, api.owner))
        # When one is confirmed and the other deleted
        started = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            confirmed = pool.submit(other.post, f"/v1/files/{pending}/confirm")
            deleted = pool.submit(other.delete, f"/v1/files/{doomed}")
            # Then both are answered in good time, and as if the store were away
            problem(confirmed.result(), 503, "storage_unavailable")
            assert deleted.result().status_code == 202
        assert time.monotonic() - started < 14
    assert (api.row(pending).status, api.row(doomed).status) == ("PENDING", "DELETING")
    resources.close()
