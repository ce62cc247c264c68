"""What is sent as text stays text: in SQL, in headers and in log lines."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from urllib3.exceptions import HTTPError

from docmill_dev.ports import free_port
from docmill_dev.processes import Processes
from tests.integration.api.driver import PASSWORD, Account, Api, request
from tests.integration.api.test_access_matrix import CALLS, World, routes
from tests.integration.api.test_process import COMMAND

SQL = (
    "'; drop table files; --",
    "' or '1'='1",
    "x') union select id, email, password_hash from users --",
    "%(id)s :name {0} %s $1",
    "\\'; select pg_sleep(10); --",
)


@pytest.fixture(scope="module")
def world(api: Api) -> World:
    return World(api)


@pytest.fixture(scope="module")
def document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.call("GET", "/openapi.json").json  # type: ignore[assignment]
    return found


def _places(document: dict[str, Any], method: str, rule: str) -> Iterator[tuple[str, str]]:
    """Where this operation takes text: ("body" or "query", name)."""
    path = rule.replace("<uuid:", "{").replace("<", "{").replace(">", "}")
    operation = document["paths"][path][method.lower()]
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query":
            yield "query", parameter["name"]
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for name in schema.get("properties", {}):
        yield "body", name


@cache
def _operations() -> list[tuple[str, str]]:
    return sorted(route for route in routes() if route in CALLS)


@pytest.mark.parametrize("route", _operations(), ids=" ".join)
def test_sql_in_any_field_is_only_text(
    world: World, document: dict[str, Any], route: tuple[str, str]
) -> None:
    method, rule = route
    who = world.accounts["admin"] if rule.startswith("/v1/admin") else world.owner  # type: ignore[index]
    for place, name in _places(document, method, rule):
        for payload in SQL:
            # When one field is SQL and all others are as they should be
            path = rule
            for parameter, value in CALLS[route].given(world).items():
                path = path.replace(f"<uuid:{parameter}>", value).replace(f"<{parameter}>", value)
            body = CALLS[route].body(world)
            query = {name: payload} if place == "query" else {}
            if place == "body":
                body = {**(body or {}), name: payload}
            answer = who.call(method, path, body, query_string=query, buffered=False)
            # Then it is refused or taken as text, and no fault of the database comes of it
            assert answer.status_code < 500, (place, name, payload, answer.text)
            answer.close()
    # And the tables are as they were
    with world.api.owner.connect() as connection:
        assert connection.execute(text("select count(*) from files")).scalar_one() >= 0
        assert connection.execute(text("select count(*) from users")).scalar_one() >= 4


@pytest.mark.parametrize("payload", SQL)
def test_a_search_for_sql_finds_nothing_of_others(api: Api, account: Account, payload: str) -> None:
    api.file_with_chunks(api.account(), ["a secret of somebody else's"])
    for mode in ("text", "hybrid", "semantic"):
        found = account.post("/v1/search", {"query": payload, "mode": mode})
        assert found.status_code == 200, found.text
        assert "secret of somebody" not in found.text
    answer = account.post("/v1/chat", {"messages": [{"role": "user", "content": payload}]})
    assert answer.status_code == 200, answer.text
    assert "secret of somebody" not in answer.text


@pytest.mark.parametrize(
    "sent",
    [
        "good\r\nSet-Cookie: evil=1",
        "good\nX-Evil: 1",
        "x" * 300,
        "é\x01",
        '","level":"error',
    ],
)
def test_a_request_id_of_the_clients_cannot_break_a_header(
    api: Api, account: Account, sent: str
) -> None:
    # werkzeug's client refuses a newline itself, so it is put where a server would put it
    environ = {"HTTP_X_REQUEST_ID": sent, "HTTP_AUTHORIZATION": f"Bearer {account.access}"}
    answer = api.app.test_client().get("/v1/me", environ_overrides=environ)
    assert answer.status_code == 200
    assert answer.headers["X-Request-ID"] != sent
    assert "X-Evil" not in answer.headers
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_input_makes_a_log_line_of_its_own(
    api_environment: dict[str, str],
    tmp_path: Path,
    eventually: Callable[..., None],
    log_format: str,
) -> None:
    forged = '\n{"event": "forged", "level": "info"}\nforged'
    port = free_port()
    environment = {**api_environment, "API_PORT": str(port), "LOG_FORMAT": log_format}
    with Processes(log_directory=tmp_path) as processes:
        process = processes.start("api", COMMAND, env=environment)

        def call(method: str, path: str, token: str = "", body: object = None) -> Any:
            headers = {"Authorization": f"Bearer {token}", "User-Agent": "x\tforged"}
            url = f"http://127.0.0.1:{port}{path}"
            return request(method, url, json=body, headers=headers)

        def answers() -> bool:
            with suppress(HTTPError):
                return bool(call("GET", "/readyz").status == 200)
            return False

        eventually(answers, timeout=60)
        # When what is logged of a request, and what may be, holds newlines
        credentials = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD}
        assert call("POST", "/v1/auth/register", body=credentials).status == 201
        token = call("POST", "/v1/auth/login", body=credentials).json()["access_token"]
        call("GET", "/v1/files%0A%7B%22event%22%3A%22forged%22%7D%0Aforged", token)
        call("POST", "/v1/files", token, {"name": f"a{forged}.txt", "size_bytes": 5})
        call("POST", "/v1/search", token, {"query": forged, "mode": "text"})
        call("POST", "/v1/chat", token, {"messages": [{"role": "user", "content": forged}]})
        call("POST", "/v1/auth/login", body={"email": f"a@b{forged}", "password": forged})
        eventually(lambda: process.log.read_text().count("/v1/") >= 7)
        lines = process.log.read_text().splitlines()
    # Then no line begins with what somebody sent, and as JSON each is one entry
    assert [line for line in lines if line.startswith(("forged", '{"event": "forged"'))] == []
    if log_format == "json":
        assert "forged" not in {json.loads(line)["event"] for line in lines}
