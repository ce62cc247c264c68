"""Reservations: what is there already, repeated requests, quotas, and many at once."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, func, select, text, update

from docmill_api.resources import Resources
from docmill_shared import row_security
from docmill_shared.files import admission
from docmill_shared.files.admission import Wish
from docmill_shared.schema import File, OwnerUsage
from docmill_shared.states import FileStatus
from docmill_shared.usage import Limits
from tests.integration.api.driver import Account, Api, problem, put, settings_from

AT_ONCE = 50


@pytest.fixture
def environment(api_environment: dict[str, str]) -> dict[str, str]:
    return api_environment


@contextmanager
def limited(api: Api, environment: dict[str, str], **limits: int) -> Iterator[Account]:
    """A new account of an api with other limits, on the same database."""
    resources = Resources.from_settings(settings_from(environment, **limits))
    try:
        yield Api(resources, api.owner).account()
    finally:
        resources.close()


def all_at_once(account: Account, body: Any, path: str = "/v1/files", **options: Any) -> list[Any]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda _: account.post(path, body, **options), range(AT_ONCE)))


def files_of(api: Api, account: Account) -> int:
    with api.owner.connect() as connection:
        query = select(func.count()).select_from(File).where(File.owner_id == account.id)
        return connection.execute(query).scalar_one()


def completed(api: Api, account: Account, content: bytes) -> str:
    """A COMPLETED file with the checksum of this content."""
    file_id = api.file_with_chunks(account, ["words"])
    api.set_file(file_id, sha256=hashlib.sha256(content).digest())
    return file_id


def used(account: Account) -> Any:
    return account.get("/v1/usage").json


def key(value: str) -> dict[str, Any]:
    return {"headers": {"Idempotency-Key": value}}


BODY = {"name": "a.txt", "size_bytes": 5}
SHA256 = hashlib.sha256(b"hello").hexdigest()


# What is there already


def test_a_completed_file_with_the_checksum_is_the_answer(api: Api, account: Account) -> None:
    file_id = completed(api, account, b"hello")
    answer = account.post("/v1/files", {**BODY, "sha256": SHA256.upper()})
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["file"]["id"] == file_id
    assert answer.headers["Location"] == f"/v1/files/{file_id}"
    assert (answer.json["duplicate"], answer.json["upload"]) == (True, None)
    assert answer.json["quota"]["files"]["used"] == files_of(api, account) == 1


def test_another_owners_file_with_the_checksum_is_not(api: Api, account: Account) -> None:
    completed(api, api.account(), b"hello")
    reserved = account.reserve(sha256=SHA256)
    assert not reserved["duplicate"]
    assert reserved["file"]["declared_sha256"] == SHA256
    assert api.row(reserved["file"]["id"]).declared_sha256.hex() == SHA256


def test_a_file_that_is_not_completed_is_not_either(api: Api, account: Account) -> None:
    first = account.reserve(sha256=SHA256)
    assert account.reserve(sha256=SHA256)["file"]["id"] != first["file"]["id"]


@pytest.mark.parametrize("wrong", ["", "ab", "g" * 64, "a" * 65, 5])
def test_a_checksum_is_64_digits(account: Account, wrong: object) -> None:
    details = problem(
        account.post("/v1/files", {**BODY, "sha256": wrong}), 422, "validation_failed"
    )
    assert [each["field"] for each in details["errors"]] == ["sha256"]


# Repeated requests


def test_a_repeated_request_creates_one_file_and_can_be_uploaded(
    api: Api, account: Account
) -> None:
    first = account.post("/v1/files", BODY, **key("k1"))
    again = account.post("/v1/files", BODY, **key("k1"))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json is not None
    assert again.json is not None
    assert again.json["file"] == first.json["file"]
    assert again.json["quota"] == first.json["quota"]
    assert put(again.json["upload"], b"hello") == 200
    assert files_of(api, account) == 1
    # Once it is confirmed there is nothing to upload, hence to overwrite.
    file_id = first.json["file"]["id"]
    assert account.post(f"/v1/files/{file_id}/confirm").status_code == 202
    late = account.post("/v1/files", BODY, **key("k1"))
    assert late.status_code == 200
    assert late.json is not None
    assert late.json["file"]["status"] == "QUEUED"
    assert (late.json["upload"], late.json["duplicate"]) == (None, False)


@pytest.mark.parametrize("before", [0, 1])
def test_fifty_repeats_at_once_create_one_file(api: Api, account: Account, before: int) -> None:
    """Also for an owner who never had a file, of whose usage there is no row to wait for."""
    for _ in range(before):
        account.reserve()
    answers = all_at_once(account, BODY, **key("k"))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json["file"]["id"] for answer in answers}) == 1
    assert files_of(api, account) == before + 1


def test_a_key_with_another_request_is_refused(api: Api, account: Account) -> None:
    account.post("/v1/files", BODY, **key("k"))
    answer = account.post("/v1/files", {**BODY, "size_bytes": 6}, **key("k"))
    problem(answer, 422, "idempotency_key_reused")
    assert files_of(api, account) == 1


def test_a_key_is_its_owners(api: Api, account: Account) -> None:
    other = api.account()
    answers: list[Any] = [each.post("/v1/files", BODY, **key("k")) for each in (account, other)]
    assert len({answer.json["file"]["id"] for answer in answers}) == 2


def test_a_key_is_free_again_when_its_file_is_deleted(api: Api, account: Account) -> None:
    def reserve() -> str:
        answer = account.post("/v1/files", BODY, **key("k"))
        assert answer.json is not None
        return str(answer.json["file"]["id"])

    first = reserve()
    assert account.delete(f"/v1/files/{first}").status_code == 204
    second = reserve()
    assert second != first
    # and so it is while the object has still to go
    api.set_file(second, status=FileStatus.DELETING, idempotency_key=None)
    assert reserve() not in (first, second)


@pytest.mark.parametrize("wrong", ["", "a b", "é", "x" * 256])
def test_a_key_is_visible_ascii(account: Account, wrong: str) -> None:
    details = problem(account.post("/v1/files", BODY, **key(wrong)), 422, "validation_failed")
    assert [each["field"] for each in details["errors"]] == ["Idempotency-Key"]


def test_a_key_may_be_long(account: Account) -> None:
    assert account.post("/v1/files", BODY, **key("~" * 255)).status_code == 201


# Quotas


def test_every_reservation_says_what_is_left(api: Api, environment: dict[str, str]) -> None:
    limits = {"owner_max_files": 3, "owner_max_bytes": 12, "owner_tokens_per_day": 100}
    with limited(api, environment, **limits) as account:
        assert used(account)["files"] == {"used": 0, "limit": 3, "remaining": 3}
        quota = account.reserve()["quota"]
        assert quota["files"] == {"used": 1, "limit": 3, "remaining": 2}
        assert quota["bytes"] == {"used": 5, "limit": 12, "remaining": 7}
        assert quota["tokens_today"] == {"used": 0, "limit": 100, "remaining": 100}
        assert used(account) == quota
        account.reserve()
        details = problem(account.post("/v1/files", BODY), 429, "quota_exceeded")
        assert details["errors"] == [{"field": "bytes", "message": "2 of 12 remain"}]
        account.post("/v1/files", {**BODY, "size_bytes": 2})
        details = problem(account.post("/v1/files", BODY), 429, "quota_exceeded")
        assert [each["field"] for each in details["errors"]] == ["files", "bytes"]
        assert "files: 0 of 3 remain" in details["detail"]
        assert files_of(api, account) == 3


def test_without_a_limit_nothing_is_left_to_say(api: Api, environment: dict[str, str]) -> None:
    none = {"owner_max_files": None, "owner_max_bytes": None, "owner_tokens_per_day": None}
    with limited(api, environment, **none) as account:  # type: ignore[arg-type]
        quota = account.reserve()["quota"]
        assert quota["files"] == {"used": 1, "limit": None, "remaining": None}
        assert quota["bytes"] == {"used": 5, "limit": None, "remaining": None}


def test_what_is_deleted_makes_room(api: Api, environment: dict[str, str]) -> None:
    with limited(api, environment, owner_max_files=1) as account:
        file_id = account.reserve()["file"]["id"]
        problem(account.post("/v1/files", BODY), 429, "quota_exceeded")
        assert account.delete(f"/v1/files/{file_id}").status_code == 204
        account.reserve()


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("limit", [{"owner_max_files": 7}, {"owner_max_bytes": 39}])
def test_fifty_at_once_never_exceed(
    api: Api, environment: dict[str, str], limit: dict[str, int], before: int
) -> None:
    with limited(api, environment, database_pool_size=25, **limit) as account:
        for _ in range(before):
            account.reserve()
        answers = all_at_once(account, BODY)
        created = [answer for answer in answers if answer.status_code == 201]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(created) == 7 - before
        assert len(created) + len(refused) == AT_ONCE
        assert files_of(api, account) == 7


def test_a_repeated_request_is_answered_when_nothing_is_left(
    api: Api, environment: dict[str, str]
) -> None:
    with limited(api, environment, owner_max_files=1) as account:
        answers = all_at_once(account, BODY, **key("k"))
        assert {answer.status_code for answer in answers} == {201}
        assert files_of(api, account) == 1


def test_yesterdays_tokens_do_not_count(api: Api, account: Account, eventually: Any) -> None:
    account.reserve()
    # A day that ended between the two would have made them yesterday's
    eventually(lambda: datetime.now(UTC).time() < time(23, 59, 30), what="midnight is over")

    def spend(days_ago: int) -> int:
        with api.owner.begin() as connection:
            connection.execute(
                update(OwnerUsage)
                .where(OwnerUsage.owner_id == account.id)
                .values(
                    tokens=70,
                    tokens_on=func.date(func.timezone("UTC", func.now())) - days_ago,
                )
            )
        tokens = used(account)["tokens_today"]["used"]
        assert account.reserve()["quota"]["tokens_today"]["used"] == tokens
        return int(tokens)

    assert (spend(0), spend(1)) == (70, 0)


# Many at once


def test_a_hundred_are_reserved_in_one_call(api: Api, account: Account) -> None:
    wishes = [{**BODY, "name": f"{number}.txt"} for number in range(100)]
    answer = account.post("/v1/files/bulk", {"files": wishes})
    assert answer.status_code == 200
    assert answer.json is not None
    items = answer.json["items"]
    assert [item["file"]["name"] for item in items] == [wish["name"] for wish in wishes]
    assert {(item["status"], item["duplicate"], item["problem"]) for item in items} == {
        (201, False, None)
    }
    assert put(items[42]["upload"], b"hello") == 200
    assert answer.json["quota"]["files"]["used"] == files_of(api, account) == 100


def test_each_of_many_has_its_own_result(api: Api, account: Account) -> None:
    file_id = completed(api, account, b"hello")
    wishes = [
        {**BODY, "sha256": SHA256},
        BODY,
        {**BODY, "name": "a.exe"},
        {**BODY, "size_bytes": 0},
        {**BODY, "name": "a\n.txt"},
        {**BODY, "visibility": "public"},
        {**BODY, "size_bytes": 100 * 1024**2 + 1},
    ]
    answer = account.post("/v1/files/bulk", {"files": wishes})
    assert answer.status_code == 200
    assert answer.json is not None
    items = answer.json["items"]
    assert [item["status"] for item in items] == [200, 201, 422, 422, 422, 403, 413]
    assert items[0]["file"]["id"] == file_id
    assert items[0]["duplicate"]
    assert [(each["problem"] or {}).get("code") for each in items] == [
        None, None, "unsupported_type", "empty_file", "validation_failed",
        "publishing_not_allowed", "too_large",
    ]  # fmt: skip
    assert all(item["file"] is None for item in items[2:])
    assert files_of(api, account) == 2


@pytest.mark.parametrize("before", [0, 1])
def test_many_fit_together_or_none_is_reserved(
    api: Api, environment: dict[str, str], before: int
) -> None:
    with limited(api, environment, owner_max_files=3 + before) as account:
        for _ in range(before):
            account.reserve()
        answer = account.post("/v1/files/bulk", {"files": [BODY] * 4})
        details = problem(answer, 429, "quota_exceeded")
        assert details["errors"] == [
            {"field": "files", "message": f"3 of {3 + before} remain"},
        ]
        assert files_of(api, account) == before
        # What is refused for itself needs no room.
        wishes = [BODY, {**BODY, "name": "a.exe"}, BODY, BODY]
        assert account.post("/v1/files/bulk", {"files": wishes}).status_code == 200
        assert files_of(api, account) == before + 3


def test_many_are_repeated_as_one_request(api: Api, account: Account) -> None:
    body = {"files": [BODY, {**BODY, "name": "a.exe"}, BODY]}

    def ids(answer: Any) -> list[UUID | None]:
        assert answer.status_code == 200, answer.text
        return [item["file"] and item["file"]["id"] for item in answer.json["items"]]

    answers = all_at_once(account, body, "/v1/files/bulk", **key("k"))
    assert len({tuple(ids(answer)) for answer in answers}) == 1
    assert files_of(api, account) == 2
    other = {"files": [*body["files"], BODY]}
    answer = account.post("/v1/files/bulk", other, **key("k"))
    problem(answer, 422, "idempotency_key_reused")
    assert files_of(api, account) == 2


@pytest.mark.parametrize("files", [[], [BODY] * 101, [{**BODY, "size_bytes": -1}], None])
def test_a_wrong_list_is_refused_as_a_whole(account: Account, files: object) -> None:
    problem(account.post("/v1/files/bulk", {"files": files}), 422, "validation_failed")


# Under the microscope: who comes second waits, and then counts what the first one did


def blocked(engine: Engine) -> bool:
    """Whether somebody in this database waits for a lock."""
    query = text(
        "select count(*) from pg_locks join pg_stat_activity using (pid)"
        " where datname = current_database() and not granted"
    )
    with engine.connect() as connection:
        return bool(connection.execute(query).scalar_one())


@pytest.mark.parametrize("before", [0, 1])
def test_the_second_waits_for_the_first_and_counts_its_file(
    api: Api, account: Account, eventually: Any, before: int
) -> None:
    # Given an owner with room for one more, and somebody who has admitted it but not committed
    admit = admission.admit
    for _ in range(before):
        account.reserve()
    limits = Limits(files=before + 1, bytes=None, tokens_per_day=None)
    engine = api.resources.engine

    def second() -> int:
        with row_security.transaction_of(engine, account.id) as connection:
            return len(
                admit(connection, account.id, [Wish("b.txt", "text/plain", 5)], limits).files
            )

    with ThreadPoolExecutor(1) as pool:
        with row_security.transaction_of(engine, account.id) as connection:
            wishes = [Wish("a.txt", "text/plain", 5)]
            assert admit(connection, account.id, wishes, limits).files
            # When another one comes, then it waits
            other = pool.submit(second)
            eventually(lambda: blocked(api.owner), what="the second waits")
        # and gets nothing once the first has committed
        assert other.result(timeout=60) == 0
    assert files_of(api, account) == before + 1
