"""What docmill expects of an object store, shown on the one that development runs."""

import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from unittest import mock
from uuid import uuid4

import pytest

from docmill_dev.stack import Stack
from docmill_janitor.settings import JanitorSettings
from docmill_shared.errors import ObjectMissing, StorageUnavailable
from docmill_shared.objects import DELETE_BATCH, READ_BYTES, ObjectStore, S3ObjectStore


@pytest.fixture
def store(service_environment: dict[str, str]) -> Iterator[ObjectStore]:
    with mock.patch.dict("os.environ", service_environment, clear=True):
        yield S3ObjectStore(JanitorSettings.load())


TYPE = "text/plain"


def put(url: str, content: bytes, media_type: str = TYPE) -> int:
    headers = {"Content-Type": media_type}
    request = urllib.request.Request(url, data=content, headers=headers, method="PUT")
    try:
        with urllib.request.urlopen(request) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def presign(store: ObjectStore, key: str, size: int, **expires: int) -> str:
    valid_for = timedelta(**(expires or {"minutes": 5}))
    return store.presign_put(key, valid_for, media_type=TYPE, size_bytes=size)


def uploaded(store: ObjectStore, content: bytes) -> str:
    """The key of an object with this content."""
    key = f"t/{uuid4()}"
    assert put(presign(store, key, len(content)), content) == 200
    return key


def test_put_head_read_delete(store: ObjectStore) -> None:
    content = bytes(range(256)) * 8192  # two megabytes
    key = uploaded(store, content)
    assert store.head(key).size_bytes == len(content)
    pieces = list(store.read(key))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= READ_BYTES
    assert store.delete_many([key]) == []
    with pytest.raises(ObjectMissing):
        store.head(key)


def test_a_missing_object_is_missing_and_deleting_it_is_fine(store: ObjectStore) -> None:
    key = f"t/{uuid4()}"
    with pytest.raises(ObjectMissing):
        store.head(key)
    with pytest.raises(ObjectMissing):
        list(store.read(key))
    assert store.delete_many([key]) == []


def test_many_are_deleted_in_batches(store: ObjectStore) -> None:
    assert store.delete_many([f"t/{uuid4()}" for _ in range(DELETE_BATCH + 1)]) == []


def test_a_scan_lists_a_prefix_in_order_and_from_a_place_on(store: ObjectStore) -> None:
    prefix = f"t/{uuid4()}/"
    keys = [f"{prefix}{name}" for name in ("a", "b c", "d+e", "é")]
    before = datetime.now(UTC) - timedelta(seconds=1)  # some stores round to a second
    for key in reversed(keys):
        assert put(presign(store, key, 4), b"four") == 200
    found = list(store.scan(prefix))
    assert [each.key for each in found] == keys
    assert {each.size_bytes for each in found} == {4}
    assert all(before <= each.last_modified <= datetime.now(UTC) for each in found)
    assert [each.key for each in store.scan(prefix, after=keys[2])] == keys[3:]
    assert list(store.scan(prefix, after=keys[-1])) == []
    assert list(store.scan(f"t/{uuid4()}/")) == []


def test_a_scan_of_more_than_a_page(store: ObjectStore, stack: Stack) -> None:
    name = str(uuid4())
    folder = stack.s3.home / stack.s3.bucket / "t" / name
    folder.mkdir(parents=True)
    for number in range(1_001):
        (folder / f"{number:04}").touch()
    keys = [each.key for each in store.scan(f"t/{name}/")]
    assert keys == [f"t/{name}/{number:04}" for number in range(1_001)]
    assert next(store.scan(f"t/{name}/", after=keys[499])).key == keys[500]


def test_a_presigned_url_is_for_its_key_alone(store: ObjectStore) -> None:
    url = presign(store, "t/mine", 1)
    assert put(url.replace("t/mine", "t/theirs"), b"x") == 403
    with pytest.raises(ObjectMissing):
        store.head("t/theirs")


def test_a_presigned_url_is_for_its_length_and_type_alone(store: ObjectStore) -> None:
    key = f"t/{uuid4()}"
    url = presign(store, key, 4)
    for content, media_type in ((b"fours", TYPE), (b"fou", TYPE), (b"four", "text/html")):
        assert put(url, content, media_type) == 403
        with pytest.raises(ObjectMissing):
            store.head(key)
    assert put(url, b"four") == 200


