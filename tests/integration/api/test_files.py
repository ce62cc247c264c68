"""Files from reservation to deletion, as their owner sees them."""

from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from docmill_api.resources import Resources
from docmill_shared.errors import ObjectMissing
from docmill_shared.files.reservations import INTERACTIVE_FILES
from docmill_shared.states import FailureReason, FileStatus
from tests.integration.api.driver import Account, Api, problem, put, settings_from


def test_a_file_goes_from_reservation_to_queue(api: Api, account: Account) -> None:
    # Given a reservation
    answer = account.post(
        "/v1/files", {"name": "r/é port.md", "size_bytes": 5, "media_type": "text/x-markdown; a=b"}
    )
    assert answer.status_code == 201
    assert answer.json is not None
    file, upload = answer.json["file"], answer.json["upload"]
    assert answer.headers["Location"] == f"/v1/files/{file['id']}"
    assert file == {
        "id": file["id"],
        "name": "é port.md",
        "media_type": "text/markdown",
        "size_bytes": 5,
        "visibility": "private",
        "status": "PENDING",
        "stage": None,
        "progress": {"pages_done": 0, "page_count": None, "chunks_done": 0, "chunk_count": None},
        "failure": None,
        "duplicate_of": None,
        "sha256": None,
        "declared_sha256": None,
        "bulk": False,
        "attempt": 0,
        "attempts": [],
        "created_at": file["created_at"],
        "queued_at": None,
        "next_attempt_at": None,
        "started_at": None,
        "finished_at": None,
    }
    assert (upload["method"], upload["headers"]) == ("PUT", {"Content-Type": "text/markdown"})
    assert api.row(file["id"]).object_key == f"uploads/{account.id}/{file['id']}"
    # When its bytes are uploaded and confirmed
    assert put(upload, b"hello") == 200
    confirmed = account.post(f"/v1/files/{file['id']}/confirm")
    # Then it is queued and one message says so
    assert confirmed.status_code == 202
    assert confirmed.json is not None
    assert confirmed.json["status"] == "QUEUED"
    assert confirmed.json["queued_at"]
    assert api.messages(file["id"]) == 1
    assert api.row(file["id"]).sent_at is not None
    assert account.get(f"/v1/files/{file['id']}").json == confirmed.json
    assert account.get("/v1/files").json == {"items": [confirmed.json], "next_cursor": None}


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"name": "a.exe"}, 422, "unsupported_type"),
        ({"name": "a"}, 422, "unsupported_type"),
        ({"media_type": "application/x-msdownload"}, 422, "unsupported_type"),
        ({"size_bytes": 0}, 422, "empty_file"),
        ({"size_bytes": 100 * 1024**2 + 1}, 413, "too_large"),
        ({"size_bytes": 10**30}, 413, "too_large"),
        ({"visibility": "public"}, 403, "publishing_not_allowed"),
    ],
)
def test_what_cannot_be_ingested_is_not_reserved(
    account: Account, fields: dict[str, Any], status: int, code: str
) -> None:
    answer = account.post("/v1/files", {"name": "a.txt", "size_bytes": 5, **fields})
    details = problem(answer, status, code)
    if code == "unsupported_type":
        assert "PDF" in details["detail"]
    assert account.get("/v1/files").json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"size_bytes": -1}, "size_bytes"),
        ({"size_bytes": "5"}, "size_bytes"),
        ({"size_bytes": 5.5}, "size_bytes"),
        ({"name": "a\u0000.txt"}, "name"),
        ({"name": "a\n.txt"}, "name"),
        ({"name": "a\u202etxt.pdf"}, "name"),
        ({"name": "\ud800.txt"}, "name"),
        ({"name": "x" * 252 + ".txt"}, "name"),
        ({"name": ".."}, "name"),
        ({"name": "a/"}, "name"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"media_type": "text/\u0000"}, "media_type"),
        ({"visibility": "secret"}, "visibility"),
        ({"sizebytes": 5}, "sizebytes"),
    ],
)
def test_a_wrong_field_is_named(account: Account, fields: dict[str, Any], field: str) -> None:
    answer = account.post("/v1/files", {"name": "a.txt", "size_bytes": 5, **fields})
    details = problem(answer, 422, "validation_failed")
    assert [each["field"] for each in details["errors"]] == [field]
    assert field in details["detail"]


