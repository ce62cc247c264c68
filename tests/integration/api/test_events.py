"""Event streams of an api in this process: what they tell, where they resume, when they end."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from docmill_api import event_listeners, event_streams
from docmill_api.request_slots import RequestSlots
from docmill_api.resources import Resources
from docmill_shared import progress
from docmill_shared.progress import FileProgress, ProgressLog
from docmill_shared.states import FileStatus
from tests.integration.api.driver import Account, Api, problem, settings_from
from tests.integration.api.event_reader import Event, of_answer, told

S = FileStatus


@pytest.fixture(autouse=True)
def rare_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """None within a test: it would read the rows, which know nothing of what is only told."""
    monkeypatch.setattr(event_streams, "HEARTBEAT_SECONDS", 120.0)


@pytest.fixture
def quick_heartbeats(monkeypatch: pytest.MonkeyPatch, rare_heartbeats: None) -> None:
    """For what is told at a heartbeat."""
    monkeypatch.setattr(event_streams, "HEARTBEAT_SECONDS", 0.2)


@pytest.fixture
def follow(account: Account) -> Iterator[Callable[..., Iterator[Event]]]:
    """``follow(path, last_event_id)``: the events of a stream that is closed after the test."""
    answers = []

    def open_stream(path: str, last_event_id: str | None = None) -> Iterator[Event]:
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        answer = account.get(path, headers=headers)
        answers.append(answer)
        return of_answer(answer)

    yield open_stream
    for answer in answers:
        answer.close()


Follow = Callable[..., Iterator[Event]]


def tell(account: Account, file_id: str, status: FileStatus, **fields: Any) -> None:
    file = FileProgress(UUID(file_id), status, **fields)
    account.api.resources.progress.tell(account.id, file)


def path_of(file_id: str) -> str:
    return f"/v1/files/{file_id}/events"


def statuses(events: Iterator[Event]) -> list[str]:
    return [event.status for event in told(events)]


def test_a_stream_says_how_things_stand_then_what_happens_and_ends_with_the_file(
    account: Account, follow: Follow
) -> None:
    # Given a file that waits, and somebody who watches
    file_id = account.confirmed()
    answer = account.get(path_of(file_id))
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    events = of_answer(answer)
    assert next(events).retry == event_streams.RETRY_MS
    first = next(events)
    assert (first.name, first.status) == ("state", "QUEUED")
    # When a worker tells how far it is, and somebody else's worker does as well
    tell(account, str(uuid4()), S.PROCESSING)
    tell(account, file_id, S.PROCESSING, stage="extract", page_count=9, pages_done=4)
    tell(account, file_id, S.FAILED, failure_reason="corrupt", failure_detail="It is broken.")
    tell(account, file_id, S.QUEUED)
    # Then all of it arrives in order, nothing else does, and the failure is the end
    under_way, failed = told(events)
    assert under_way.name == "progress"
    assert under_way.data == {
        "file_id": file_id,
        "status": "PROCESSING",
        "stage": "extract",
        "page_count": 9,
        "pages_done": 4,
        "chunk_count": None,
        "chunks_done": 0,
        "failure": None,
    }
    assert failed.data["failure"] == {"reason": "corrupt", "detail": "It is broken."}
    assert None not in {first.id, under_way.id, failed.id}
    answer.close()


def test_resuming_loses_nothing_and_doubles_nothing(account: Account, follow: Follow) -> None:
    file_id = account.confirmed()
    for done in range(5):
        tell(account, file_id, S.PROCESSING, chunks_done=done)
    whole = list(told(next_events(follow(path_of(file_id)), 2)))
    assert [event.name for event in whole] == ["state"]
    after = whole[-1].id
    tell(account, file_id, S.PROCESSING, chunks_done=5)
    tell(account, file_id, S.PROCESSING, chunks_done=6)
    account.api.set_file(file_id, status=S.PROCESSING, lease_token=uuid4())
    account.api.set_file(file_id, status=S.COMPLETED, lease_token=None)
    tell(account, file_id, S.COMPLETED, chunks_done=7, chunk_count=7)
    # When somebody comes back after each event in turn
    rest = list(told(follow(path_of(file_id), after)))
    assert [event.data["chunks_done"] for event in rest] == [5, 6, 7]
    for number, event in enumerate(rest[:-1], start=1):
        assert list(told(follow(path_of(file_id), event.id))) == rest[number:]
    # Then whoever knows the end is told so, without an answer that a client would reopen
    known = account.get(path_of(file_id), headers={"Last-Event-ID": rest[-1].id})
    assert (known.status_code, known.data) == (204, b"")


@pytest.mark.parametrize("unknown", ["1-1", "no id", "99999999999999999999999-0", "-", "+"])
def test_where_the_log_cannot_tell_the_rows_do(
    account: Account, follow: Follow, unknown: str
) -> None:
    file_id = account.confirmed()
    event = next(told(follow(path_of(file_id), unknown)))
    assert (event.name, event.status) == ("state", "QUEUED")


def test_a_log_that_was_trimmed_cannot_tell(
    account: Account, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "KEPT_ENTRIES", 100)
    file_id = account.confirmed()
    old = next(told(follow(path_of(file_id)))).id
    assert old is not None
    for done in range(300):
        tell(account, file_id, S.PROCESSING, chunks_done=done)
    assert account.api.resources.progress.since(account.id, old) is None
    assert next(told(follow(path_of(file_id), old))).name == "state"


def test_what_the_api_does_to_files_is_told_to_all_of_their_owners_streams(
    account: Account, follow: Follow
) -> None:
    # Given an owner with one file, who watches all, and somebody else
    old = account.confirmed()
    events = told(follow("/v1/events"))
    assert next(events).data["file_id"] == old
    stranger = account.api.account()
    # When files are confirmed, cancelled and deleted, also those of somebody else
    stranger.confirmed()
    new = account.confirmed()
    assert account.post(f"/v1/files/{new}/cancel").status_code == 200
    account.api.set_file(old, status=S.FAILED, failure_reason="internal", failure_detail="x")
    assert account.post(f"/v1/files/{old}/retry").status_code == 202
    assert account.delete(f"/v1/files/{old}").status_code == 204
    # Then the owner is told, in order
    seen = [next(events) for _ in range(4)]
    assert [(event.name, event.data["file_id"], event.status) for event in seen] == [
        ("progress", new, "QUEUED"),
        ("progress", new, "FAILED"),
        ("progress", old, "QUEUED"),
        ("deleted", old, "DELETING"),
    ]
    assert seen[1].data["failure"]["reason"] == "cancelled"


def test_the_overview_has_files_under_way_however_old_and_an_id_only_at_its_end(
    account: Account, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "OVERVIEW", 2)
    waiting = account.confirmed()
    reserved = [account.reserve()["file"]["id"] for _ in range(3)]
    events = told(follow("/v1/events"))
    seen = [next(events) for _ in range(3)]
    assert [event.data["file_id"] for event in seen] == [waiting, *reserved[1:]]
    assert [event.id is not None for event in seen] == [False, False, True]


@pytest.mark.usefixtures("quick_heartbeats")
@pytest.mark.parametrize("of_all", [False, True])
def test_an_end_that_redis_lost_is_told_at_a_heartbeat(
    account: Account, follow: Follow, of_all: bool
) -> None:
    file_id = account.confirmed()
    events = told(follow("/v1/events" if of_all else path_of(file_id)))
    assert next(events).status == "QUEUED"
    account.api.set_file(file_id, status=S.FAILED, failure_reason="internal", failure_detail="x")
    last = next(events)
    assert (last.name, last.status, last.id) == ("state", "FAILED", None)


@pytest.mark.usefixtures("quick_heartbeats")
def test_a_deletion_that_redis_lost_is_told_at_a_heartbeat(
    account: Account, follow: Follow
) -> None:
    file_id = account.confirmed()
    events = told(follow(path_of(file_id)))
    assert next(events).status == "QUEUED"
    account.api.set_file(file_id, status=S.DELETING)
    assert [event.name for event in events] == ["deleted"]


def test_files_of_others_and_of_nobody_are_not_there(api: Api, account: Account) -> None:
    theirs = api.account().confirmed()
    for file_id in (theirs, str(uuid4())):
        problem(account.get(path_of(file_id)), 404, "file_not_found")
    problem(api.call("GET", "/v1/events"), 401, "unauthenticated")
    problem(api.call("GET", path_of(theirs)), 401, "unauthenticated")


@pytest.mark.usefixtures("quick_heartbeats")
def test_a_revoked_token_ends_the_stream_at_a_heartbeat(account: Account) -> None:
    events = of_answer(account.get("/v1/events"))
    assert next(events).retry is not None
    assert account.post("/v1/auth/logout").status_code == 204
    *_, last = events
    assert last.comment == "the token or the key is no longer valid"


def test_streams_are_limited_for_each_owner_and_in_all(api: Api, account: Account) -> None:
    # Given an owner with as many streams as one may have
    answers = [account.get("/v1/events") for _ in range(event_listeners.OWNER_STREAMS)]
    assert {answer.status_code for answer in answers} == {200}
    refused = account.get("/v1/events")
    problem(refused, 429, "too_many_own_streams")
    assert int(refused.headers["Retry-After"]) > 0
    # Then others are let in, and so is the owner once one is closed
    api.account().get("/v1/events").close()
    answers.pop().close()
    answers.append(account.get("/v1/events"))
    assert answers[-1].status_code == 200
    for answer in answers:
        answer.close()


def test_beyond_the_setting_streams_are_refused_and_requests_are_not(
    api: Api, account: Account
) -> None:
    settings = api.resources.settings.model_copy(update={"api_event_streams": 1})
    small = replace_settings(api, settings)
    held = small.call("GET", "/v1/events", headers=bearer(account))
    refused = small.call("GET", "/v1/events", headers=bearer(account))
    problem(refused, 503, "too_many_streams")
    assert int(refused.headers["Retry-After"]) > 0
    assert small.call("GET", "/v1/files", headers=bearer(account)).status_code == 200
    # A file that is not there takes no place
    held.close()
    for _ in range(3):
        missing = small.call("GET", path_of(str(uuid4())), headers=bearer(account))
        problem(missing, 404, "file_not_found")
    assert small.call("GET", "/v1/events", headers=bearer(account)).status_code == 200
    small.resources.close()


def test_a_stream_that_is_not_read_is_ended_and_resumes_without_a_loss(
    account: Account, follow: Follow, eventually: Callable[..., None]
) -> None:
    # Given a reader that stops reading
    file_id = account.confirmed()
    events = follow(path_of(file_id))
    last_id = next(told(events)).id
    # When more happens than is kept for it
    count = event_listeners.INBOX + 50
    for done in range(count):
        tell(account, file_id, S.PROCESSING, chunks_done=done)
    # Then its stream ends with a word of why, and going on where it was loses nothing
    eventually(lambda: _is_over(account))
    rest = list(events)
    assert rest[-1].comment.startswith("too slow")
    resumed = told(follow(path_of(file_id), last_id))
    assert [next(resumed).data["chunks_done"] for _ in range(count)] == list(range(count))


def test_a_stream_does_not_stay_open_for_ever(api: Api, account: Account) -> None:
    settings = api.resources.settings.model_copy(update={"api_event_stream_seconds": 1})
    short = replace_settings(api, settings)
    *_, last = of_answer(short.call("GET", "/v1/events", headers=bearer(account)))
    assert last.comment.startswith("open for long enough")
    short.resources.close()


def test_without_redis_nothing_is_told_and_nobody_waits(api: Api, account: Account) -> None:
    file_id = account.confirmed()
    gone = ProgressLog.connect(settings_from({}, **away(api)))
    gone.tell(account.id, FileProgress(UUID(file_id), S.PROCESSING))
    assert gone.since(account.id, "1-1") is None
    assert gone.last_id(account.id) is None
    gone.close()


def test_requests_beyond_the_slots_wait_for_their_turn() -> None:
    # Given an app with two slots, both taken
    slots, entered, leave = RequestSlots(2), threading.Semaphore(0), threading.Event()

    def app(environ: dict[str, Any], _: object) -> list[bytes]:
        entered.release()
        leave.wait(60)
        return [b""]

    limited = slots.around(app)
    requests = [
        threading.Thread(target=limited, args=({"PATH_INFO": "/v1/files"}, None)) for _ in range(3)
    ]
    for each in requests:
        each.start()
    for _ in range(2):
        assert entered.acquire(timeout=60)
    # Then the third waits, and a probe does not
    assert not entered.acquire(timeout=0.2)
    probe = threading.Thread(target=limited, args=({"PATH_INFO": "/healthz"}, None))
    probe.start()
    assert entered.acquire(timeout=60)
    leave.set()
    assert entered.acquire(timeout=60)
    for each in (*requests, probe):
        each.join(60)


def test_the_document_says_what_a_stream_is(api: Api) -> None:
    document = api.call("GET", "/openapi.json").json
    assert document is not None
    for path in ("/v1/events", "/v1/files/{file_id}/events"):
        described = document["paths"][path]["get"]
        assert "text/event-stream" in described["responses"]["200"]["content"]
        assert "429" in described["responses"]
        assert [each["name"] for each in described["parameters"] if each["in"] == "header"] == [
            "Last-Event-ID"
        ]


def next_events(events: Iterator[Event], count: int) -> Iterator[Event]:
    return (next(events) for _ in range(count))


def bearer(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.access}"}


def replace_settings(api: Api, settings: Any) -> Api:
    return replace(api, resources=Resources.from_settings(settings))


def away(api: Api) -> dict[str, object]:
    fields = api.resources.settings.model_dump()
    return {**fields, "redis_url": "redis://127.0.0.1:1/0"}


def _is_over(account: Account) -> bool:
    listeners = account.api.resources.events._listeners.all()
    return any(each.ending is not None for each in listeners if each.owner_id == account.id)
