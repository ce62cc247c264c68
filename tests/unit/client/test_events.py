"""Server-sent events: their format, and coming back after a connection broke."""

import json

import pytest

from docmill_client import Client, NotFound, Unavailable
from docmill_client.streams import Message, messages
from tests.fakes.stub_api import StubApi, problem

ALL, ONE = "GET /v1/events", "GET /v1/files/f1/events"


def event(number: int, **data: object) -> bytes:
    return f"id: {number}\nevent: file\ndata: {json.dumps(data)}\n\n".encode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_stream_is_read_however_it_is_cut(size: int, end: str) -> None:
    stream = (
        ": a comment\n\nretry: 250\nid: 1\nevent: file\ndata: {\ndata:  \u2028é}\n\n"
        "id: 2\n\ndata\n\nid\nunknown: x\nretry: soon\ndata:x\n\ndata: never finished"
    )
    whole = stream.replace("\n", end).encode()
    blocks = [whole[at : at + size] for at in range(0, len(whole), size)]

    assert list(messages(blocks)) == [
        Message("1", "file", "{\n \u2028é}", 0.25),
        Message("2", "message", "", 0.25),
        Message(None, "message", "x", 0.25),
    ]


def test_a_stream_that_breaks_goes_on_where_it_broke(stub: StubApi, client: Client) -> None:
    first = (200, event(1, status="QUEUED") + event(2, status="PROCESSING") + b"id: 3\ndata: {")
    stub.tell(
        ONE,
        first,
        problem(503, "database_unavailable"),
        (200, b": nothing new\n\n"),
        (200, event(3, status="COMPLETED") + event(4, status="UNSEEN")),
    )

    seen = list(client.events("f1"))

    assert [each.data["status"] for each in seen] == ["QUEUED", "PROCESSING", "COMPLETED"]
    assert [each.id for each in seen] == ["1", "2", "3"]
    assert [each.headers.get("Last-Event-ID") for each in stub.to(ONE)] == [None, "2", "2", "2"]


def test_a_connection_that_is_cut_off_counts_as_broken(stub: StubApi, client: Client) -> None:
    begun = event(1, status="QUEUED")
    stub.tell(
        ONE,
        (200, begun, {"Content-Length": str(len(begun) + 9), "Connection": "close"}),
        (200, event(2, status="FAILED")),
    )

    assert [each.id for each in client.events("f1")] == ["1", "2"]


def test_an_earlier_reader_is_continued(stub: StubApi, client: Client) -> None:
    stub.tell(ONE, (204, b""))

    assert list(client.events("f1", last_event_id="9")) == []
    assert stub.to(ONE)[0].headers["Last-Event-ID"] == "9"


def test_a_file_that_is_deleted_has_no_more_events(stub: StubApi, client: Client) -> None:
    gone = b'id: 1\nevent: deleted\ndata: {"file_id": "f1", "status": "DELETING"}\n\n'
    stub.tell(ONE, (200, gone))

    [event] = client.events("f1")

    assert (event.type, event.file_id, event.status) == ("deleted", "f1", "DELETING")


def test_the_events_of_all_files_go_on_after_one_has_ended(stub: StubApi, client: Client) -> None:
    stub.tell(ALL, (200, event(1, status="COMPLETED") + event(2, status="FAILED")), (204, b""))

    assert len(list(client.events())) == 2


def test_a_stream_that_cannot_be_opened_is_an_error(stub: StubApi, client: Client) -> None:
    stub.tell(ALL, problem(503, "database_unavailable"))
    stub.tell(ONE, problem(404, "file_not_found"))

    with pytest.raises(Unavailable):
        next(client.events())
    with pytest.raises(NotFound):
        next(client.events("f1"))

    assert (stub.came(ALL), stub.came(ONE)) == (4, 1)


def test_a_stream_is_opened_with_a_fresh_token(stub: StubApi, client: Client) -> None:
    stub.tell(ONE, problem(401, "invalid_token"), (200, event(1, status="COMPLETED")))
    stub.tell("POST /v1/auth/refresh", (200, {"access_token": "fresh", "refresh_token": "r"}))

    assert len(list(client.events("f1"))) == 1
    assert stub.to(ONE)[1].headers["Authorization"] == "Bearer fresh"