@pytest.mark.parametrize("declared", [None, "application/octet-stream", ""])
def test_an_unknown_type_is_guessed_from_the_name(account: Account, declared: str | None) -> None:
    reserved = account.reserve(name="C:\\fakepath\\Report.PDF", media_type=declared)
    assert reserved["file"]["media_type"] == "application/pdf"
    assert reserved["file"]["name"] == "Report.PDF"


@pytest.mark.parametrize("role", ["contributor", "admin"])
def test_contributors_and_admins_publish(api: Api, role: str) -> None:
    assert api.account(role).reserve(visibility="public")["file"]["visibility"] == "public"


def test_confirming_before_the_upload_changes_nothing(api: Api, account: Account) -> None:
    reserved = account.reserve(b"hello")
    file_id = reserved["file"]["id"]
    problem(account.post(f"/v1/files/{file_id}/confirm"), 409, "not_uploaded")
    assert api.row(file_id).status == "PENDING"
    # and later it works
    assert put(reserved["upload"], b"hello") == 200
    assert account.post(f"/v1/files/{file_id}/confirm").status_code == 202


def test_confirming_again_queues_nothing(api: Api, account: Account) -> None:
    file_id = account.confirmed()
    again = account.post(f"/v1/files/{file_id}/confirm")
    assert again.status_code == 200
    assert again.json is not None
    assert again.json["status"] == "QUEUED"
    assert api.messages(file_id) == 1


def test_the_many_files_of_one_owner_are_left_to_the_dispatcher(api: Api, account: Account) -> None:
    # Given an owner of whom a few files wait already
    first = [account.confirmed() for _ in range(INTERACTIVE_FILES)]
    # When another one is confirmed
    one_more = account.confirmed()
    # Then it waits in Postgres, due and unsent, behind those of other owners
    assert [api.messages(file_id) for file_id in first] == [1] * INTERACTIVE_FILES
    assert api.messages(one_more) == 0
    row = api.row(one_more)
    assert (row.status, row.sent_at, row.bulk) == ("QUEUED", None, True)


def test_a_file_that_nobody_waits_for_is_left_to_the_dispatcher(api: Api, account: Account) -> None:
    file_id = account.confirmed(bulk=True)
    assert api.messages(file_id) == 0
    assert api.row(file_id).bulk


def test_a_waiting_file_is_cancelled_with_its_object(api: Api, account: Account) -> None:
    file_id = account.confirmed()
    answer = account.post(f"/v1/files/{file_id}/cancel")
    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["status"], answer.json["failure"]["reason"]) == ("FAILED", "cancelled")
    with pytest.raises(ObjectMissing):
        api.resources.objects.head(f"uploads/{account.id}/{file_id}")
    problem(account.post(f"/v1/files/{file_id}/cancel"), 409, "not_cancellable")
    problem(account.post(f"/v1/files/{file_id}/retry"), 409, "not_failed")


def test_what_is_not_ones_own_is_not_cancelled(api: Api, account: Account) -> None:
    file_id = account.confirmed()
    problem(api.account().post(f"/v1/files/{file_id}/cancel"), 404, "file_not_found")
    assert api.row(file_id).status == "QUEUED"


def test_the_url_is_good_for_its_own_key_only(api: Api, account: Account) -> None:
    mine, other = account.reserve(), account.reserve()
    url = mine["upload"]["url"].replace(mine["file"]["id"], other["file"]["id"])
    assert put(mine["upload"], b"hello", url) == 403
    problem(account.post(f"/v1/files/{other['file']['id']}/confirm"), 409, "not_uploaded")


def test_the_url_expires(api: Api, api_environment: dict[str, str], eventually: Any) -> None:
    resources = Resources.from_settings(settings_from(api_environment, upload_url_seconds=1))
    account = Api(resources, api.owner).account()
    upload = account.reserve()["upload"]
    assert parse_qs(urlsplit(upload["url"]).query)["X-Amz-Expires"] == ["1"]
    eventually(lambda: put(upload, b"hello") == 403, timeout=20, what="the URL expires")
    resources.close()


def test_the_list_is_paged_newest_first(api: Api, account: Account) -> None:
    ids = [account.reserve()["file"]["id"] for _ in range(5)]
    seen: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = account.get("/v1/files", query_string=query).json
        assert page is not None
        seen += [file["id"] for file in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert seen == ids[::-1]
    assert pages == 3


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "status=GONE", "name=", "created_after=2026-01-01T00:00",
     "visibility=all", "cursor=%00", "cursor=e30", "page=2",
     "cursor=WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwiMSJd", "cursor=bnVsbA"],
)  # fmt: skip
def test_a_wrong_parameter_is_named(account: Account, query: str) -> None:
    details = problem(account.get(f"/v1/files?{query}"), 422, "validation_failed")
    assert details["errors"][0]["field"].partition(".")[0] == query.partition("=")[0]


