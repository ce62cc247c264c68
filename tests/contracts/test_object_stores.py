"""What docmill expects of an object store, shown on the one that development runs."""

import urllib.error
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


def put(url: str, content: bytes) -> int:
    request = urllib.request.Request(url, data=content, method="PUT")
    try:
        with urllib.request.urlopen(request) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_put_head_read_delete(store: ObjectStore) -> None:
    key, content = f"t/{uuid4()}", bytes(range(256)) * 8192  # two megabytes
    assert put(store.presign_put(key, timedelta(minutes=5)), content) == 200
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
        assert put(store.presign_put(key, timedelta(minutes=5)), b"four") == 200
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
    url = store.presign_put("t/mine", timedelta(minutes=5))
    assert put(url.replace("t/mine", "t/theirs"), b"x") == 403
    with pytest.raises(ObjectMissing):
        store.head("t/theirs")


def test_an_expired_presigned_url_is_refused(store: ObjectStore, eventually: object) -> None:
    url = store.presign_put(f"t/{uuid4()}", timedelta(seconds=1))
    eventually(lambda: put(url, b"x") == 403, timeout=10)  # type: ignore[operator]


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
        lambda: list(store.read("k")),
        lambda: store.delete_many(["k"]),
        lambda: list(store.scan("k")),
        store.check,
    ):
        with pytest.raises(StorageUnavailable):
            call()
    assert store.presign_put("k", timedelta(minutes=5)).startswith("http://127.0.0.1:1/")
