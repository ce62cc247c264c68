"""The client against a server that is told what to answer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from docmill_dev import client as client_module
from docmill_dev.client import ApiError, Client, ClientError, Unreachable

Answer = tuple[int, object]


class Stub(ThreadingHTTPServer):
    """Gives the answers it was told, per method and path, and remembers what came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def tell(self, what: str, *answers: Answer) -> None:
        self.answers[what] = list(answers)

    def came(self, what: str) -> int:
        return sum(request == what for request, _, _ in self.requests)


class Handler(BaseHTTPRequestHandler):
    server: Stub

    def answer(self) -> None:
        what = f"{self.command} {self.path.partition('?')[0]}"
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((what, dict(self.headers), body))
        answers = self.server.answers[what]
        status, content = answers.pop(0) if len(answers) > 1 else answers[0]
        encoded = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setattr(client_module, "sleep", lambda seconds: None)
    server = Stub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.tell("POST /v1/auth/login", (200, {"access_token": "one"}), (200, {"access_token": "2"}))
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def client(stub: Stub) -> Iterator[Client]:
    with Client(stub.url) as made:
        made.log_in("ada@example.org", "her password")
        yield made


def file_body(**changes: object) -> dict[str, object]:
    progress = {"pages_done": 0, "page_count": None, "chunks_done": 0, "chunk_count": None}
    nothing = dict.fromkeys(("stage", "failure", "duplicate_of", "queued_at", "finished_at"))
    named = {"id": "f1", "name": "a.bin", "size_bytes": 3, "visibility": "private"}
    state = {"status": "QUEUED", "progress": progress, "created_at": "2026-01-01T00:00:00+00:00"}
    return {**nothing, **named, **state, **changes}


def listing(*files: dict[str, object], more: str | None = None) -> Answer:
    return 200, {"items": list(files), "next_cursor": more}


def problem(status: int, code: str) -> Answer:
    return status, {"code": code, "detail": f"This is {code}.", "status": status}


def test_a_problem_becomes_an_error_with_its_code_and_sentence(stub: Stub, client: Client) -> None:
    stub.tell("POST /v1/search", problem(422, "validation_failed"))

    with pytest.raises(ApiError, match=r"This is validation_failed\.") as caught:
        client.search("x")

    assert (caught.value.code, caught.value.status) == ("validation_failed", 422)


def test_what_may_be_repeated_is_repeated(stub: Stub, client: Client) -> None:
    stub.tell("GET /v1/files", problem(503, "database_unavailable"), listing(file_body()))

    assert [file.id for file in client.files()] == ["f1"]


def test_what_keeps_failing_is_an_error_in_the_end(stub: Stub, client: Client) -> None:
    stub.tell("GET /v1/files", problem(503, "database_unavailable"))

    with pytest.raises(ApiError, match="database_unavailable"):
        list(client.files())


def test_a_reservation_is_never_made_twice(stub: Stub, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    stub.tell("POST /v1/files", problem(503, "storage_unavailable"))

    with pytest.raises(ApiError, match="storage_unavailable"):
        client.upload(path)

    assert stub.came("POST /v1/files") == 1


def test_an_expired_token_is_replaced(stub: Stub, client: Client) -> None:
    stub.tell("GET /v1/files", problem(401, "token_expired"), listing())

    assert list(client.files()) == []
    assert stub.requests[-1][1]["Authorization"] == "Bearer 2"


def test_an_upload_is_sent_in_blocks_of_known_length_and_from_its_beginning_when_repeated(
    stub: Stub, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "a.bin"
    content = bytes(range(256)) * 4_000
    path.write_bytes(content)
    upload = {"url": f"{stub.url}/bucket/key?signature=x", "headers": {"Content-Type": "x/y"}}
    stub.tell("POST /v1/files", (201, {"file": file_body(), "upload": upload}))
    stub.tell("PUT /bucket/key", (503, b"busy"), (200, b""))
    stub.tell("POST /v1/files/f1/confirm", (202, file_body()))
    seen: list[tuple[int, int]] = []

    file = client.upload(path, "x/y", on_progress=lambda sent, total: seen.append((sent, total)))

    assert file.status == "QUEUED"
    puts = [(headers, body) for what, headers, body in stub.requests if what == "PUT /bucket/key"]
    assert [body == content for _, body in puts] == [True, True]
    assert puts[1][0]["Content-Length"] == str(len(content))
    assert puts[1][0]["Content-Type"] == "x/y"
    # The store must not learn the token of the API.
    assert "Authorization" not in puts[1][0]
    assert seen[-1] == (len(content), len(content))
    assert len(seen) > 4


def test_waiting_looks_at_the_list_until_every_file_has_ended(stub: Stub, client: Client) -> None:
    other = file_body(id="f2", status="COMPLETED")
    stub.tell(
        "GET /v1/files",
        listing(other, file_body()),
        listing(other, file_body(status="PROCESSING")),
        listing(file_body(id="newer"), other, more="c"),
        listing(file_body(status="COMPLETED")),
    )
    looks: list[list[str]] = []

    found = client.wait(["f1", "f2"], lambda files: looks.append([each.status for each in files]))

    assert {file.status for file in found.values()} == {"COMPLETED"}
    assert found.keys() == {"f1", "f2"}
    assert len(looks) == 3
    assert stub.came("GET /v1/files") == 4


def test_a_file_that_vanished_is_not_waited_for(stub: Stub, client: Client) -> None:
    stub.tell("GET /v1/files", listing())

    assert client.wait(["f1"]) == {}


def test_waiting_ends_with_its_timeout(stub: Stub, client: Client) -> None:
    stub.tell("GET /v1/files", listing(file_body()))

    with pytest.raises(TimeoutError, match=r"a\.bin"):
        client.wait(["f1"], timeout=0)


def test_nobody_answers(stub: Stub) -> None:
    url = stub.url
    stub.shutdown()
    stub.server_close()

    with Client(url) as client, pytest.raises(Unreachable, match=f"Nothing answers at {url}"):
        client.log_in("ada@example.org", "her password")


def test_somebody_else_answers(stub: Stub, client: Client) -> None:
    stub.tell("GET /v1/files", (200, b"<html>Welcome!</html>"))

    with pytest.raises(ClientError, match="does not seem to be docmill"):
        list(client.files())
