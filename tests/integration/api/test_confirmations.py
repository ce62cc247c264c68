"""Confirmations: what was uploaded is compared with what was declared; nothing is queued twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from sqlalchemy import text

from docmill_shared.errors import ObjectMissing, StorageUnavailable
from docmill_shared.files.reservations import INTERACTIVE_FILES
from tests.integration.api.driver import Account, Api, problem, put, request

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


def smuggle(api: Api, file_id: str, content: bytes) -> None:
    """Upload as to a store that does not verify signed headers."""
    url = api.resources.objects.presign_put(
        api.row(file_id).object_key,
        timedelta(minutes=5),
        media_type="text/plain",
        size_bytes=len(content),
    )
    headers = {"Content-Type": "text/plain"}
    assert request("PUT", url, body=content, headers=headers).status == 200


def exists(api: Api, file_id: str) -> bool:
    try:
        api.resources.objects.head(api.row(file_id).object_key)
    except ObjectMissing:
        return False
    return True


@pytest.mark.parametrize("content", [b"hell", b"hello!", b"hello" * 100_000])
def test_the_store_refuses_another_length(api: Api, account: Account, content: bytes) -> None:
    reserved = account.reserve(b"hello")
    assert put(reserved["upload"], content) == 403
    assert not exists(api, reserved["file"]["id"])
    assert put(reserved["upload"], b"hello") == 200


@pytest.mark.parametrize("media_type", ["text/html", None])
def test_the_store_refuses_another_type(api: Api, account: Account, media_type: str | None) -> None:
    reserved = account.reserve(b"hello")
    headers = {} if media_type is None else {"Content-Type": media_type}
    assert put({**reserved["upload"], "headers": headers}, b"hello") == 403
    assert not exists(api, reserved["file"]["id"])


@pytest.mark.parametrize("content", [b"hell", b"", b"hello" * 100_000])
def test_another_size_than_declared_is_deleted_and_may_be_uploaded_again(
    api: Api, account: Account, content: bytes
) -> None:
    reserved = account.reserve(b"hello")
    file_id = reserved["file"]["id"]
    smuggle(api, file_id, content)
    details = problem(account.post(f"/v1/files/{file_id}/confirm"), 409, "size_mismatch")
    assert f" {len(content)} uploaded" in details["detail"]
    assert api.row(file_id).status == "PENDING"
    assert not exists(api, file_id)
    assert api.messages(file_id) == 0
    assert put(reserved["upload"], b"hello") == 200
    assert account.post(f"/v1/files/{file_id}/confirm").status_code == 202


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.pdf", PNG, "a PNG image"),
        ("a.png", b"%PDF-1.7 and more", "a PDF"),
        ("a.jpg", b"<script>alert(1)</script>", "something else"),
        ("a.docx", b"%PDF-1.7", "a PDF"),
        ("a.gif", b"PK\x03\x04", "a zip archive"),
        ("a.webp", b"RIFF----WAVE", "something else"),
    ],
)
def test_another_type_than_declared_is_deleted_and_may_be_uploaded_again(
    api: Api, account: Account, name: str, content: bytes, found: str
) -> None:
    file_id = account.upload(content, name=name)
    details = problem(account.post(f"/v1/files/{file_id}/confirm"), 409, "type_mismatch")
    assert f"begins like {found};" in details["detail"]
    assert api.row(file_id).status == "PENDING"
    assert not exists(api, file_id)
    assert api.messages(file_id) == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", PNG),
        ("a.pdf", b"\xef\xbb\xbf\n%PDF-1.4"),
        ("a.xlsx", b"PK\x03\x04" + bytes(2_000)),
        ("a.txt", b"GIF89a is what they begin with"),
        ("a.md", b"h"),
    ],
)
def test_what_begins_as_it_should_is_confirmed(account: Account, name: str, content: bytes) -> None:
    account.confirmed(content, name=name)


def test_a_confirmation_asks_the_store_once(api: Api, account: Account) -> None:
    file_id = account.upload(PNG, name="a.png")
    client = api.resources.objects._client  # type: ignore[attr-defined]
    with mock.patch.object(client._http, "urlopen", wraps=client._http.urlopen) as calls:
        assert account.post(f"/v1/files/{file_id}/confirm").status_code == 202
    assert [call.args[0] for call in calls.call_args_list] == ["GET"]


def test_fifty_confirmations_at_once_send_one_message(api: Api, account: Account) -> None:
    file_id = account.upload()

    def confirm(number: int) -> int:
        if number % 2:
            return account.post(f"/v1/files/{file_id}/confirm").status_code
        answer = account.post("/v1/files/confirm", {"ids": [file_id]})
        assert answer.json is not None
        return int(answer.json["items"][0]["status"])

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(confirm, range(50)))
    assert sorted(answers) == [200] * 49 + [202]
    assert api.messages(file_id) == 1


def test_the_request_that_queued_a_file_is_kept(api: Api, account: Account) -> None:
    file_id = account.upload()
    account.post(f"/v1/files/{file_id}/confirm", headers={"X-Request-ID": "of-a-client"})
    assert api.row(file_id).request_id == "of-a-client"


def confirm_all(account: Account, ids: list[str]) -> list[Any]:
    answer = account.post("/v1/files/confirm", {"ids": ids})
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    assert [item["id"] for item in answer.json["items"]] == ids
    items: list[Any] = answer.json["items"]
    return items


def test_each_of_many_is_confirmed_for_itself(api: Api, account: Account) -> None:
    good, queued = account.upload(), account.confirmed()
    nothing = account.reserve()["file"]["id"]
    wrong = account.upload(PNG, name="a.pdf")
    foreign = api.account().upload()
    items = confirm_all(account, [good, queued, nothing, wrong, foreign, str(uuid4()), good])
    assert [item["status"] for item in items] == [202, 200, 409, 409, 404, 404, 202]
    assert [(item["problem"] or {}).get("code") for item in items] == [
        None, None, "not_uploaded", "type_mismatch", "file_not_found", "file_not_found", None,
    ]  # fmt: skip
    assert items[0]["file"]["status"] == items[1]["file"]["status"] == "QUEUED"
    assert all(item["file"] is None for item in items[2:6])
    assert [api.messages(each) for each in (good, queued, wrong, foreign)] == [1, 1, 0, 0]
    assert api.row(foreign).status == "PENDING"


def test_of_a_hundred_only_the_first_are_sent_at_once(api: Api, account: Account) -> None:
    wishes = [{"name": f"{number}.txt", "size_bytes": 5} for number in range(100)]
    reserved = account.post("/v1/files/bulk", {"files": wishes}).json
    assert reserved is not None
    with ThreadPoolExecutor(8) as pool:
        uploads = [item["upload"] for item in reserved["items"]]
        assert set(pool.map(lambda upload: put(upload, b"hello"), uploads)) == {200}
    ids = [item["file"]["id"] for item in reserved["items"]]
    items = confirm_all(account, ids)
    assert {item["status"] for item in items} == {202}
    assert [api.messages(each) for each in ids] == [1] * INTERACTIVE_FILES + [0] * (
        100 - INTERACTIVE_FILES
    )
    assert [item["file"]["bulk"] for item in items] == [
        number >= INTERACTIVE_FILES for number in range(100)
    ]


def test_many_confirmations_of_the_same_files_do_not_wait_for_each_other(
    api: Api, account: Account
) -> None:
    ids = [account.upload() for _ in range(6)]
    orders = [ids, ids[::-1], ids[3:] + ids[:3], ids[::2] + ids[1::2]] * 5
    with ThreadPoolExecutor(len(orders)) as pool:
        found = list(pool.map(lambda order: confirm_all(account, order), orders))
    statuses = [item["status"] for items in found for item in items]
    assert statuses.count(202) == len(ids)
    assert statuses.count(200) == len(ids) * (len(orders) - 1)
    assert [api.messages(each) for each in ids] == [1] * len(ids)


def test_files_are_locked_in_the_order_of_their_ids(
    api: Api, account: Account, eventually: Any
) -> None:
    low, high = sorted(account.upload() for _ in range(2))
    lock = text("select id from files where id = :id for update nowait")
    waiting = text("select count(*) from pg_locks where not granted")
    with ThreadPoolExecutor(1) as pool, api.owner.begin() as holder:
        # Given somebody who holds the one that comes first
        holder.execute(lock, {"id": low})
        # When both are confirmed, named the other way round
        confirmation = pool.submit(confirm_all, account, [high, low])
        with api.owner.connect() as observer:
            eventually(lambda: observer.execute(waiting).scalar_one(), what="it waits")
        # Then the confirmation does not hold the other while it waits, so neither is stuck
        holder.execute(lock, {"id": high})
        holder.commit()
        assert {item["status"] for item in confirmation.result(timeout=60)} == {202}


def test_a_store_that_is_away_queues_none_of_many(api: Api, account: Account) -> None:
    ids = [account.upload() for _ in range(4)]
    away = StorageUnavailable("The object store cannot be reached.")
    with mock.patch.object(type(api.resources.objects), "start", side_effect=away):
        answer = account.post("/v1/files/confirm", {"ids": ids})
    problem(answer, 503, "storage_unavailable")
    assert {api.row(each).status for each in ids} == {"PENDING"}


@pytest.mark.parametrize("ids", [[], ["x"], [str(uuid4())] * 101, None])
def test_a_wrong_list_is_refused_as_a_whole(account: Account, ids: object) -> None:
    problem(account.post("/v1/files/confirm", {"ids": ids}), 422, "validation_failed")