def test_chunks_are_paged_in_order(api: Api, account: Account) -> None:
    file_id = api.file_with_chunks(account, ["one", "two", "three"])
    first = account.get(f"/v1/files/{file_id}/chunks?limit=2").json
    assert first is not None
    second = account.get(f"/v1/files/{file_id}/chunks?limit=2&cursor={first['next_cursor']}").json
    assert second is not None
    assert [chunk["text"] for chunk in first["items"] + second["items"]] == ["one", "two", "three"]
    assert second["next_cursor"] is None
    assert set(first["items"][0]) == {
        "id", "ordinal", "text", "token_count", "page_start", "page_end", "heading_path",
        "char_start", "char_end",
    }  # fmt: skip
    problem(account.get(f"/v1/files/{file_id}/chunks?cursor=WyJhIl0"), 422, "validation_failed")


def test_a_file_without_chunks_has_an_empty_list(account: Account) -> None:
    file_id = account.reserve()["file"]["id"]
    assert account.get(f"/v1/files/{file_id}/chunks").json == {"items": [], "next_cursor": None}


def test_a_failed_file_shows_why_and_is_retried(api: Api, account: Account) -> None:
    # Given a file that failed
    file_id = account.confirmed()
    api.resources.broker.client.flushdb()
    api.set_file(file_id, status=FileStatus.PROCESSING, lease_token=uuid4())
    api.set_file(
        file_id,
        status=FileStatus.FAILED,
        lease_token=None,
        failure_reason=FailureReason.RETRIES_EXHAUSTED,
        failure_detail="Three attempts failed.",
        attempt=3,
        sha256=b"\xab" * 32,
    )
    failed = account.get(f"/v1/files/{file_id}").json
    assert failed is not None
    assert failed["failure"] == {"reason": "retries_exhausted", "detail": "Three attempts failed."}
    assert failed["sha256"] == "ab" * 32
    # When it is retried
    answer = account.post(f"/v1/files/{file_id}/retry")
    # Then it is queued as if new
    assert answer.status_code == 202
    assert answer.json is not None
    assert (answer.json["status"], answer.json["failure"], answer.json["attempt"]) == (
        "QUEUED", None, 0,
    )  # fmt: skip
    assert api.messages(file_id) == 1
    problem(account.post(f"/v1/files/{file_id}/retry"), 409, "not_failed")
    assert api.messages(file_id) == 1


def test_a_deleted_file_is_gone_with_its_object(api: Api, account: Account) -> None:
    file_id = account.confirmed()
    key = api.row(file_id).object_key
    answer = account.delete(f"/v1/files/{file_id}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert api.row(file_id) is None
    with pytest.raises(ObjectMissing):
        api.resources.objects.head(key)
    problem(account.get(f"/v1/files/{file_id}"), 404, "file_not_found")
    problem(account.delete(f"/v1/files/{file_id}"), 404, "file_not_found")


def test_a_completed_file_is_deleted_with_its_chunks(api: Api, account: Account) -> None:
    file_id = api.file_with_chunks(account, ["zebras are striped"])
    assert account.delete(f"/v1/files/{file_id}").status_code == 204
    found = account.post("/v1/search", {"query": "zebras"}).json
    assert found is not None
    assert found["results"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/files/{}"),
        ("GET", "/v1/files/{}/chunks"),
        ("GET", "/v1/files/{}/download"),
        ("POST", "/v1/files/{}/confirm"),
        ("POST", "/v1/files/{}/retry"),
        ("DELETE", "/v1/files/{}"),
    ],
)
def test_another_owners_file_does_not_exist(
    api: Api, account: Account, method: str, path: str
) -> None:
    for other in (api.account(), api.account("admin")):
        file_id = account.upload()
        before = api.row(file_id)
        theirs = problem(other.call(method, path.format(file_id)), 404, "file_not_found")
        nobodys = problem(other.call(method, path.format(uuid4())), 404, "file_not_found")
        assert {**theirs, "request_id": ""} == {**nobodys, "request_id": ""}
        assert api.row(file_id) == before
    problem(account.call(method, path.format("no-uuid")), 404, "not_found")
