"""A day of one account, with all that can go wrong in it, at LOG_LEVEL=DEBUG in every process:
none of the secrets that were used stands in any line.

What ingestion and its provider log is in ``test_log_context.py`` as well.
"""

import base64
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import psycopg

from tests.fakes.webhook_receiver import WebhookReceiver
from tests.integration.fleet import COMMANDS, Caller, Fleet, fleet, http

WEBHOOK_KEY = "7b1f5e93c0a846d2be71943f60d8a25c"
PASSAGE = "The heliotrope umbrella of the harbour master was never found."
QUESTION = "who lost the heliotrope umbrella"
WRONG_PASSWORD = "the wrong password of somebody"
NEW_PASSWORD = "a password that comes after another"
#: A parameter of a presigned URL that lets whoever has it in.
_SIGNATURE = "X-Amz-Signature"


class Secrets:
    """What was used, by what it is, and every part of it that would be enough for somebody."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def add(self, what: str, secret: str) -> str:
        assert len(secret) >= 8, what
        self._known[what] = secret
        return secret

    def add_url(self, what: str, url: str) -> str:
        (signature,) = parse_qs(urlsplit(url).query)[_SIGNATURE]
        self.add(f"{what}: signature", signature)
        return url

    def add_tokens(self, what: str, tokens: dict[str, Any]) -> dict[str, Any]:
        self.add(f"{what}: access token", tokens["access_token"])
        self.add(f"{what}: its signature", tokens["access_token"].rpartition(".")[2])
        self.add(f"{what}: refresh token", tokens["refresh_token"])
        return tokens

    def found_in(self, text: str) -> list[str]:
        return [what for what, secret in self._known.items() if secret in text]


def test_no_secret_of_a_whole_day_stands_in_any_log(
    service_environment: dict[str, str], tmp_path: Path, eventually: Callable[..., None]
) -> None:
    environment = {
        **service_environment,
        "REDIS_URL": service_environment["REDIS_URL"].rpartition("/")[0] + "/6",
        "EMBEDDING_PROVIDER": "local",
        "WEBHOOK_KEY": WEBHOOK_KEY,
        "WEBHOOK_ALLOW_PRIVATE_TARGETS": "true",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "DEBUG",
    }
    secrets = Secrets()
    for name in ("JWT_SECRET", "S3_SECRET_KEY", "WEBHOOK_KEY"):
        secrets.add(name, environment[name])
    for name in ("DATABASE_URL", "API_DATABASE_URL"):
        secrets.add(
            f"password in {name}", re.sub(r".*://[^:]*:([^@]*)@.*", r"\1", environment[name])
        )

    with fleet(environment, tmp_path) as running, WebhookReceiver() as receiver:
        # Given every process
        running.start(*COMMANDS, API_WORKERS="1")
        # When an account does all that an account can do
        caller = Caller(running, f"{uuid4().hex}@example.org").register()
        secrets.add("e-mail", caller.email)
        secrets.add("password", caller.password)
        secrets.add_tokens("login", caller.tokens)
        _is_attacked(running, caller, secrets)
        _hears_of_files(caller, secrets, receiver)
        _uploads_and_searches(caller, secrets, eventually)
        _uses_a_key(running, caller, secrets)
        eventually(lambda: receiver.received, what="the webhook is called")
        secrets.add("webhook's signature", str(receiver.received[0].headers["webhook-signature"]))
        _loses_its_database(running, caller, environment)
        _changes_its_password_and_goes(running, caller, secrets)
        logs = {name: running[name].log.read_text() for name in COMMANDS}

    # Then every process has logged, and no secret
    for name, log in logs.items():
        assert log.count("\n") > 1, name
        assert secrets.found_in(log) == [], name


def _is_attacked(running: Fleet, caller: Caller, secrets: Secrets) -> None:
    secrets.add("wrong password", WRONG_PASSWORD)
    wrong = {"email": caller.email, "password": WRONG_PASSWORD}
    assert running.call("POST", "/v1/auth/login", wrong).status == 401
    # In bodies that are not what they should be, a secret is still one
    for body in (
        {"email": WRONG_PASSWORD, "password": caller.password},
        {"secret": WRONG_PASSWORD},
    ):
        assert running.call("POST", "/v1/auth/login", body).status == 422
    header, payload, signature = caller.tokens["access_token"].split(".")
    for token in (
        f"{header}.{payload}.{signature[::-1]}",
        f"{header}..{signature}",
        secrets.add("malformed token", "not-a-token-" + uuid4().hex),
        secrets.add("unknown key", "dmk_" + "x" * 11 + uuid4().hex),
        base64.b64encode(f"{caller.email}:{caller.password}".encode()).decode(),
    ):
        assert running.call("GET", "/v1/me", token=token).status == 401
    used = {"refresh_token": caller.tokens["refresh_token"]}
    next_pair = running.call("POST", "/v1/auth/refresh", used).json()
    secrets.add_tokens("refresh", next_pair)
    assert running.call("POST", "/v1/auth/refresh", used).status == 401  # ends the session
    again = {"email": caller.email, "password": caller.password}
    caller.tokens = running.call("POST", "/v1/auth/login", again).json()
    secrets.add_tokens("second login", caller.tokens)
    # What gunicorn refuses is quoted by it
    token = caller.tokens["access_token"]
    for request in (
        f"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer {token}\r\n\r\n",
        f"GET /v1/me HTTP/1.1\r\nHost: x\r\nBearer {token}\r\n\r\n",
        f"Bearer {token}\r\n\r\n",
        f"POST /v1/me HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {token}\r\n\r\n",
        f"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n{WRONG_PASSWORD}\r\n",
    ):
        with socket.create_connection(("127.0.0.1", running.api_port), timeout=20) as client:
            client.sendall(request.encode())
            assert client.recv(100).startswith((b"HTTP/1.1 4", b"HTTP/1.1 501"))
    # And so is a request that breaks off
    with socket.create_connection(("127.0.0.1", running.api_port), timeout=20) as client:
        client.sendall(f"GET /v1/me HTTP/1.1\r\nAuthorization: Bearer {token}\r\n".encode())
        client.shutdown(socket.SHUT_WR)
        client.recv(100)  # it is over when gunicorn has closed it


def _hears_of_files(caller: Caller, secrets: Secrets, receiver: WebhookReceiver) -> None:
    key = secrets.add("what a webhook's address holds", uuid4().hex)
    wanted = {"url": f"{receiver.url}?key={key}", "events": ["file.completed"]}
    created = caller.call("POST", "/v1/webhooks", wanted).json()
    secrets.add("webhook's secret", created["secret"])
    rotated = caller.call("POST", f"/v1/webhooks/{created['id']}/rotate-secret").json()
    secrets.add("webhook's next secret", rotated["secret"])


def _uploads_and_searches(
    caller: Caller, secrets: Secrets, eventually: Callable[..., None]
) -> None:
    secrets.add("passage", "heliotrope umbrella of the harbour")
    secrets.add("question", QUESTION)
    broken = b"%PDF-1.7 " + PASSAGE.encode()
    for content, name in ((PASSAGE.encode(), "notes.txt"), (broken, "broken.pdf")):
        file_id = caller.upload(content, name)
        secrets.add_url(f"upload of {name}", caller.signed[-1])
        eventually(lambda file_id=file_id: caller.ended(file_id), timeout=60, what=name)
        download = caller.call("GET", f"/v1/files/{file_id}/download").json()
        assert (
            http.request("GET", secrets.add_url(f"download of {name}", download["url"])).status
            == 200
        )
    found = caller.call("POST", "/v1/search", {"query": QUESTION}).json()
    assert PASSAGE in found["results"][0]["text"]
    question = {"messages": [{"role": "user", "content": QUESTION}]}
    answer = caller.call("POST", "/v1/chat", question).json()
    assert PASSAGE in answer["citations"][0]["text"]


def _uses_a_key(running: Fleet, caller: Caller, secrets: Secrets) -> None:
    created = caller.call("POST", "/v1/api-keys", {"name": "k", "scopes": ["search"]}).json()
    key = secrets.add("API key", created["key"])
    assert running.call("POST", "/v1/search", {"query": QUESTION}, key).status == 200
    assert running.call("GET", "/v1/files", None, key).status == 403
    assert caller.call("DELETE", f"/v1/api-keys/{created['id']}").status == 204
    assert running.call("POST", "/v1/search", {"query": QUESTION}, key).status == 401


def _loses_its_database(running: Fleet, caller: Caller, environment: dict[str, str]) -> None:
    """Errors quote statements and their parameters."""
    url = environment["DATABASE_URL"].replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        for table in ("users", "files", "chunks"):
            connection.execute(f"alter table {table} rename to {table}_away")
        try:
            login = {"email": caller.email, "password": caller.password}
            assert running.call("POST", "/v1/auth/login", login).status == 500
            assert caller.call("POST", "/v1/search", {"query": QUESTION}).status == 500
            question = {"messages": [{"role": "user", "content": QUESTION}]}
            assert caller.call("POST", "/v1/chat", question).status == 500
        finally:
            for table in ("users", "files", "chunks"):
                connection.execute(f"alter table {table}_away rename to {table}")


def _changes_its_password_and_goes(running: Fleet, caller: Caller, secrets: Secrets) -> None:
    secrets.add("new password", NEW_PASSWORD)
    change = {"current_password": caller.password, "new_password": NEW_PASSWORD}
    caller.tokens = caller.call("POST", "/v1/me/password", change).json()
    secrets.add_tokens("password change", caller.tokens)
    assert caller.call("POST", "/v1/me/password", change).status == 403
    assert caller.call("POST", "/v1/auth/logout").status == 204
    login = {"email": caller.email, "password": NEW_PASSWORD}
    caller.tokens = secrets.add_tokens(
        "last login", running.call("POST", "/v1/auth/login", login).json()
    )
    assert caller.call("DELETE", "/v1/me", {"password": NEW_PASSWORD}).status in {202, 204}
