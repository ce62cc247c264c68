"""Uploading and waiting, against a server that is told what to answer."""

import hashlib
import json
from pathlib import Path

import pytest

from docmill_client import (
    Client,
    Conflict,
    DownloadRefused,
    FileChanged,
    Unavailable,
    Unreachable,
    UploadRefused,
    WaitedTooLong,
)
from tests.fakes.stub_api import Answer, StubApi, problem
from tests.unit.client.bodies import file_body, listing

CONTENT = bytes(range(256)) * 4_000
RESERVE, PUT, CONFIRM = "POST /v1/files", "PUT /bucket/key", "POST /v1/files/f1/confirm"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    return path


def reserved(stub: StubApi, file_id: str = "f1") -> Answer:
    upload = {"url": f"{stub.url}/bucket/key?signature=x", "headers": {"Content-Type": "x/y"}}
    return 201, {"file": file_body(id=file_id), "upload": upload}


@pytest.fixture
def willing(stub: StubApi) -> StubApi:
    """Takes the upload."""
    stub.tell(RESERVE, reserved(stub))
    stub.tell(PUT, (200, b""))
    stub.tell(CONFIRM, (202, file_body()))
    return stub


def test_it_is_sent_in_blocks_of_known_length_and_from_its_beginning_when_repeated(
    willing: StubApi, client: Client, path: Path
) -> None:
    willing.tell(PUT, (503, b"busy"), (200, b""))
    seen: list[tuple[int, int]] = []

    file = client.upload(path, wait=False, on_progress=lambda sent, of: seen.append((sent, of)))

    assert file.status == "QUEUED"
    puts = willing.to(PUT)
    assert [put.body == CONTENT for put in puts] == [True, True]
    assert puts[1].headers["Content-Length"] == str(len(CONTENT))
    assert puts[1].headers["Content-Type"] == "x/y"
    # The store must not learn the token of the API.
    assert "Authorization" not in puts[1].headers
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert len(seen) > 4


def test_a_reservation_that_is_repeated_is_the_same_one(
    willing: StubApi, client: Client, path: Path
) -> None:
    willing.tell(RESERVE, problem(503, "storage_unavailable"), reserved(willing))

    client.upload(path, wait=False)
    client.upload(path, wait=False)

    first, again, other = (each.headers["Idempotency-Key"] for each in willing.to(RESERVE))
    assert first == again != other


def test_a_reservation_that_keeps_failing_is_an_error(
    stub: StubApi, client: Client, path: Path
) -> None:
    stub.tell(RESERVE, problem(503, "storage_unavailable"))

    with pytest.raises(Unavailable, match="storage_unavailable"):
        client.upload(path)


def test_wishes_are_passed_on(willing: StubApi, client: Client, path: Path) -> None:
    wishes = {"name": "b.pdf", "media_type": "application/pdf", "visibility": "public"}

    client.upload(path, wait=False, bulk=True, find_duplicate=True, **wishes)  # type: ignore[arg-type]

    assert json.loads(willing.to(RESERVE)[0].body) == {
        **wishes,
        "size_bytes": len(CONTENT),
        "bulk": True,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }


def test_what_is_there_already_is_not_sent(stub: StubApi, client: Client, path: Path) -> None:
    twin = file_body(id="f0", status="COMPLETED")
    stub.tell(RESERVE, (200, {"file": twin, "upload": None, "duplicate": True}))

    file = client.upload(path, find_duplicate=True)

    assert (file.id, file.status) == ("f0", "COMPLETED")


