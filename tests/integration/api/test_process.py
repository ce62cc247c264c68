"""The api as it is deployed: gunicorn with its configuration, in a process of its own."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from docmill_dev.ports import free_port
from tests.integration.api.driver import PASSWORD, http

COMMAND = [sys.executable, "-m", "gunicorn", "-c", "python:docmill_api.gunicorn_config"]


@dataclass
class Served:
    """A running gunicorn."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def call(self, method: str, path: str, body: object = None, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return http.request(method, self.url + path, json=body, headers=headers, timeout=20)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return bool(self.call("GET", "/readyz").status == 200)
        return False


@pytest.fixture
def served(
    api_environment: dict[str, str], tmp_path: Path, eventually: Callable[..., None]
) -> Iterator[Served]:
    port = free_port()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            COMMAND,
            env={
                **api_environment,
                "API_PORT": str(port),
                "LOG_FORMAT": "json",
                "LOG_LEVEL": "DEBUG",
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
        )
        running = Served(f"http://127.0.0.1:{port}", process, log)
        try:
            eventually(running.answers, timeout=40, what="gunicorn answers")
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
    assert http.request("PUT", upload["url"], body=b"hello").status == 200
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
    assert served.process.wait(20) == 0
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
        api_environment["DATABASE_URL"].partition("://")[2].partition("@")[0].partition(":")[2],
    ):
        assert secret
        assert secret not in log


@pytest.mark.parametrize(
    ("command", "status", "change", "sentence"),
    [
        (COMMAND, 2, {"DATABASE_URL": ""}, "DATABASE_URL is not set"),
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
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == status
    assert done.stderr.startswith(f"docmill-api cannot start: {sentence}")
    assert len(done.stderr.splitlines()) == 1
    assert "short-1" not in done.stderr
