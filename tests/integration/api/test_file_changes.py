"""What an owner does with a file that is there: rename, publish, download, find it in the list."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert, text, update

from docmill_shared import row_security
from docmill_shared.files import listing
from docmill_shared.files.listing import Filters
from docmill_shared.schema import Chunk, File
from docmill_shared.states import FailureReason, FileStatus
from tests.integration.api.driver import Account, Api, problem, request


def change(account: Account, file_id: str, **fields: Any) -> Any:
    return account.call("PATCH", f"/v1/files/{file_id}", fields)


def found(account: Account, query: str) -> list[dict[str, Any]]:
    answer = account.post("/v1/search", {"query": query, "mode": "text"})
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    results: list[dict[str, Any]] = answer.json["results"]
    return results


# Rename and publish


def test_a_file_is_renamed(api: Api, account: Account) -> None:
    word = f"w{uuid4().hex}"
    file_id = api.file_with_chunks(account, [word], name="old.txt")
    answer = change(account, file_id, name="C:\\fakepath\\new.txt")
    assert answer.status_code == 200
    assert answer.json["name"] == "new.txt"
    assert account.get(f"/v1/files/{file_id}").json == answer.json
    [result] = found(account, word)
    assert "new.txt" in str(result)


def test_search_follows_a_change_of_visibility_at_once(api: Api) -> None:
    owner, other = api.account("contributor"), api.account()
    word = f"w{uuid4().hex}"
    file_id = api.file_with_chunks(owner, [word, f"{word} again"])
    assert found(other, word) == []
    answer = change(owner, file_id, visibility="public", name="shown.txt")
    assert (answer.json["visibility"], answer.json["name"]) == ("public", "shown.txt")
    assert len(found(other, word)) == 2
    change(owner, file_id, visibility="private")
    assert found(other, word) == []
    assert len(found(owner, word)) == 2


def test_only_contributors_and_admins_publish(api: Api, account: Account) -> None:
    file_id = api.file_with_chunks(account, ["words"])
    problem(
        change(account, file_id, visibility="public", name="b.txt"), 403, "publishing_not_allowed"
    )
    assert api.row(file_id).name == "a.txt"
    # Taking back what was published before one's role was taken away is allowed.
    api.set_file(file_id, visibility="public")
    assert change(account, file_id, visibility="private").status_code == 200


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, ""),
        ({"name": None}, ""),
        ({"name": ""}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": ".."}, "name"),
        ({"visibility": "secret"}, "visibility"),
        ({"status": "COMPLETED"}, "status"),
        ({"owner_id": str(uuid4())}, "owner_id"),
    ],
)
def test_a_wrong_change_changes_nothing(
    api: Api, account: Account, fields: dict[str, Any], field: str
) -> None:
    file_id = account.reserve()["file"]["id"]
    before = api.row(file_id)
    details = problem(change(account, file_id, **fields), 422, "validation_failed")
    assert [each["field"] for each in details["errors"]] == [field]
    assert api.row(file_id) == before


@pytest.mark.parametrize("fields", [{"name": "b.txt"}, {"visibility": "private"}])
def test_another_owners_file_is_not_changed(
    api: Api, account: Account, fields: dict[str, Any]
) -> None:
    file_id = api.file_with_chunks(account, ["words"], visibility="public")
    before = api.row(file_id)
    for other in (api.account(), api.account("admin")):
        problem(change(other, file_id, **fields), 404, "file_not_found")
    assert api.row(file_id) == before


def test_a_worker_that_completes_meanwhile_stores_what_is_shown_then(api: Api) -> None:
    """The change waits for the worker's transaction, and then sees the chunks that it stored."""
    owner = api.account("contributor")
    file_id = owner.confirmed()
    api.set_file(file_id, status=FileStatus.PROCESSING, lease_token=uuid4())
    answers: list[Any] = []
    changing = threading.Thread(
        target=lambda: answers.append(change(owner, file_id, visibility="public"))
    )
    with api.owner.begin() as worker:
        # Given a worker that has locked the row to complete it
        worker.execute(
            update(File)
            .where(File.id == UUID(file_id))
            .values(status=FileStatus.COMPLETED, lease_token=None, sha256=uuid4().bytes * 2)
        )
        # When its owner publishes the file, which has no chunks yet for others to see
        changing.start()
        wait_until_blocked(api.owner)
        worker.execute(
            insert(Chunk).values(
                id=uuid4(), file_id=UUID(file_id), owner_id=owner.id, visibility="private",
                ordinal=0, text="words", token_count=1, heading_path=[], char_start=0, char_end=5,
                embedding=[1.0] + [0.0] * 767,
            )
        )  # fmt: skip
    changing.join(timeout=60)
    # Then both are public
    assert answers[0].status_code == 200
    assert answers[0].json["visibility"] == "public"
    with api.owner.connect() as connection:
        rows = connection.execute(
            text("select visibility from chunks where file_id = :id"), {"id": file_id}
        )
        assert rows.scalars().all() == ["public"]


def wait_until_blocked(engine: Engine) -> None:
    """Until somebody in this database waits for a lock."""
    query = text(
        "select count(*) from pg_locks join pg_stat_activity using (pid)"
        " where datname = current_database() and not granted"
    )
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    with engine.connect() as connection:
        while not connection.execute(query).scalar_one():
            assert datetime.now(UTC) < deadline
            connection.rollback()


