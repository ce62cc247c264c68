"""API keys: what they may do, until when, and that nobody else learns of them."""

import hashlib
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, func, select, text, update
from werkzeug.test import TestResponse

from docmill_api.key_scopes import needed
from docmill_shared import api_keys
from docmill_shared.api_keys import KeyScope
from docmill_shared.schema import ApiKey
from tests.integration.api.driver import Account, Api, problem

ALL = [str(each) for each in KeyScope]


def create(account: Account, *scopes: str, **fields: Any) -> Any:
    answer = account.post("/v1/api-keys", {"name": "k", "scopes": scopes or ALL, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json


def with_key(api: Api, key: str, method: str, path: str, body: object = None) -> TestResponse:
    return api.call(method, path, body, headers={"Authorization": f"Bearer {key}"})


def change(api: Api, key_id: str, **values: object) -> None:
    with api.owner.begin() as connection:
        connection.execute(update(ApiKey).where(ApiKey.id == UUID(key_id)).values(**values))


def last_use(api: Api, key_id: str) -> Any:
    with api.owner.connect() as connection:
        return connection.execute(
            select(ApiKey.last_used_at).where(ApiKey.id == UUID(key_id))
        ).scalar_one()


def test_a_key_is_shown_once_and_stored_as_its_hash(api: Api, account: Account) -> None:
    made = create(account, "search", "files:read", "search", expires_in_days=30)
    key = made.pop("key")
    assert len(key) == 47
    assert key.startswith(made["prefix"])
    assert made["scopes"] == ["files:read", "search"]
    assert made["expires_at"] is not None
    # Then only its owner finds it, without the key
    listed = account.get("/v1/api-keys")
    assert listed.json == {"items": [made]}
    assert key not in listed.text
    assert api.account().get("/v1/api-keys").json == {"items": []}
    with api.owner.connect() as connection:
        row = connection.execute(
            select(*ApiKey.__table__.columns).where(ApiKey.id == UUID(made["id"]))
        ).one()
    assert row.key_sha256 == hashlib.sha256(key.encode()).digest()
    assert key not in str(row)


def test_a_key_does_what_its_scopes_say_and_nothing_else(api: Api, account: Account) -> None:
    file_id = api.file_with_chunks(account, ["a passage"])
    requests = [
        ("files:read", "GET", "/v1/files", None, 200),
        ("files:read", "GET", f"/v1/files/{file_id}", None, 200),
        ("files:read", "HEAD", f"/v1/files/{file_id}", None, 200),
        ("files:write", "POST", f"/v1/files/{uuid4()}/confirm", None, 404),
        ("files:write", "DELETE", f"/v1/files/{uuid4()}", None, 404),
        ("search", "POST", "/v1/search", {"query": "passage", "mode": "text"}, 200),
    ]
    for scope in ALL:
        key = create(account, scope)["key"]
        for wanted, method, path, body, status in requests:
            answer = with_key(api, key, method, path, body)
            if scope == wanted:
                assert answer.status_code == status, answer.text
            elif method == "HEAD":
                assert answer.status_code == 403
            else:
                assert wanted in problem(answer, 403, "insufficient_scope")["detail"]
                assert answer.headers["WWW-Authenticate"] == (
                    f'Bearer error="insufficient_scope", scope="{wanted}"'
                )


def test_a_key_sees_its_own_account_only(api: Api, account: Account) -> None:
    others = api.file_with_chunks(api.account(), ["theirs"])
    key = create(account)["key"]
    problem(with_key(api, key, "GET", f"/v1/files/{others}"), 404, "file_not_found")


def test_no_key_is_good_for_accounts_keys_and_operators(api: Api, admin: Account) -> None:
    made = create(admin)
    requests = [
        ("GET", "/v1/me"),
        ("POST", "/v1/auth/logout"),
        ("GET", "/v1/api-keys"),
        ("POST", "/v1/api-keys"),
        ("DELETE", f"/v1/api-keys/{made['id']}"),
        ("GET", "/v1/admin/jobs"),
    ]
    for method, path in requests:
        body = {"name": "x", "scopes": ALL} if method == "POST" and "keys" in path else None
        problem(with_key(api, made["key"], method, path, body), 403, "api_key_not_allowed")


def test_a_revoked_key_is_refused_at_once_and_frees_its_place(api: Api, account: Account) -> None:
    made = create(account)
    problem(api.account().delete(f"/v1/api-keys/{made['id']}"), 404, "api_key_not_found")
    assert with_key(api, made["key"], "GET", "/v1/files").status_code == 200
    assert account.delete(f"/v1/api-keys/{made['id']}").status_code == 204
    problem(with_key(api, made["key"], "GET", "/v1/files"), 401, "api_key_revoked")
    problem(account.delete(f"/v1/api-keys/{made['id']}"), 404, "api_key_not_found")
    assert account.get("/v1/api-keys").json == {"items": []}


def test_an_expired_key_is_refused_and_is_not_used(api: Api, account: Account) -> None:
    made = create(account, expires_in_days=1)
    change(api, made["id"], expires_at=func.now())
    answer = with_key(api, made["key"], "GET", "/v1/files")
    problem(answer, 401, "api_key_expired")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert last_use(api, made["id"]) is None


@pytest.mark.parametrize("forge", ["wrong", "dmk_", "altered", "longer", "as text", "not ascii"])
def test_what_is_no_key_is_refused(api: Api, account: Account, forge: str) -> None:
    key = create(account)["key"]
    forged = {
        "wrong": "dmk_" + "A" * 43,
        "dmk_": "dmk_",
        "altered": key[:-1] + ("A" if key[-1] != "A" else "B"),
        "longer": key + "A",
        "as text": f"dmk_' or '1'='1{'-' * 30}",
        "not ascii": "dmk_" + "é" * 43,
    }[forge]
    problem(with_key(api, forged, "GET", "/v1/files"), 401, "invalid_api_key")


def test_an_account_has_fifty_keys(api: Api, account: Account) -> None:
    with api.owner.begin() as connection:
        connection.execute(
            text(
                "insert into api_keys (id, user_id, name, prefix, key_sha256, scopes) select"
                " gen_random_uuid(), :user, 'k', 'dmk_', decode(md5(random()::text), 'hex'), '{}'"
                " from generate_series(1, :count)"
            ),
            {"user": account.id, "count": api_keys.MOST_KEYS - 1},
        )
    made = create(account)
    body = {"name": "k", "scopes": ALL}
    problem(account.post("/v1/api-keys", body), 409, "too_many_api_keys")
    account.delete(f"/v1/api-keys/{made['id']}")
    create(account)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["files"]}, "scopes.0"),
        ({"scopes": ["admin"]}, "scopes.0"),
        ({"name": ""}, "name"),
        ({"name": "a\u0000"}, "name"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": 10**9}, "expires_in_days"),
        ({"key": "dmk_mine"}, "key"),
    ],
)
def test_a_wrong_field_is_named(account: Account, fields: Any, field: str) -> None:
    answer = account.post("/v1/api-keys", {"name": "k", "scopes": ALL, **fields})
    details = problem(answer, 422, "validation_failed")
    assert [each["field"] for each in details["errors"]] == [field]


