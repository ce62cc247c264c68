"""Calls of the client: tokens, repetition, errors."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from docmill_client import (
    Client,
    Conflict,
    DocmillError,
    Forbidden,
    InvalidRequest,
    NotDocmill,
    NotFound,
    RateLimited,
    ServerFault,
    TimedOut,
    Unauthorized,
    Unavailable,
    Unreachable,
    retries,
)
from docmill_client.retries import Retries
from tests.fakes.stub_api import StubApi, problem
from tests.unit.client.bodies import file_body, listing
from tests.unit.client.conftest import QUICK


def test_a_problem_becomes_an_error_that_says_all_of_it(stub: StubApi, client: Client) -> None:
    stub.tell("POST /v1/search", problem(422, "validation_failed"))

    with pytest.raises(InvalidRequest, match=r"This is validation_failed\.") as caught:
        client.search("x")

    error = caught.value
    assert (error.code, error.status, error.request_id) == ("validation_failed", 422, "r1")
    assert error.detail == "This is validation_failed."


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (429, RateLimited),
        (500, ServerFault),
        (503, Unavailable),
    ],
)
def test_every_status_has_its_class_below_the_one_root(
    stub: StubApi, client: Client, status: int, kind: type[DocmillError]
) -> None:
    stub.tell("POST /v1/files/f1/retry", problem(status, "some_code"))

    with pytest.raises(kind) as caught:
        client.retry("f1")

    assert type(caught.value) is kind
    assert isinstance(caught.value, DocmillError)


def test_a_proxy_that_stands_before_a_docmill_that_is_away(stub: StubApi, client: Client) -> None:
    stub.tell("GET /v1/files/f1", (502, b"<html>Bad gateway</html>"))

    with pytest.raises(Unavailable, match="status 502"):
        client.file("f1")


def test_what_may_be_repeated_is_repeated(stub: StubApi, client: Client) -> None:
    stub.tell("GET /v1/files", problem(503, "database_unavailable"), listing(file_body()))

    assert [file.id for file in client.files()] == ["f1"]


def test_what_keeps_failing_is_an_error_after_four_attempts(stub: StubApi, client: Client) -> None:
    stub.tell("GET /v1/files", problem(503, "database_unavailable"))

    with pytest.raises(Unavailable, match="database_unavailable"):
        list(client.files())

    assert stub.came("GET /v1/files") == 4


@pytest.mark.parametrize("call", ["retry", "cancel"])
def test_what_must_not_arrive_twice_is_sent_once(stub: StubApi, client: Client, call: str) -> None:
    stub.tell(f"POST /v1/files/f1/{call}", problem(503, "database_unavailable"))

    with pytest.raises(Unavailable):
        getattr(client, call)("f1")

    assert stub.came(f"POST /v1/files/f1/{call}") == 1


def test_a_mistake_is_not_repeated(stub: StubApi, client: Client) -> None:
    stub.tell("DELETE /v1/files/f1", problem(404, "file_not_found"))

    with pytest.raises(NotFound):
        client.delete("f1")

    assert stub.came("DELETE /v1/files/f1") == 1


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(retries, "sleep", slept.append)
    return slept


def test_the_pause_that_the_server_asks_for_is_kept(
    stub: StubApi, client: Client, pauses: list[float]
) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=59), usegmt=True)
    stub.tell(
        "GET /v1/files/f1",
        problem(429, "too_many_requests", Retry_After="7"),
        problem(503, "database_unavailable", Retry_After=later),
        (200, file_body()),
    )

    client.file("f1")

    assert pauses[0] == 7
    assert 30 < pauses[1] <= 59


def test_a_pause_that_is_too_long_is_left_to_the_caller(
    stub: StubApi, client: Client, pauses: list[float]
) -> None:
    stub.tell("GET /v1/files/f1", problem(429, "quota_exceeded", Retry_After="3600"))

    with pytest.raises(RateLimited) as caught:
        client.file("f1")

    assert caught.value.retry_after == 3600
    assert pauses == []


def test_a_quota_that_is_used_up_is_not_asked_again(stub: StubApi, client: Client) -> None:
    stub.tell("DELETE /v1/files/f1", problem(429, "quota_exceeded"))

    with pytest.raises(RateLimited):
        client.delete("f1")

    assert stub.came("DELETE /v1/files/f1") == 1


def test_pauses_grow_and_differ() -> None:
    patient = Retries()
    pauses = [[patient.pause(failed) for failed in (1, 2, 3, 50)] for _ in range(50)]

    for first, second, third, last in pauses:
        assert 0.2 <= first <= 0.4 <= second <= 0.8 <= third <= 1.6
        assert 30 <= last <= 60
    assert len({first for first, *_ in pauses}) > 40


def test_a_token_that_expires_is_refreshed(stub: StubApi, client: Client) -> None:
    stub.tell("GET /v1/files", problem(401, "invalid_token"), listing())
    stub.tell("POST /v1/auth/refresh", (200, {"access_token": "fresh", "refresh_token": "r"}))

    assert list(client.files()) == []

    assert stub.requests[-1].headers["Authorization"] == "Bearer fresh"
    [refresh] = stub.to("POST /v1/auth/refresh")
    assert json.loads(refresh.body) == {"refresh_token": "r-one"}
    assert stub.came("POST /v1/auth/login") == 1


def test_a_session_that_ended_is_begun_anew(stub: StubApi, client: Client) -> None:
    stub.tell("GET /v1/files", problem(401, "invalid_token"), listing())
    stub.tell("POST /v1/auth/refresh", problem(401, "invalid_refresh_token"))

    assert list(client.files()) == []

    assert stub.requests[-1].headers["Authorization"] == "Bearer 2"


def test_threads_share_one_refresh(stub: StubApi, client: Client) -> None:
    """A refresh token that is used twice ends the whole session."""
    client.log_in()
    both = threading.Barrier(2, timeout=60)
    authorization = client._api._authorization

    def renew() -> str | None:
        both.wait()
        return authorization.instead_of("one")

    stub.tell("POST /v1/auth/refresh", (200, {"access_token": "fresh", "refresh_token": "r"}))
    with ThreadPoolExecutor(2) as threads:
        renewed = [threads.submit(renew) for _ in range(2)]

    assert [each.result() for each in renewed] == ["fresh", "fresh"]
    assert stub.came("POST /v1/auth/refresh") == 1


def test_an_api_key_is_sent_as_it_is_and_not_replaced(stub: StubApi) -> None:
    stub.tell("GET /v1/files/f1", (200, file_body()), problem(401, "invalid_token"))

    with Client(stub.url, token="dmk_x", retries=QUICK) as client:
        client.file("f1")
        with pytest.raises(Unauthorized):
            client.file("f1")

    assert {each.headers["Authorization"] for each in stub.requests} == {"Bearer dmk_x"}
    assert stub.came("POST /v1/auth/login") == 0


@pytest.mark.parametrize("given", [{}, {"email": "a@b"}, {"token": "t", "email": "a@b"}])
def test_a_client_is_somebody(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="Give a token, or"):
        Client("http://127.0.0.1:1", **given)  # type: ignore[arg-type]


def test_nothing_is_sent_before_the_first_call(stub: StubApi, client: Client) -> None:
    assert client.email == "ada@example.org"
    assert stub.requests == []


def test_logging_out_ends_the_session(stub: StubApi, client: Client) -> None:
    stub.tell("POST /v1/auth/logout", (204, b""))
    stub.tell("GET /v1/files", listing())
    client.log_in()

    client.log_out()
    client.log_out()

    [end] = stub.to("POST /v1/auth/logout")
    assert end.headers["Authorization"] == "Bearer one"
    list(client.files())
    assert stub.requests[-1].headers["Authorization"] == "Bearer 2"


def test_nobody_answers() -> None:
    url = "http://127.0.0.1:1"

    with (
        Client(url, email="ada@example.org", password="hers", retries=QUICK) as client,
        pytest.raises(Unreachable, match=f"Nothing answers at {url}"),
    ):
        client.log_in()


def test_somebody_answers_too_late(stub: StubApi, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(stub, "tell", None)
    stub.answers["GET /v1/me"] = _Late(released)  # type: ignore[assignment]
    began = time.monotonic()

    with (
        Client(stub.url, token="t", timeout=0.2, retries=Retries(attempts=1)) as client,
        pytest.raises(TimedOut, match="no answer in time"),
    ):
        client.get("/v1/me")

    assert time.monotonic() - began < 30
    released.set()


class _Late(list[object]):
    """Answers that are there only once they are released."""

    def __init__(self, released: threading.Event) -> None:
        super().__init__([(200, {})])
        self._released = released

    def __getitem__(self, index: object) -> object:  # type: ignore[override]
        self._released.wait(60)
        return (200, {})


def test_somebody_else_answers(stub: StubApi, client: Client) -> None:
    stub.tell("GET /v1/files", (200, b"<html>Welcome!</html>"))

    with pytest.raises(NotDocmill, match="does not seem to be docmill"):
        list(client.files())


def test_an_address_without_a_scheme_is_explained() -> None:
    with Client("docmill.example", token="t") as client, pytest.raises(Unreachable, match="https"):
        client.file("f1")


def test_a_search_passes_its_wishes_on_and_names_its_sources(stub: StubApi, client: Client) -> None:
    result = {
        "chunk_id": "c1",
        "file": {"id": "f1", "name": "handbook.pdf"},
        "page_start": 5,
        "page_end": 6,
        "heading_path": ["4 Power", "4.1 Battery"],
        "text": "Ten days.",
        "score": 1.0,
        "similarity": 0.5,
    }
    stub.tell("POST /v1/search", (200, {"results": [result], "degraded": False, "took_ms": 1}))

    found = client.search("battery", limit=2, mode="text", scope="mine", file_ids=("f1",))

    [passage] = found.passages
    assert passage.citation == "handbook.pdf, pages 5–6: 4 Power › 4.1 Battery"
    assert json.loads(stub.requests[-1].body) == {
        "query": "battery",
        "limit": 2,
        "mode": "text",
        "scope": "mine",
        "file_ids": ["f1"],
    }