def test_a_presigned_url_for_reading(store: ObjectStore, eventually: object) -> None:
    key = uploaded(store, b"hello")

    def get(url: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(url) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code, b""

    disposition = "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt"
    url = store.presign_get(key, timedelta(hours=1), media_type=TYPE, disposition=disposition)
    wished = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
    assert wished["response-content-disposition"] == [disposition]
    assert wished["response-content-type"] == [TYPE]
    assert get(url) == (200, b"hello")
    # All of it is signed.
    assert get(url.replace("attachment", "inline"))[0] == 403
    assert get(url.replace(key, f"t/{uuid4()}"))[0] == 403
    assert put(url, b"hello") == 403
    short = store.presign_get(key, timedelta(seconds=1), media_type=TYPE, disposition=disposition)
    eventually(lambda: get(short)[0] == 403)  # type: ignore[operator]


@pytest.mark.parametrize("length", [1, 4, 5, 6, 1_024])
def test_the_start_of_an_object_comes_with_its_size(store: ObjectStore, length: int) -> None:
    found = store.start(uploaded(store, b"hello"), length)
    assert (found.size_bytes, found.first_bytes) == (5, b"hello"[:length])
    large = store.start(uploaded(store, b"x" * 100_000), length)
    assert (large.size_bytes, large.first_bytes) == (100_000, b"x" * length)


def test_an_empty_object_has_a_start_too(store: ObjectStore) -> None:
    found = store.start(uploaded(store, b""), 4)
    assert (found.size_bytes, found.first_bytes) == (0, b"")


def test_what_is_missing_has_no_start(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        store.start(f"t/{uuid4()}", 4)


def test_an_expired_presigned_url_is_refused(store: ObjectStore, eventually: object) -> None:
    url = presign(store, f"t/{uuid4()}", 1, seconds=1)
    eventually(lambda: put(url, b"x") == 403)  # type: ignore[operator]


def test_check_says_what_is_wrong(store: ObjectStore, service_environment: dict[str, str]) -> None:
    store.check()
    wrong = {**service_environment, "S3_BUCKET": "no-such-bucket"}
    with mock.patch.dict("os.environ", wrong, clear=True):
        other = S3ObjectStore(JanitorSettings.load())
    with pytest.raises(StorageUnavailable, match="S3_BUCKET"):
        other.check()


def test_a_store_that_is_away_is_said_so_in_seconds(service_environment: dict[str, str]) -> None:
    away = {**service_environment, "S3_ENDPOINT": "http://127.0.0.1:1"}
    with mock.patch.dict("os.environ", away, clear=True):
        store = S3ObjectStore(JanitorSettings.load())
    for call in (
        lambda: store.head("k"),
        lambda: store.start("k", 1),
        lambda: list(store.read("k")),
        lambda: store.delete_many(["k"]),
        lambda: list(store.scan("k")),
        store.check,
    ):
        with pytest.raises(StorageUnavailable):
            call()
    assert presign(store, "k", 1).startswith("http://127.0.0.1:1/")


def test_a_store_that_takes_requests_and_never_answers_is_given_up(
    service_environment: dict[str, str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, nobody answers
        silent.setblocking(False)
        port = silent.getsockname()[1]
        hangs = {**service_environment, "S3_ENDPOINT": f"http://127.0.0.1:{port}"}
        with mock.patch.dict("os.environ", hangs, clear=True):
            store = S3ObjectStore(JanitorSettings.load(), answer_seconds=0.3)
        for call in (
            lambda: store.head("k"),
            lambda: store.start("k", 1),
            lambda: list(store.read("k")),
            lambda: store.delete_many(["k"]),
            lambda: list(store.scan("k")),
            store.check,
        ):
            started = time.monotonic()
            with pytest.raises(StorageUnavailable):
                call()
            # Not before its time, and long before what others use to wait for a store
            assert 0.3 <= time.monotonic() - started < 15
            silent.accept()[0].close()
            with pytest.raises(BlockingIOError):  # asked once, not again and again
                silent.accept()