def test_use_is_noted_once_a_minute_in_the_one_statement_of_authentication(
    api: Api, account: Account
) -> None:
    made = create(account)
    statements: list[str] = []

    def count(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(api.resources.engine, "before_cursor_execute", count)
    try:
        # A request that goes no further than its scope
        account_route = ("GET", "/v1/me")
        for _ in range(3):
            problem(with_key(api, made["key"], *account_route), 403, "api_key_not_allowed")
    finally:
        event.remove(api.resources.engine, "before_cursor_execute", count)
    assert len(statements) == 3
    # Then the first of them was noted; a later one is when a minute has gone by
    first = last_use(api, made["id"])
    assert first is not None
    change(api, made["id"], last_used_at=func.now() - text("interval '45 seconds'"))
    before = last_use(api, made["id"])
    with_key(api, made["key"], "GET", "/v1/files")
    assert last_use(api, made["id"]) == before
    change(api, made["id"], last_used_at=func.now() - text("interval '61 seconds'"))
    with_key(api, made["key"], "GET", "/v1/files")
    assert last_use(api, made["id"]) > before


def test_a_request_does_not_wait_for_another_that_notes_the_use(api: Api, account: Account) -> None:
    made = create(account)
    with api.owner.begin() as connection:
        connection.execute(select(ApiKey.id).where(ApiKey.id == UUID(made["id"])).with_for_update())
        # The row is locked by somebody; a wait would end in the statement's timeout
        assert with_key(api, made["key"], "GET", "/v1/files").status_code == 200
    assert last_use(api, made["id"]) is None


def test_the_document_names_the_scope_of_every_operation(api: Api) -> None:
    document: Any = api.call("GET", "/openapi.json").json
    assert set(document["components"]["securitySchemes"]) == {"bearer", "api_key"}
    paths = document["paths"]
    assert paths["/v1/files"]["get"]["security"] == [{"bearer": []}, {"api_key": ["files:read"]}]
    assert paths["/v1/files"]["post"]["security"] == [{"bearer": []}, {"api_key": ["files:write"]}]
    assert paths["/v1/search"]["post"]["security"] == [{"bearer": []}, {"api_key": ["search"]}]
    assert paths["/v1/me"]["get"]["security"] == [{"bearer": []}]


def test_scopes_by_method() -> None:
    assert needed("files", "GET") == needed("files", "head") == KeyScope.FILES_READ
    assert {needed("files", each) for each in ("POST", "PUT", "PATCH", "DELETE")} == {
        KeyScope.FILES_WRITE
    }
    assert needed("webhooks", "GET") == needed("webhooks", "DELETE") == KeyScope.WEBHOOKS
