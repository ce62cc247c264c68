"""An HTTP server that gives the answers it was told, for clients under test."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: A status and a body: JSON, or bytes as they are; and headers, if any.
Answer = tuple[int, object] | tuple[int, object, dict[str, str]]


@dataclass(frozen=True)
class Request:
    """What came."""

    what: str  #: method and path
    query: str
    headers: dict[str, str]
    body: bytes


class StubApi(ThreadingHTTPServer):
    """Answers per method and path, the last of them for ever; remembers what came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[Request] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def tell(self, what: str, *answers: Answer) -> None:
        self.answers[what] = list(answers)

    def to(self, what: str) -> list[Request]:
        """What came to this method and path."""
        return [each for each in self.requests if each.what == what]

    def came(self, what: str) -> int:
        return len(self.to(what))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up waiting is part of the tests."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


@contextmanager
def stub_api() -> Iterator[StubApi]:
    """One that runs, and at which everybody may log in: as ``one``, then as ``2``."""
    server = StubApi()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    pairs = [{"access_token": name, "refresh_token": f"r-{name}"} for name in ("one", "2")]
    server.tell("POST /v1/auth/login", *((200, pair) for pair in pairs))
    try:
        yield server
    finally:
        server.stop()
        thread.join(5)


def problem(status: int, code: str, **headers: str) -> Answer:
    """A refusal as the api makes them."""
    body = {"code": code, "detail": f"This is {code}.", "status": status, "request_id": "r1"}
    return status, body, {name.replace("_", "-"): value for name, value in headers.items()}


class _Handler(BaseHTTPRequestHandler):
    server: StubApi

    def answer(self) -> None:
        path, _, query = self.path.partition("?")
        what = f"{self.command} {path}"
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(Request(what, query, dict(self.headers), body))
        answers = self.server.answers[what]
        status, content, *more = answers.pop(0) if len(answers) > 1 else answers[0]
        encoded = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        length = {"Content-Length": str(len(encoded))}
        for name, value in {**length, **(more[0] if more else {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(encoded)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        pass
