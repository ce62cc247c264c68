"""The client against all of docmill, as processes."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from docmill_client import Client, Conflict, Event, Forbidden, InvalidRequest, NotFound
from docmill_dev.development import Development
from tests.conftest import without_docmill

EXAMPLES = Path(__file__).parents[3] / "examples"
HANDBOOK = EXAMPLES / "station-handbook.pdf"
NOTES = EXAMPLES / "calibration-notes.md"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    environ = {**without_docmill(os.environ), "RATE_LIMITS": "false"}
    with Development(tmp_path_factory.mktemp("docmill"), environ=environ) as running:
        yield running.url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    """A new account."""
    with Client(url, email=f"{uuid4().hex}@example.org", password=PASSWORD) as client:
        client.register()
        yield client


def test_a_file_goes_in_is_found_and_goes(client: Client, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    file = client.upload(HANDBOOK, on_progress=lambda sent, total: seen.append((sent, total)))

    size = HANDBOOK.stat().st_size
    assert (file.status, file.size_bytes, file.page_count) == ("COMPLETED", size, 8)
    assert seen[-1] == (size, size)
    best, *_ = client.search("how long does the battery last?", scope="mine").passages
    assert (best.file_id, best.pages) == (file.id, "page 5")
    assert best.citation.startswith("station-handbook.pdf, page 5: 4 Power")
    chunks = list(client.chunks(file.id))
    assert [each.ordinal for each in chunks] == list(range(file.chunk_count or 0))
    assert best.chunk_id in {each.id for each in chunks}

    client.download(file.id, tmp_path / "copy.pdf")
    assert (tmp_path / "copy.pdf").read_bytes() == HANDBOOK.read_bytes()
    assert client.rename(file.id, "handbook.pdf").name == "handbook.pdf"

    client.delete(file.id)
    with pytest.raises(NotFound):
        client.file(file.id)
    assert client.search("battery", scope="mine").passages == []


def test_a_conversation_about_files(client: Client) -> None:
    handbook, notes = client.upload(HANDBOOK), client.upload(NOTES)

    first = client.chat("How long does the battery last without sun?", scope="mine")

    assert (first.answered, first.degraded, first.model) == (True, False, None)
    assert first.notice is not None
    assert first.notice.code == "no_model"
    source = first.citations[0]
    assert (source.number, source.passage.file_id) == (1, handbook.id)
    assert source.passage.citation.startswith("station-handbook.pdf, page 5: 4 Power")
    assert source.quote is not None
    assert "a full battery lasts ten days" in source.quote
    assert first.answer.startswith(f"“{source.quote}” [1]")

    # What follows is understood from what was said, however long that becomes.
    reply = client.chat("And what is switched off first?", history=first.history, scope="mine")
    assert "the heating" in reply.answer
    for _ in range(10):
        reply = client.chat("And then?", history=reply.history, scope="mine", limit=20)
    assert reply.history[-1].content == reply.answer

    of_one = client.chat("What must a thermometer show in ice?", file_ids=[notes.id])
    assert {each.passage.file_id for each in of_one.citations} == {notes.id}

    client.delete(handbook.id)
    client.delete(notes.id)
    nothing = client.chat("How long does the battery last?", scope="mine")
    assert (nothing.answered, nothing.citations) == (False, [])
    assert nothing.answer


def test_what_is_there_already_is_not_sent(client: Client) -> None:
    first = client.upload(NOTES)
    sent: list[int] = []

    again = client.upload(
        NOTES, name="copy.md", find_duplicate=True, on_progress=lambda n, _: sent.append(n)
    )

    assert (again.id, again.name, sent) == (first.id, NOTES.name, [])
    assert len(list(client.files())) == 1


def test_many_files_at_once(client: Client, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(6)]
    for number, path in enumerate(paths):
        path.write_text(f"This is document number {number} of the lot.")
    unreadable, unknown = tmp_path / "missing.txt", tmp_path / "what.xyz"
    unknown.write_text("?")

    *good, missing, refused = client.upload_many([*paths, unreadable, unknown])

    assert [each.path for each in good] == paths
    assert [each.file and each.file.status for each in good] == ["COMPLETED"] * 6
    assert isinstance(missing.error, FileNotFoundError)
    assert isinstance(refused.error, InvalidRequest)
    assert refused.error.code == "unsupported_type"
    assert refused.error.request_id


def test_the_events_of_a_file_lead_to_its_end(client: Client) -> None:
    file = client.upload(HANDBOOK, wait=False)

    seen = list(client.events(file.id))

    assert {each.file_id for each in seen} == {file.id}
    assert seen[-1].status == "COMPLETED"
    assert seen[-1].data["chunk_count"] == client.file(file.id).chunk_count
    # Whoever knows the end already is told nothing more.
    assert list(client.events(file.id, last_event_id=seen[-1].id)) == []


def test_a_reader_that_comes_back_misses_nothing(
    client: Client, eventually: Callable[..., None]
) -> None:
    read: list[Event] = []
    ended = threading.Event()

    def follow() -> None:
        for event in client.events():
            read.append(event)
            if event.status == "COMPLETED":
                ended.set()
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    first = client.upload(NOTES)
    assert ended.wait(120)
    thread.join(60)
    missed = client.upload(HANDBOOK)

    last = read[-1]
    assert last.file_id == first.id
    news: list[Event] = []
    for event in client.events(last_event_id=last.id):
        news.append(event)
        if event.status == "COMPLETED":
            break

    assert {each.file_id for each in news} == {missed.id}
    ids = [each.id for each in [*read, *news] if each.type == "progress"]
    assert len(ids) == len(set(ids))


def test_a_session_that_was_ended_elsewhere_is_begun_anew(client: Client) -> None:
    client.log_in()
    with Client(client.url, token=client._api._authorization.token()) as same:
        same.request("POST", "/v1/auth/logout")

    assert list(client.files()) == []


def test_an_api_key_does_what_its_scopes_say(client: Client) -> None:
    scopes = ["files:read", "search"]
    key = client.request("POST", "/v1/api-keys", {"name": "reader", "scopes": scopes})["key"]

    with Client(client.url, token=key) as reader:
        assert list(reader.files()) == []
        assert reader.search("anything").passages == []
        assert not reader.chat("anything").answered
        with pytest.raises(Forbidden):
            reader.upload(NOTES)


def test_an_account_is_registered_once(client: Client) -> None:
    with pytest.raises(Conflict) as caught:
        client.register()

    assert caught.value.code == "email_taken"
