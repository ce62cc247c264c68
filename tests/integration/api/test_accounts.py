"""Accounts, sessions and tokens."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, select, update

from docmill_api import passwords
from docmill_shared.schema import RefreshToken, RevokedToken, User
from tests.integration.api.driver import PASSWORD, Account, Api, problem


def refresh(api: Api, token: str) -> Any:
    return api.call("POST", "/v1/auth/refresh", {"refresh_token": token})


def me(api: Api, token: str) -> Any:
    return api.call("GET", "/v1/me", headers={"Authorization": f"Bearer {token}"})


def test_an_account_logs_in_with_its_email_in_any_case(api: Api) -> None:
    email = f"Ada.{uuid4().hex}@Example.org"
    registered = api.call("POST", "/v1/auth/register", {"email": email, "password": PASSWORD})
    assert registered.status_code == 201
    assert registered.json == {
        "id": registered.json["id"],  # type: ignore[index]
        "email": email.lower(),
        "role": "user",
        "created_at": registered.json["created_at"],  # type: ignore[index]
    }
    pair = api.call(
        "POST", "/v1/auth/login", {"email": f" {email.upper()} ", "password": PASSWORD}
    ).json
    assert pair is not None
    assert (pair["token_type"], pair["expires_in"]) == ("Bearer", 900)
    assert me(api, pair["access_token"]).json == registered.json
    assert "password" not in registered.text


def test_a_taken_email_is_refused(api: Api, account: Account) -> None:
    again = {"email": account.email.upper(), "password": PASSWORD}
    problem(api.call("POST", "/v1/auth/register", again), 409, "email_taken")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"password": "short-pw!"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"password": "\ud800" * 10}, "password"),
        ({"email": "nobody"}, "email"),
        ({"email": "a b@example.org"}, "email"),
        ({"email": "a\u0000@example.org"}, "email"),
        ({"email": "a\n@example.org"}, "email"),
        ({"email": "x" * 250 + "@example.org"}, "email"),
        ({"role": "admin"}, "role"),
    ],
)
def test_a_wrong_field_is_named_and_not_repeated(
    api: Api, fields: dict[str, str], field: str
) -> None:
    body = {"email": "ada@example.org", "password": PASSWORD, **fields}
    answer = api.call("POST", "/v1/auth/register", body)
    details = problem(answer, 422, "validation_failed")
    assert [each["field"] for each in details["errors"]] == [field]
    assert body["password"] not in answer.text


def test_the_password_is_stored_as_argon2id(api: Api, account: Account) -> None:
    with api.owner.connect() as connection:
        stored = connection.execute(
            select(User.password_hash).where(User.id == account.id)
        ).scalar_one()
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_weaker_hash_is_replaced_at_login(api: Api, account: Account) -> None:
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with api.owner.begin() as connection:
        connection.execute(update(User).where(User.id == account.id).values(password_hash=weak))
    credentials = {"email": account.email, "password": PASSWORD}
    assert api.call("POST", "/v1/auth/login", credentials).status_code == 200
    with api.owner.connect() as connection:
        stored = connection.execute(
            select(User.password_hash).where(User.id == account.id)
        ).scalar_one()
    assert not passwords.is_outdated(stored)
    assert api.call("POST", "/v1/auth/login", credentials).status_code == 200


def test_a_login_does_not_tell_whether_the_account_exists(
    api: Api, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a count of the costly work
    verified: list[str] = []
    hasher = passwords._hasher

    class Counting:
        def verify(self, stored: str, password: str) -> bool:
            verified.append(stored.rpartition("p=1$")[0])
            return hasher.verify(stored, password)

    monkeypatch.setattr(passwords, "_hasher", Counting())
    # When one logs in with a wrong password, and to an account that does not exist
    wrong = {"email": account.email, "password": "wrong password"}
    nobody = {"email": "nobody@example.org", "password": "wrong password"}
    first = problem(api.call("POST", "/v1/auth/login", wrong), 401, "invalid_credentials")
    second = problem(api.call("POST", "/v1/auth/login", nobody), 401, "invalid_credentials")
    # Then answer and work are the same
    assert {**first, "request_id": ""} == {**second, "request_id": ""}
    assert len(verified) == 2
    assert verified[0] == verified[1]


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "Bearer", "Bearer  "])
def test_a_token_is_required(api: Api, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for method, path in (("GET", "/v1/me"), ("POST", "/v1/files"), ("POST", "/v1/search")):
        answer = api.call(method, path, headers=headers)
        problem(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_logging_out_ends_the_whole_session_and_no_other(api: Api, account: Account) -> None:
    # Given two sessions, one of them refreshed once
    credentials = {"email": account.email, "password": PASSWORD}
    other = api.call("POST", "/v1/auth/login", credentials).json
    assert other is not None
    second = refresh(api, account.refresh).json
    # When that one logs out
    answer = api.call(
        "POST", "/v1/auth/logout", headers={"Authorization": f"Bearer {second['access_token']}"}
    )
    assert (answer.status_code, answer.data) == (204, b"")
    # Then none of its tokens works any longer, and the other session does
    problem(me(api, second["access_token"]), 401, "token_revoked")
    problem(me(api, account.access), 401, "token_revoked")
    problem(refresh(api, second["refresh_token"]), 401, "invalid_refresh_token")
    assert me(api, other["access_token"]).status_code == 200
    assert refresh(api, other["refresh_token"]).status_code == 200


def test_revocations_are_kept_until_the_tokens_expire_and_no_longer(
    api: Api, account: Account
) -> None:
    token = api.resources.access_tokens.verify(account.access)
    account.post("/v1/auth/logout")
    with api.owner.connect() as connection:
        expiries = connection.execute(
            select(RevokedToken.expires_at).where(
                RevokedToken.jti.in_([token.jti, token.session_id])
            )
        ).scalars()
        left = [expiry - datetime.now(UTC) for expiry in expiries]
    assert len(left) == 2
    assert all(timedelta(minutes=14) < each < timedelta(minutes=16) for each in left)


def test_refresh_tokens_rotate(api: Api, account: Account) -> None:
    pair = refresh(api, account.refresh).json
    assert pair["refresh_token"] != account.refresh
    assert me(api, pair["access_token"]).status_code == 200
    assert refresh(api, pair["refresh_token"]).status_code == 200


def test_using_a_refresh_token_twice_ends_the_session(api: Api, account: Account) -> None:
    # Given a refresh token that a thief used first
    stolen = refresh(api, account.refresh).json
    # When its owner uses it
    problem(refresh(api, account.refresh), 401, "invalid_refresh_token")
    # Then the thief has nothing left either
    problem(refresh(api, stolen["refresh_token"]), 401, "invalid_refresh_token")
    problem(me(api, stolen["access_token"]), 401, "token_revoked")


def test_a_successor_made_while_its_family_was_revoked_is_refused(
    api: Api, account: Account
) -> None:
    pair = refresh(api, account.refresh).json
    # As a revocation leaves it that did not see the successor yet
    with api.owner.begin() as connection:
        connection.execute(
            update(RefreshToken)
            .where(RefreshToken.user_id == account.id, RefreshToken.used_at.is_not(None))
            .values(revoked_at=func.now())
        )
    problem(refresh(api, pair["refresh_token"]), 401, "invalid_refresh_token")


def test_expired_and_unknown_refresh_tokens_are_refused(api: Api, account: Account) -> None:
    with api.owner.begin() as connection:
        connection.execute(
            update(RefreshToken)
            .where(RefreshToken.user_id == account.id)
            .values(expires_at=func.now())
        )
    problem(refresh(api, account.refresh), 401, "invalid_refresh_token")
    problem(refresh(api, "x"), 401, "invalid_refresh_token")
    problem(refresh(api, "\ud800"), 422, "validation_failed")


def test_the_token_of_a_removed_account_is_refused(api: Api, account: Account) -> None:
    with api.owner.begin() as connection:
        connection.execute(delete(User).where(User.id == account.id))
    problem(me(api, account.access), 401, "invalid_token")
