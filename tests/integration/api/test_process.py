"""The api as it is deployed: gunicorn with its configuration, in a process of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psutil
import pytest
import urllib3
from sqlalchemy import Engine, text

from docmill_dev.ports import free_port
from tests.integration.api.driver import PASSWORD, request

#: For its end once nothing is open any more: far longer than that takes, on a busy machine as well,
#: and far shorter than the time that the tests give open requests.
END_SECONDS = 90
GRACEFUL_SECONDS = "600"
COMMAND = [sys.executable, "-m", "gunicorn", "-c", "python:docmill_api.gunicorn_config"]


@dataclass
class Served:
    """A running gunicorn."""

    url: str
    health_url: str
    process: subprocess.Popen[bytes]
    log: Path

    def call(self, method: str, path: str, body: object = None, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return request(method, self.url + path, json=body, headers=headers)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return bool(self.call("GET", "/readyz").status == 200)
        return False

    @property
    def address(self) -> tuple[str, int]:
        url = urlsplit(self.url)
        return str(url.hostname), int(url.port or 0)

    def refuses(self) -> bool:
        """Whether a new connection is refused."""
        # One that is reset came in the very moment in which the socket closed.
        try:
            with contextlib.suppress(ConnectionResetError):
                socket.create_connection(self.address, timeout=2).close()
        except ConnectionRefusedError:
            return True
        return False

    def health(self, path: str) -> int:
        return int(request("GET", self.health_url + path).status)

    def token(self) -> str:
        """Of a new account."""
        credentials = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD}
        assert self.call("POST", "/v1/auth/register", credentials).status == 201
        return str(self.call("POST", "/v1/auth/login", credentials).json()["access_token"])


@pytest.fixture
def served(
    api_environment: dict[str, str], tmp_path: Path, eventually: Callable[..., None]
) -> Iterator[Served]:
    port, health_port = free_port(), free_port()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            COMMAND,
            env={
                **api_environment,
                "API_PORT": str(port),
                "HEALTH_PORT": str(health_port),
                "API_GRACEFUL_SECONDS": GRACEFUL_SECONDS,
                "LOG_FORMAT": "json",
                "LOG_LEVEL": "DEBUG",
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
        )
        local = "http://127.0.0.1"
        running = Served(f"{local}:{port}", f"{local}:{health_port}", process, log)
        try:
            eventually(running.answers, timeout=120, what="gunicorn answers")
            yield running
        finally:
            process.kill()
            process.wait()


def test_it_serves_and_stops_cleanly_and_logs_no_secret(
    served: Served, api_environment: dict[str, str]
) -> None:
    # Given a session that uses every secret there is
    credentials = {"email": "ada@example.org", "password": PASSWORD}
    assert served.call("POST", "/v1/auth/register", credentials).status == 201
    pair = served.call("POST", "/v1/auth/login", credentials).json()
    token = pair["access_token"]
    reserved = served.call("POST", "/v1/files", {"name": "a.txt", "size_bytes": 5}, token).json()
    upload = reserved["upload"]
    put = request("PUT", upload["url"], body=b"hello", headers=upload["headers"])
    assert put.status == 200
    confirmed = served.call("POST", f"/v1/files/{reserved['file']['id']}/confirm", None, token)
    assert confirmed.status == 202
    answer = served.call("POST", "/v1/search", {"query": "a private question"}, token)
    assert (answer.status, answer.json()["degraded"]) == (200, False)
    old = {"refresh_token": pair["refresh_token"]}
    new = served.call("POST", "/v1/auth/refresh", old).json()
    assert served.call("POST", "/v1/auth/refresh", old).status == 401
    assert served.call("POST", "/v1/auth/register", {"password": PASSWORD}).status == 422
    # When it is told to stop
    served.process.send_signal(signal.SIGTERM)
    # Then it does, with success
    assert served.process.wait(END_SECONDS) == 0
    # And its log has a line for each request, and none of the secrets
    log = served.log.read_text()
    assert log.count('"path": "/v1/auth/refresh"') == 2
    assert '"service": "api"' in log
    assert "Traceback" not in log
    for secret in (
        PASSWORD,
        token,
        pair["refresh_token"],
        new["access_token"],
        new["refresh_token"],
        upload["url"].partition("X-Amz-Signature=")[2],
        "a private question",
        "ada@example.org",
        api_environment["JWT_SECRET"],
        api_environment["S3_SECRET_KEY"],
        api_environment["API_DATABASE_URL"].partition("://")[2].partition("@")[0].partition(":")[2],
    ):
        assert secret
        assert secret not in log


def signals(pid: int, kind: str) -> set[int]:
    """Those that a process has ``SigCgt`` (handlers for) or ``ShdPnd`` (still to notice)."""
    found = Path(f"/proc/{pid}/status").read_text().partition(f"{kind}:")[2].split()[0]
    return {number for number in range(1, 65) if int(found, 16) >> (number - 1) & 1}


def workers(served: Served, eventually: Callable[..., None]) -> list[psutil.Process]:
    """Both worker processes, once they are so far that they hear SIGTERM themselves."""
    master = psutil.Process(served.process.pid)

    def have_begun() -> bool:
        found = master.children()
        # Gunicorn's master handles SIGHUP, its workers do not.
        return len(found) == 2 and all(
            signal.SIGHUP not in signals(each.pid, "SigCgt") for each in found
        )

    eventually(have_begun, what="both workers have begun")
    children: list[psutil.Process] = master.children()
    return children


def waiting_for_a_lock(engine: Engine) -> int:
    with engine.connect() as connection:
        query = "select count(*) from pg_locks where relation = 'files'::regclass and not granted"
        return int(connection.execute(text(query)).scalar_one())


def test_sigterm_ends_no_open_request_and_lets_no_new_one_in(
    served: Served, engine: Engine, eventually: Callable[..., None]
) -> None:
    workers(served, eventually)
    token = served.token()
    query = json.dumps({"query": "a slow client", "mode": "text"}).encode()
    head = (
        f"POST /v1/search HTTP/1.1\r\nHost: docmill\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(query)}\r\n\r\n"
    )
    with (
        ThreadPoolExecutor(4) as pool,
        engine.connect() as lock,
        socket.create_connection(served.address, timeout=60) as slow,
    ):
        # Given requests that wait for the database, and one whose body is still on its way
        lock.execute(text("lock table files in access exclusive mode"))
        asked = [pool.submit(served.call, "GET", "/v1/files", None, token) for _ in range(4)]
        slow.sendall(head.encode() + query[:5])
        try:
            eventually(lambda: waiting_for_a_lock(engine) == 4, what="they are in hand")

            # When the process is told to end
            served.process.send_signal(signal.SIGTERM)

            # Then it says so and takes nobody in, while it lives and works on
            eventually(served.refuses, timeout=20, what="new connections are refused")
            assert served.health("/readyz") == 503
            assert served.health("/livez") == 200
            assert not any(each.done() for each in asked)
        finally:
            lock.rollback()

        # And every open request is answered in full
        slow.sendall(query[5:])
        answer = HTTPResponse(slow, method="POST")
        answer.begin()
        assert (answer.status, json.loads(answer.read())["results"]) == (200, [])
        for each in asked:
            files = each.result(timeout=60)
            assert (files.status, files.json()["items"]) == (200, [])
    assert served.process.wait(END_SECONDS) == 0
    assert "Traceback" not in served.log.read_text()


def test_connections_that_wait_to_be_accepted_at_sigterm_are_served(
    served: Served, eventually: Callable[..., None]
) -> None:
    # Given workers that are busy elsewhere while clients connect
    busy = workers(served, eventually)
    for each in busy:
        each.suspend()
    eventually(lambda: {each.status() for each in busy} == {psutil.STATUS_STOPPED})
    with contextlib.ExitStack() as clients:
        waiting = [
            clients.enter_context(socket.create_connection(served.address, timeout=60))
            for _ in range(4)
        ]
        for client in waiting:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: docmill\r\n\r\n")
        # When the process is told to end before they come back
        served.process.send_signal(signal.SIGTERM)
        eventually(lambda: all(signal.SIGTERM in signals(each.pid, "ShdPnd") for each in busy))
        for each in busy:
            each.resume()
        # Then these clients are answered, by a connection that ends with the answer
        for client in waiting:
            answer = HTTPResponse(client)
            answer.begin()
            assert (answer.status, answer.getheader("Connection")) == (200, "close")
    assert served.process.wait(END_SECONDS) == 0


@pytest.mark.parametrize("moment", ["slow", "forking"])
def test_a_worker_that_still_starts_ends_with_its_master(
    api_environment: dict[str, str], tmp_path: Path, moment: str
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND[:-1], f"python:tests.fakes.{moment}_gunicorn"],
            env={
                **api_environment,
                "API_PORT": str(free_port()),
                "API_GRACEFUL_SECONDS": GRACEFUL_SECONDS,
                "PYTHONPATH": str(Path(__file__).parents[3]),
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            start_new_session=True,
        )
        try:
            assert process.wait(END_SECONDS) == 0, log.read_text()
        finally:
            with contextlib.suppress(ProcessLookupError):  # which is as it should be
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    # Each worker was starting when it ended
    assert "was sent SIGTERM" in log.read_text()


@pytest.mark.parametrize(
    ("command", "status", "change", "sentence"),
    [
        (COMMAND, 2, {"API_DATABASE_URL": ""}, "API_DATABASE_URL is not set"),
        (COMMAND, 2, {"JWT_SECRET": "short-1"}, "JWT_SECRET is wrong: must have at least 32 bytes"),
        # Without docmill's configuration, gunicorn must not start one worker after another.
        ([*COMMAND[:3], "docmill_api.wsgi:app"], 3, {"JWT_SECRET": ""}, "JWT_SECRET is not set"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_one_sentence(
    api_environment: dict[str, str],
    tmp_path: Path,
    command: list[str],
    status: int,
    change: dict[str, str],
    sentence: str,
) -> None:
    bare = {"GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{free_port()} --log-level critical"}
    done = subprocess.run(
        command,
        env={**api_environment, **change, **(bare if status == 3 else {})},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == status
    assert done.stderr.startswith(f"docmill-api cannot start: {sentence}")
    assert len(done.stderr.splitlines()) == 1
    assert "short-1" not in done.stderr
