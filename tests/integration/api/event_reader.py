"""Reading event streams: of the app in this process, and over a socket."""

import json
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Event:
    """An event, or what else stands between two empty lines."""

    id: str | None = None
    name: str = ""
    data: Any = None
    comment: str = ""
    retry: int | None = None

    @property
    def status(self) -> str:
        return str(self.data["status"])


def parse(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events in these lines, heartbeats included."""
    event, seen = Event(), False
    for line in lines:
        text = line.decode().rstrip("\n")
        if not text:
            if seen:
                yield event
            event, seen = Event(), False
            continue
        seen = True
        name, _, value = text.partition(": ") if not text.startswith(":") else ("", "", text[2:])
        match name:
            case "":
                event.comment = value
            case "id":
                event.id = value
            case "event":
                event.name = value
            case "data":
                event.data = json.loads(value)
            case "retry":
                event.retry = int(value)


def of_answer(answer: Any, *, seconds: float = 60.0) -> Iterator[Event]:
    """The events of an answer of a test's client; it must yield something now and then."""
    assert answer.status_code == 200, answer.text
    deadline = time.monotonic() + seconds

    def lines() -> Iterator[bytes]:
        for block in answer.response:
            assert time.monotonic() < deadline, "nothing that was waited for came"
            yield from block.splitlines(keepends=True)

    return parse(lines())


def told(events: Iterable[Event]) -> Iterator[Event]:
    """Without heartbeats and the like."""
    return (each for each in events if each.name)


@dataclass
class Stream:
    """An open stream over a socket."""

    connection: HTTPConnection
    response: HTTPResponse

    def events(self) -> Iterator[Event]:
        """Up to its end; a socket's timeout if nothing comes."""
        assert self.response.status == 200, self.response.read()
        return parse(iter(self.response.readline, b""))


@contextmanager
def stream(
    url: str,
    path: str,
    token: str,
    last_event_id: str | None = None,
    *,
    seconds: float = 60.0,
    receive_buffer: int | None = None,
) -> Iterator[Stream]:
    """Open a stream and close it again."""
    address = urlsplit(url)
    assert address.hostname is not None
    connection = HTTPConnection(address.hostname, address.port, timeout=seconds)
    if receive_buffer is not None:
        connection.sock = socket.socket()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.sock.settimeout(seconds)
        connection.sock.connect((address.hostname, address.port))
    headers = {"Authorization": f"Bearer {token}"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    try:
        connection.request("GET", path, headers=headers)
        yield Stream(connection, connection.getresponse())
    finally:
        connection.close()
