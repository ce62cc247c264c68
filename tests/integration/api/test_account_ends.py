"""A new password and a deleted account: what ends with them, at once and for everybody."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text

from docmill_api import passwords, sessions
from docmill_janitor.schedule import schedule
from docmill_janitor.settings import JanitorSettings
from docmill_shared import closed_accounts, job_schedule
from docmill_shared.job_schedule import Published
from docmill_shared.messages import JANITOR_QUEUE
from docmill_shared.schema import Chunk, File, User, Webhook
from tests.integration.api.driver import PASSWORD, Account, Api, problem

NEW = "another battery of horses"


def log_in(api: Api, email: str, password: str) -> Any:
    return api.call("POST", "/v1/auth/login", {"email": email, "password": password})


def refresh(api: Api, token: str) -> Any:
    return api.call("POST", "/v1/auth/refresh", {"refresh_token": token})


def me(api: Api, token: str) -> Any:
    return api.call("GET", "/v1/me", headers={"Authorization": f"Bearer {token}"})


def change(account: Account, current: str = PASSWORD, new: str = NEW) -> Any:
    body = {"current_password": current, "new_password": new}
    return account.post("/v1/me/password", body)


def key_of(account: Account) -> str:
    made: Any = account.post("/v1/api-keys", {"name": "k", "scopes": ["files:read"]}).json
    return str(made["key"])


def lists_files(api: Api, key: str) -> Any:
    return api.call("GET", "/v1/files", headers={"Authorization": f"Bearer {key}"})


def janitor_messages(api: Api) -> list[str]:
    broker = api.resources.broker
    envelopes: Any = broker.client.hvals(f"{broker.namespace}:{JANITOR_QUEUE}.msgs")
    return [each.decode() for each in envelopes]


# --- A new password ---


def test_a_new_password_ends_every_session_and_begins_one(api: Api, account: Account) -> None:
    # Given several sessions, one of them refreshed, and a key
    other = log_in(api, account.email, PASSWORD).json
    refreshed = refresh(api, other["refresh_token"]).json
    stranger, key = api.account(), key_of(account)
    # When the password is changed
    answer = change(account)
    assert answer.status_code == 200, answer.text
    # Then every token from before is refused at once
    for token in (account.access, other["access_token"], refreshed["access_token"]):
        problem(me(api, token), 401, "token_revoked")
    for token in (account.refresh, refreshed["refresh_token"]):
        problem(refresh(api, token), 401, "invalid_refresh_token")
    # And the new pair, the key and other accounts work
    assert me(api, answer.json["access_token"]).status_code == 200
    assert refresh(api, answer.json["refresh_token"]).status_code == 200
    assert lists_files(api, key).status_code == 200
    assert stranger.get("/v1/me").status_code == 200
    problem(log_in(api, account.email, PASSWORD), 401, "invalid_credentials")
    assert log_in(api, account.email, NEW).status_code == 200


@pytest.mark.parametrize(
    ("current", "new", "status", "code"),
    [
        ("not the password", NEW, 403, "wrong_password"),
        (PASSWORD, "short", 422, "validation_failed"),
        (PASSWORD, PASSWORD, 422, "validation_failed"),
        ("", NEW, 422, "validation_failed"),
        (PASSWORD, "x" * 257, 422, "validation_failed"),
    ],
)
def test_a_refused_change_changes_nothing(
    api: Api, account: Account, current: str, new: str, status: int, code: str
) -> None:
    answer = change(account, current, new)
    problem(answer, status, code)
    assert new not in answer.text
    assert account.get("/v1/me").status_code == 200
    assert log_in(api, account.email, PASSWORD).status_code == 200


def test_a_login_with_the_old_password_does_not_outlive_the_change(
    api: Api, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a login whose password was found right, and that goes no further yet
    verified, changed = threading.Event(), threading.Event()
    verify = passwords.verify

    def slow(password: str, stored: str | None) -> bool:
        right = verify(password, stored)
        if threading.current_thread().name.startswith("login"):
            verified.set()
            assert changed.wait(timeout=60)
        return right

    monkeypatch.setattr(passwords, "verify", slow)
    with ThreadPoolExecutor(1, thread_name_prefix="login") as thread:
        login = thread.submit(log_in, api, account.email, PASSWORD)
        assert verified.wait(timeout=60)
        # When the password is changed in between
        assert change(account).status_code == 200
        changed.set()
        # Then that login fails
        problem(login.result(), 401, "invalid_credentials")


def test_a_refresh_at_the_same_time_does_not_outlive_the_change(
    api: Api, account: Account, eventually: Callable[..., None]
) -> None:
    # Given a refresh that has used the token, and has not committed its successor yet
    hand_out = sessions._hand_out
    used, go = threading.Event(), threading.Event()

    def slow(*arguments: Any, **named: Any) -> Any:
        if threading.current_thread().name.startswith("refresh"):
            used.set()
            assert go.wait(timeout=60)
        return hand_out(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1, "refresh") as one:
        patch.setattr(sessions, "_hand_out", slow)
        refreshing = one.submit(refresh, api, account.refresh)
        assert used.wait(timeout=60)
        with ThreadPoolExecutor(1, "change") as two:
            # When the password is changed: it waits for the token's row
            changing = two.submit(change, account)
            eventually(lambda: waits_for_a_lock(api.owner))
            go.set()
            assert changing.result().status_code == 200
        pair = refreshing.result().json
    # Then what the refresh got is worth nothing
    problem(me(api, pair["access_token"]), 401, "token_revoked")
    problem(refresh(api, pair["refresh_token"]), 401, "invalid_refresh_token")


def waits_for_a_lock(owner: Engine) -> bool:
    with owner.connect() as connection:
        return bool(
            connection.execute(
                text(
                    "select count(*) from pg_locks join pg_stat_activity using (pid)"
                    " where datname = current_database() and not granted"
                )
            ).scalar()
        )


# --- A deleted account ---


def test_a_deleted_account_is_refused_at_once_and_its_email_is_free(
    api: Api, account: Account
) -> None:
    other, key = log_in(api, account.email, PASSWORD).json, key_of(account)
    answer = account.call("DELETE", "/v1/me", {"password": PASSWORD})
    assert (answer.status_code, answer.data) == (204, b"")
    for token in (account.access, other["access_token"]):
        assert problem_code(me(api, token)) in {"token_revoked", "invalid_token"}
    for token in (account.refresh, other["refresh_token"]):
        problem(refresh(api, token), 401, "invalid_refresh_token")
    problem(lists_files(api, key), 401, "api_key_revoked")
    problem(log_in(api, account.email, PASSWORD), 401, "invalid_credentials")
    # Then whoever has the address may register
    again = {"email": account.email, "password": NEW}
    registered = api.call("POST", "/v1/auth/register", again)
    assert registered.status_code == 201
    assert registered.json is not None
    assert registered.json["id"] != str(account.id)
    assert log_in(api, account.email, NEW).status_code == 200
    with api.owner.connect() as connection:
        row = connection.execute(select(*User.__table__.columns).where(User.id == account.id)).one()
    assert account.email not in str(row)
    assert row.welcomed_at is not None, "nobody must write to what was an address"


def problem_code(answer: Any) -> str:
    assert answer.status_code == 401, answer.text
    return str(answer.json["code"])


@pytest.mark.parametrize("body", [{}, {"password": "wrong password"}, {"password": None}])
def test_a_deletion_asks_for_the_password(api: Api, account: Account, body: Any) -> None:
    problem(account.call("DELETE", "/v1/me", body), 403, "wrong_password")
    assert account.get("/v1/me").status_code == 200
    assert log_in(api, account.email, PASSWORD).status_code == 200


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({}, 415, "unsupported_media_type"),
        ({"data": "{", "content_type": "application/json"}, 400, "malformed_json"),
        ({"data": "[]", "content_type": "application/json"}, 422, "validation_failed"),
        ({"json": {"password": PASSWORD, "now": True}}, 422, "validation_failed"),
    ],
)
def test_a_deletion_without_a_good_body_is_refused(
    account: Account, options: Any, status: int, code: str
) -> None:
    problem(account.call("DELETE", "/v1/me", **options), status, code)
    assert account.get("/v1/me").status_code == 200


def test_public_passages_are_out_of_search_with_the_answer(api: Api) -> None:
    # Given a contributor's public and private files, and somebody who finds the public one
    gone = api.account("contributor")
    public = api.file_with_chunks(gone, ["The zanzibar ferry leaves at nine."], visibility="public")
    private = api.file_with_chunks(gone, ["The zanzibar ferry costs nine."])
    other = api.account()
    query = {"query": "zanzibar ferry", "mode": "text"}
    found: Any = other.post("/v1/search", query).json
    assert [each["file"]["id"] for each in found["results"]] == [public]
    # When the account is deleted, Then nothing is found, and the janitor knows of the rest
    api.resources.broker.client.flushdb()
    assert gone.call("DELETE", "/v1/me", {"password": PASSWORD}).status_code == 204
    found = other.post("/v1/search", query).json
    assert found["results"] == []
    assert api.row(public).status == "DELETING"
    assert api.row(private).status == "COMPLETED"
    with api.owner.connect() as connection:
        left = connection.execute(
            select(func.count()).select_from(Chunk).where(Chunk.owner_id == gone.id)
        ).scalar_one()
    assert left == 1
    [message] = janitor_messages(api)
    assert f'"job":"{closed_accounts.JOB}"' in message.replace(" ", "")


def test_what_is_marked_with_the_answer_is_bounded(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from docmill_api import account_deletion

    monkeypatch.setattr(account_deletion, "_FILES_AT_ONCE", 2)
    gone = api.account("contributor")
    for _ in range(3):
        api.file_with_chunks(gone, ["a"], visibility="public", vectors=[[1.0] + [0.0] * 767])
    assert gone.call("DELETE", "/v1/me", {"password": PASSWORD}).status_code == 204
    with api.owner.connect() as connection:
        statuses = connection.execute(select(File.status).where(File.owner_id == gone.id))
        assert sorted(statuses.scalars()) == ["COMPLETED", "DELETING", "DELETING"]


def test_an_account_is_deleted_without_redis_and_while_the_job_is_paused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = api.resources.broker.client.connection_pool
    monkeypatch.setattr(
        api.resources.broker.client,
        "connection_pool",
        type(away).from_url("redis://127.0.0.1:1/0"),
    )
    account = api.account()
    assert account.call("DELETE", "/v1/me", {"password": PASSWORD}).status_code == 204
    monkeypatch.undo()
    # An operator who paused the job wants nothing removed
    other = api.account()
    now = datetime.now(UTC)
    with api.owner.begin() as connection:
        published = Published(closed_accounts.JOB, "0 * * * *", "Removes.", now)
        job_schedule.publish(connection, [published], now)
        assert job_schedule.pause(connection, closed_accounts.JOB)
    api.resources.broker.client.flushdb()
    assert other.call("DELETE", "/v1/me", {"password": PASSWORD}).status_code == 204
    assert janitor_messages(api) == []
    with api.owner.begin() as connection:
        assert job_schedule.resume(connection, closed_accounts.JOB)


def test_the_webhooks_of_a_deleted_account_are_sent_nothing_more(api: Api) -> None:
    gone = api.account("contributor")
    body = {"url": "https://example.org/hook", "events": ["file.deleted"]}
    assert gone.post("/v1/webhooks", body).status_code == 201
    api.file_with_chunks(gone, ["a"], visibility="public", vectors=[[1.0] + [0.0] * 767])
    assert gone.call("DELETE", "/v1/me", {"password": PASSWORD}).status_code == 204
    with api.owner.connect() as connection:
        hook = connection.execute(select(Webhook.disabled_at).where(Webhook.owner_id == gone.id))
        assert hook.scalar_one() is not None
        told = connection.execute(
            text("select count(*) from webhook_deliveries where owner_id = :id"), {"id": gone.id}
        )
        assert told.scalar_one() == 0


def test_the_janitors_schedule_has_the_job(service_environment: dict[str, str]) -> None:
    settings = JanitorSettings.model_validate(
        {
            name: service_environment[name.upper()]
            for name in JanitorSettings.model_fields
            if name.upper() in service_environment
        }
    )
    assert closed_accounts.JOB in {job.name for job in schedule(settings)}