# Download


def test_a_file_is_downloaded_under_its_name(account: Account) -> None:
    file_id = account.confirmed(b"hello", name='résumé "1".txt')
    answer = account.get(f"/v1/files/{file_id}/download")
    assert answer.status_code == 200
    assert answer.json is not None
    link = answer.json
    left = datetime.fromisoformat(link["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    query = parse_qs(urlsplit(link["url"]).query)
    assert query["X-Amz-Expires"] == ["3600"]
    assert query["response-content-type"] == ["text/plain"]
    assert query["response-content-disposition"] == [
        "attachment; filename=\"resume _1_.txt\"; filename*=UTF-8''r%C3%A9sum%C3%A9%20%221%22.txt"
    ]
    got = request(link["method"], link["url"])
    assert (got.status, got.data) == (200, b"hello")


@pytest.mark.parametrize(
    ("name", "content"), [("a.html", b"<p>hello"), ("a.eml", b"Subject: hello")]
)
def test_what_a_browser_might_run_is_just_bytes(
    account: Account, name: str, content: bytes
) -> None:
    file_id = account.confirmed(content, name=name)
    link = account.get(f"/v1/files/{file_id}/download").json
    assert link is not None
    query = parse_qs(urlsplit(link["url"]).query)
    assert query["response-content-type"] == ["application/octet-stream"]


def test_without_an_object_there_is_no_download(api: Api, account: Account) -> None:
    pending = account.reserve()["file"]["id"]
    cancelled = account.confirmed()
    account.post(f"/v1/files/{cancelled}/cancel")
    duplicate, missing = account.confirmed(), account.confirmed()
    api.set_file(duplicate, status=FileStatus.PROCESSING, lease_token=uuid4())
    api.set_file(duplicate, status=FileStatus.DUPLICATE, lease_token=None)
    api.set_file(missing, object_missing_at=datetime.now(UTC))
    for file_id in (pending, cancelled, duplicate, missing):
        problem(account.get(f"/v1/files/{file_id}/download"), 409, "no_object")


def test_a_failed_file_can_be_downloaded(api: Api, account: Account) -> None:
    file_id = account.confirmed()
    api.set_file(file_id, status=FileStatus.FAILED, failure_reason=FailureReason.NO_TEXT)
    assert account.get(f"/v1/files/{file_id}/download").status_code == 200


# The list


@pytest.fixture
def listed(api: Api, account: Account) -> dict[str, str]:
    """Four files of different kinds, by a letter, oldest first."""
    files = {
        "a": account.reserve(name="Annual_Report 2026.txt")["file"]["id"],
        "b": account.confirmed(name="report.md"),
        "c": api.file_with_chunks(account, [], name="100%.txt"),
        "d": api.file_with_chunks(account, [], name="other.txt", visibility="public"),
    }
    for day, file_id in enumerate(files.values(), start=1):
        api.set_file(file_id, created_at=datetime(2026, 1, day, 12, tzinfo=UTC))
    return files


@pytest.mark.parametrize(
    ("query", "letters"),
    [
        ("", "dcba"),
        ("status=QUEUED", "b"),
        ("status=QUEUED&status=PENDING", "ba"),
        ("status=COMPLETED&visibility=public", "d"),
        ("status=DELETING", ""),
        ("visibility=private", "cba"),
        ("name=REPORT", "ba"),
        ("name=l_r", "a"),
        ("name=0%25", "c"),
        ("name=%25", "c"),
        ("name=nothing", ""),
        ("media_type=text/markdown", "b"),
        ("media_type=text/plain&visibility=private", "ca"),
        ("created_after=2026-01-03T12:00:00Z", "dc"),
        ("created_before=2026-01-03T12:00:00Z", "ba"),
        ("created_after=2026-01-02T00:00:00Z&created_before=2026-01-03T14:00:00%2B01:00", "cb"),
    ],
)
def test_the_list_is_filtered(
    account: Account, listed: dict[str, str], query: str, letters: str
) -> None:
    letter_of = {file_id: letter for letter, file_id in listed.items()}
    seen, cursor, pages = "", "", 0
    while pages == 0 or cursor:
        page = account.get(f"/v1/files?limit=2&{query}&{cursor}".rstrip("&")).json
        assert page is not None
        seen += "".join(letter_of[file["id"]] for file in page["items"])
        cursor = f"cursor={page['next_cursor']}" if page["next_cursor"] else ""
        pages += 1
    assert seen == letters


def test_a_filtered_list_is_read_in_the_order_of_its_index(api: Api, account: Account) -> None:
    filters = Filters(
        statuses=[FileStatus.COMPLETED, FileStatus.FAILED],
        name="report",
        created_before=datetime.now(UTC),
    )
    after = (datetime.now(UTC), uuid4())
    compiled = listing.statement(account.id, filters, limit=51, after=after).compile(
        api.resources.engine, compile_kwargs={"render_postcompile": True}
    )
    with row_security.transaction_of(api.resources.engine, account.id) as connection:
        # Few rows are read quicker in another way.
        for way in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
            connection.execute(text(f"set local {way} = off"))
        rows = connection.exec_driver_sql(f"explain {compiled.string}", dict(compiled.params))
        plan = "\n".join(rows.scalars())
    assert "Index Scan using files_owner_newest" in plan, plan
    assert "ROW(created_at, id) <" in plan, plan
    assert "Sort" not in plan, plan
