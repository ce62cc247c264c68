"""What arrives at gunicorn: bodies without a length, headers without an end, proxies that lie."""

import contextlib
import json
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from uuid import uuid4

import pytest

from docmill_api.request_lifecycle import MAX_BODY_BYTES
from tests.integration.fleet import Caller, Fleet, fleet


@pytest.fixture(scope="module")
def served(
    api_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    with fleet(api_environment, Path(tmp_path_factory.mktemp("logs"))) as running:
        running.start("api", API_WORKERS="1", API_THREADS="4")
        yield running


@pytest.fixture(scope="module")
def token(served: Fleet) -> str:
    return Caller(served, f"{uuid4().hex}@example.org").register().tokens["access_token"]


def send(served: Fleet, request: bytes) -> tuple[int, bytes, HTTPResponse]:
    """Status, body and answer to these bytes, on a connection of their own."""
    with socket.create_connection(("127.0.0.1", served.api_port), timeout=60) as connection:
        # It may be refused before it was sent in full, and the answer says so.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        answer = HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read(), answer


def search(token: str, *headers: str) -> bytes:
    lines = (
        "POST /v1/search HTTP/1.1",
        "Host: docmill",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        "Connection: close",
        *headers,
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in (*pieces, b""))


def test_a_body_without_a_length_is_read_up_to_the_limit(served: Fleet, token: str) -> None:
    head = search(token, "Transfer-Encoding: chunked")
    # Given a body in pieces, within the limit and beyond it
    fits = chunked(b'{"query": ', b'"x", "mode": "text"}')
    status, body, _ = send(served, head + fits)
    assert (status, json.loads(body)["results"]) == (200, [])
    flood = chunked(b'{"query": "', *[b"x" * 65_536] * (MAX_BODY_BYTES // 65_536 + 1))
    status, body, _ = send(served, head + flood)
    assert status == 413
    assert json.loads(body)["code"] == "body_too_large"


def test_a_length_that_is_too_long_is_refused_before_the_body_comes(
    served: Fleet, token: str
) -> None:
    status, body, _ = send(served, search(token, f"Content-Length: {10**12}"))
    assert status == 413
    assert json.loads(body)["code"] == "body_too_large"


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"query": ['])
def test_deep_nesting_is_no_crash(served: Fleet, token: str, opening: bytes) -> None:
    nested = opening * (MAX_BODY_BYTES // len(opening) - 1)
    status, body, _ = send(served, search(token, f"Content-Length: {len(nested)}") + nested)
    assert status == 400
    assert json.loads(body)["code"] == "malformed_json"


@pytest.mark.parametrize(
    "headers",
    [
        ["X-Long: " + "x" * 20_000],
        [f"X-{number}: x" for number in range(300)],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Content-Length: -1"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Transfer-Encoding: gzip"],
    ],
)
def test_headers_that_no_client_sends_are_refused(
    served: Fleet, token: str, headers: list[str]
) -> None:
    status, body, answer = send(served, search(token, *headers))
    assert status in {400, 431, 501}
    # As a problem, like every refusal, that shows nothing of what was sent
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["status"] == status
    assert token not in body.decode()
    # And the next is served
    assert served.call("GET", "/healthz").status == 200


def test_a_body_whose_pieces_are_malformed_is_the_clients_fault(served: Fleet, token: str) -> None:
    for body in (b"not a length\r\n", b"5\r\nab", b"2\r\nabcd\r\n"):
        with socket.create_connection(("127.0.0.1", served.api_port), timeout=60) as connection:
            connection.sendall(search(token, "Transfer-Encoding: chunked") + body)
            with contextlib.suppress(OSError):  # it may be refused and closed already
                connection.shutdown(socket.SHUT_WR)
            answer = HTTPResponse(connection)
            answer.begin()
            assert (answer.status, json.loads(answer.read())["status"]) == (400, 400)


def test_the_server_does_not_say_what_it_is(served: Fleet) -> None:
    for request in (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"nonsense\r\n\r\n"):
        _, body, answer = send(served, request)
        said = f"{answer.headers}{body!r}".lower()
        assert "gunicorn" not in said
        assert "python" not in said
        assert "werkzeug" not in said


def test_nobody_is_believed_to_come_by_https(served: Fleet) -> None:
    for name, value in (
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Protocol", "ssl"),
        ("X-Forwarded-Ssl", "on"),
    ):
        answer = served.call("GET", "/healthz", **{name: value})
        assert answer.status == 200
        assert "Strict-Transport-Security" not in answer.headers


def test_there_is_one_date_and_one_of_each_header(served: Fleet) -> None:
    for path in ("/docs", "/openapi.json", "/healthz"):
        names = [name.lower() for name in served.call("GET", path).headers]
        assert sorted(names) == sorted(set(names))