def test_a_download_is_written_in_full_or_not_at_all(
    stub: StubApi, client: Client, tmp_path: Path
) -> None:
    link = {"url": f"{stub.url}/bucket/key?signature=x"}
    stub.tell("GET /v1/files/f1/download", (200, link))
    cut_off = {"Content-Length": str(len(CONTENT) + 9), "Connection": "close"}
    stub.tell("GET /bucket/key", (200, CONTENT), (200, CONTENT, cut_off), (403, b"expired"))
    target = tmp_path / "copy.bin"

    client.download("f1", target)
    for kind in (Unreachable, DownloadRefused):
        with pytest.raises(kind):
            client.download("f1", tmp_path / "other.bin")

    assert target.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["copy.bin"]
    assert all("Authorization" not in each.headers for each in stub.to("GET /bucket/key"))


def test_changes_are_sent_once(stub: StubApi, client: Client) -> None:
    stub.tell("PATCH /v1/files/f1", (200, file_body(name="b")), (200, file_body()))

    assert client.rename("f1", "b").name == "b"
    client.set_visibility("f1", "public")

    bodies = [json.loads(each.body) for each in stub.to("PATCH /v1/files/f1")]
    assert bodies == [{"name": "b"}, {"visibility": "public"}]


def test_a_url_that_has_expired_is_replaced_once(
    willing: StubApi, client: Client, path: Path
) -> None:
    willing.tell(PUT, (403, b"expired"), (200, b""))

    assert client.upload(path, wait=False).status == "QUEUED"

    one, two = (each.headers["Idempotency-Key"] for each in willing.to(RESERVE))
    assert one == two


def test_a_store_that_refuses_is_an_error(willing: StubApi, client: Client, path: Path) -> None:
    willing.tell(PUT, (403, b"no"))

    with pytest.raises(UploadRefused, match="status 403") as caught:
        client.upload(path)

    assert caught.value.status == 403
    assert willing.came(CONFIRM) == 0


def test_a_file_that_shrinks_meanwhile_is_an_error(
    willing: StubApi, client: Client, path: Path
) -> None:
    def shrink(sent: int, of: int) -> None:
        path.write_bytes(b"")

    with pytest.raises(FileChanged, match=r"a\.bin became shorter"):
        client.upload(path, on_progress=shrink)


def test_an_upload_that_waits_returns_the_file_at_its_end(
    willing: StubApi, client: Client, path: Path
) -> None:
    done = file_body(status="COMPLETED")
    willing.tell("GET /v1/files/f1", (200, file_body()), (200, done))

    assert client.upload(path).status == "COMPLETED"
    assert client.upload(str(path)).status == "COMPLETED"


def test_many_are_sent_and_one_that_fails_does_not_keep_the_others(
    willing: StubApi, client: Client, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.bin" for number in range(5)]
    for path in paths[1:]:
        path.write_bytes(CONTENT)
    willing.tell(RESERVE, problem(409, "odd"), *[reserved(willing)] * 3)
    willing.tell("GET /v1/files/f1", (200, file_body(status="COMPLETED")))
    seen: list[Path] = []

    missing, refused, *sent = client.upload_many(
        paths, at_once=1, on_progress=lambda path, *_: seen.append(path)
    )

    assert isinstance(missing.error, FileNotFoundError)
    assert isinstance(refused.error, Conflict)
    assert [each.path for each in (missing, refused, *sent)] == paths
    assert [each.file and each.file.status for each in sent] == ["COMPLETED"] * 3
    assert set(seen) == set(paths[2:])


def test_waiting_looks_at_the_list_until_every_file_has_ended(
    stub: StubApi, client: Client
) -> None:
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


def test_files_that_vanished_are_not_waited_for(stub: StubApi, client: Client) -> None:
    stub.tell("GET /v1/files", listing())
    stub.tell("GET /v1/files/f1", problem(404, "file_not_found"))

    assert client.wait(["f1", "f2"]) == client.wait(["f1"]) == {}


def test_waiting_ends_with_its_timeout(stub: StubApi, client: Client) -> None:
    stub.tell("GET /v1/files/f1", (200, file_body()))

    with pytest.raises(WaitedTooLong, match=r"a\.bin") as caught:
        client.wait(["f1"], timeout=0)

    assert isinstance(caught.value, TimeoutError)
