"""The audit log: what is in it, what never is, and how it is read."""

from typing import Any
from uuid import uuid4

from sqlalchemy import select

from docmill_shared import audit
from docmill_shared.audit import Event
from docmill_shared.schema import AuditEvent
from tests.integration.api.driver import PASSWORD, Account, Api, problem
from tests.integration.api.history import body


def log_of(admin: Account, user_id: object, **query: object) -> list[dict[str, Any]]:
    answer = admin.get("/v1/admin/audit", query_string={"user_id": str(user_id), **query})
    found: list[dict[str, Any]] = body(answer)["items"]
    return found


def events(admin: Account, user_id: object) -> list[str]:
    """In the order in which they happened."""
    return [each["event"] for each in reversed(log_of(admin, user_id))]


def test_what_an_account_does_is_told_in_order(api: Api, admin: Account) -> None:
    account = api.account()
    credentials = {"email": account.email, "password": PASSWORD}
    login: Any = api.call("POST", "/v1/auth/login", credentials).json
    api.call("POST", "/v1/auth/login", {**credentials, "password": "wrong password"})
    refreshed: Any = api.call("POST", "/v1/auth/refresh", {"refresh_token": account.refresh}).json
    key: Any = account.post("/v1/api-keys", {"name": "secret-name", "scopes": ["search"]}).json
    account.delete(f"/v1/api-keys/{key['id']}")
    api.call("POST", "/v1/auth/refresh", {"refresh_token": account.refresh})
    headers = {"Authorization": f"Bearer {login['access_token']}", "X-Request-ID": "the-logout"}
    api.call("POST", "/v1/auth/logout", headers=headers)
    login = api.call("POST", "/v1/auth/login", credentials).json
    headers = {"Authorization": f"Bearer {login['access_token']}"}
    passwords = {"current_password": PASSWORD, "new_password": PASSWORD + "!"}
    changed: Any = api.call("POST", "/v1/me/password", passwords, headers=headers).json
    headers = {"Authorization": f"Bearer {changed['access_token']}"}
    api.call("DELETE", "/v1/me", {"password": "wrong password"}, headers=headers)
    api.call("DELETE", "/v1/me", {"password": PASSWORD + "!"}, headers=headers)

    assert events(admin, account.id) == [
        "account_registered",
        "login_succeeded",
        "login_succeeded",
        "login_failed",
        "api_key_created",
        "api_key_revoked",
        "refresh_token_reused",
        "logged_out",
        "login_succeeded",
        "password_changed",
        "login_failed",
        "account_deleted",
    ]
    log = log_of(admin, account.id)
    logout = next(each for each in log if each["event"] == "logged_out")
    assert (logout["address"], logout["request_id"]) == ("127.0.0.1", "the-logout")
    created = next(each for each in log if each["event"] == "api_key_created")
    assert created["detail"] == {"key_id": key["id"], "scopes": ["search"]}
    failed = [each["detail"] for each in log if each["event"] == "login_failed"]
    assert failed == [{"for": "account_deletion"}, {"for": "login"}]
    # And nothing that is a secret or a name
    told = str(log)
    secrets = (account.email, PASSWORD, key["key"], account.refresh, refreshed["access_token"])
    for secret in (*secrets, "secret-name", "wrong password"):
        assert secret not in told


def test_a_login_to_no_account_names_nobody(api: Api, admin: Account) -> None:
    email = f"nobody-{uuid4().hex}@example.org"
    answer = api.call("POST", "/v1/auth/login", {"email": email, "password": PASSWORD})
    answer_id = answer.headers["X-Request-ID"]
    with api.owner.connect() as connection:
        row = connection.execute(
            select(*AuditEvent.__table__.columns).where(AuditEvent.request_id == answer_id)
        ).one()
    assert (row.event, row.user_id, row.detail) == ("login_failed", None, {"for": "login"})


def test_a_role_that_changes_is_told(api: Api, admin: Account) -> None:
    contributor = api.account("contributor")
    [changed] = log_of(admin, contributor.id, event="role_changed")
    assert changed["detail"] == {"from": "user", "to": "contributor"}
    assert (changed["address"], changed["request_id"]) == (None, None)


def test_what_was_published_is_recorded_with_its_files(api: Api, admin: Account) -> None:
    contributor = api.account("contributor")
    # When files are reserved as public, one or several, and another one is published later
    one = contributor.reserve(visibility="public")["file"]["id"]
    new = {"name": "a.txt", "size_bytes": 5}
    many = contributor.post(
        "/v1/files/bulk",
        {"files": [{**new, "visibility": "public"}, new, {**new, "name": "b.txt"}]},
    )
    assert many.status_code == 200, many.text
    assert many.json is not None
    public, private, _ = (each["file"]["id"] for each in many.json["items"])
    assert (
        contributor.call("PATCH", f"/v1/files/{private}", {"visibility": "public"}).status_code
        == 200
    )
    assert (
        contributor.call("PATCH", f"/v1/files/{private}", {"visibility": "private"}).status_code
        == 200
    )
    # Then there is an event for each request that published, and for nothing else
    events = log_of(admin, contributor.id, event="file_published")
    assert [each["detail"]["file_ids"] for each in events] == [[private], [public], [one]]


def test_pages_follow_each_other_without_gap_or_repetition(api: Api, admin: Account) -> None:
    nobody = uuid4()
    with api.owner.begin() as connection:
        for number in range(5):
            audit.record(
                connection,
                Event.FILE_PUBLISHED,
                user_id=nobody,
                detail={"number": number},
                **audit.NO_REQUEST,
            )
    query = {"user_id": str(nobody), "limit": 2}
    seen, cursor = [], None
    while True:
        page = body(
            admin.get(
                "/v1/admin/audit",
                query_string={**query, **({"cursor": cursor} if cursor else {})},
            )
        )
        seen += [each["id"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["items"]) == 2
    assert len(seen) == len(set(seen)) == 5
    assert log_of(admin, nobody, event="login_failed") == []
    assert len(log_of(admin, nobody, event="file_published")) == 5


def test_wrong_parameters_are_named(admin: Account) -> None:
    for query in ({"event": "nothing"}, {"user_id": "x"}, {"limit": 201}, {"cursor": "x"}):
        answer = admin.get("/v1/admin/audit", query_string=query)
        problem(answer, 422, "validation_failed")


def test_only_admins_read_it(api: Api, account: Account) -> None:
    problem(account.get("/v1/admin/audit"), 403, "forbidden")
    problem(api.account("contributor").get("/v1/admin/audit"), 403, "forbidden")
