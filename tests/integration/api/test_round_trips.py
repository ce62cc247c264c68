"""What requests about files cost: the round trips to the database that ``docs/api.md`` allows."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from tests.integration.api.driver import Account, Api, put

GUIDE = Path(__file__).parents[3] / "docs" / "api.md"
BODY = {"name": "a.txt", "size_bytes": 5}
Request = Callable[[Account], Any]


def budgets() -> dict[str, int]:
    """The table of the guide: requests and how many round trips each may cost."""
    rows = re.findall(r"^\| `([A-Z]+ /v1/[^`]+)`[^|]*\| (\d+) \|", GUIDE.read_text(), re.M)
    return {request: int(count) for request, count in rows}


@contextmanager
def round_trips(api: Api) -> Iterator[list[str]]:
    """The statements that are sent, BEGIN and COMMIT among them."""
    seen: list[str] = []
    engine = api.resources.engine

    def sent(_: object, __: object, statement: str, *___: object) -> None:
        seen.append(statement)

    def begun(connection: Any) -> None:
        if not connection.connection.driver_connection.autocommit:
            seen.append("BEGIN")

    def committed(connection: Any) -> None:
        if not connection.connection.driver_connection.autocommit:
            seen.append("COMMIT")

    listeners = (("before_cursor_execute", sent), ("begin", begun), ("commit", committed))
    for name, listener in listeners:
        event.listen(engine, name, listener)
    try:
        yield seen
    finally:
        for name, listener in listeners:
            event.remove(engine, name, listener)


def reserved(account: Account, count: int = 1) -> list[str]:
    wishes = {"files": [BODY] * count}
    answer = account.post("/v1/files/bulk", wishes)
    assert answer.json is not None
    for item in answer.json["items"]:
        assert put(item["upload"], b"hello") == 200
    return [item["file"]["id"] for item in answer.json["items"]]


#: Each returns the request itself, whatever it needs being there already.
REQUESTS: dict[str, Callable[[Api, Account], Request]] = {
    "POST /v1/files": lambda _, __: lambda account: account.post("/v1/files", BODY),
    "POST /v1/files/bulk": lambda _, __: (
        lambda account: account.post("/v1/files/bulk", {"files": [BODY] * 100})
    ),
    "POST /v1/files/{id}/confirm": lambda _, account: _confirm(*reserved(account)),
    "POST /v1/files/confirm": lambda _, account: _confirm_all(reserved(account, 10)),
    "GET /v1/files/{id}": lambda _, account: _get(*reserved(account)),
    "GET /v1/files": lambda _, __: lambda account: account.get("/v1/files?status=QUEUED&name=a"),
    "GET /v1/files/{id}/chunks": lambda api, account: _get(
        api.file_with_chunks(account, ["words"]), "/chunks"
    ),
    "GET /v1/files/{id}/download": lambda _, account: _get(account.confirmed(), "/download"),
    "PATCH /v1/files/{id}": lambda _, account: _change(*reserved(account)),
    "POST /v1/search": lambda api, account: _ask(api, account, "/v1/search", {"query": "words"}),
    "POST /v1/chat": lambda api, account: _ask(
        api, account, "/v1/chat", {"messages": [{"role": "user", "content": "words"}]}
    ),
    "GET /v1/usage": lambda _, __: lambda account: account.get("/v1/usage"),
}


def _confirm(file_id: str) -> Request:
    return lambda account: account.post(f"/v1/files/{file_id}/confirm")


def _confirm_all(ids: list[str]) -> Request:
    return lambda account: account.post("/v1/files/confirm", {"ids": ids})


def _get(file_id: str, what: str = "") -> Request:
    return lambda account: account.get(f"/v1/files/{file_id}{what}")


def _ask(api: Api, account: Account, path: str, body: object) -> Request:
    api.file_with_chunks(account, ["words"])
    return lambda account: account.post(path, body)


def _change(file_id: str) -> Request:
    body = {"visibility": "private", "name": "b.txt"}
    return lambda account: account.call("PATCH", f"/v1/files/{file_id}", body)


def test_the_guide_has_a_budget_for_each_of_them() -> None:
    assert budgets().keys() == REQUESTS.keys()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_keeps_to_its_budget(api: Api, account: Account, name: str) -> None:
    account.reserve()
    request = REQUESTS[name](api, account)
    with round_trips(api) as seen:
        answer = request(account)
    assert answer.status_code < 300, answer.text
    assert len(seen) == budgets()[name], seen
