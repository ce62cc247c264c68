"""Accounts of people whom an identity provider knows, and what happens when it is away."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import delete, select, update
from werkzeug.test import TestResponse

from docmill_api import signing_keys
from docmill_api.resources import Resources
from docmill_shared.schema import User
from tests.fakes.identity_provider import IdentityProvider, jwk
from tests.integration.api.driver import PASSWORD, Account, Api, problem, settings_from

SUBJECT = "somebody"


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """An identity provider."""
    running = IdentityProvider()
    yield running
    running.stop()


@pytest.fixture
def trusting(
    api: Api, api_environment: dict[str, str], provider: IdentityProvider
) -> Iterator[Api]:
    """An api that takes the provider's tokens, and has not asked for its keys yet."""
    resources = Resources.from_settings(settings_from(api_environment, **provider.settings()))
    yield Api(resources, api.owner)
    resources.close()


@pytest.fixture(autouse=True)
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are not fetched again, however slow the machine is."""
    monkeypatch.setattr(signing_keys, "_PAUSE_SECONDS", 600.0)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch, long_pause: None) -> None:
    """Keys may be fetched again at once."""
    monkeypatch.setattr(signing_keys, "_PAUSE_SECONDS", 0.0)


def call(api: Api, token: str, method: str = "GET", path: str = "/v1/me", body: Any = None) -> Any:
    return api.call(method, path, body, headers={"Authorization": f"Bearer {token}"})


def account_of(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    return dict(answer.json)


def test_the_first_token_makes_the_account_and_the_next_finds_it(
    trusting: Api, provider: IdentityProvider
) -> None:
    claims = {"sub": "ada", "email": "Ada@Example.com "}
    first = account_of(call(trusting, provider.token(**claims)))
    assert (first["email"], first["role"]) == ("ada@example.com", "user")
    # Another algorithm, another address at the provider: the subject counts, and nothing follows
    claims["email"] = "ada.new@example.com"
    assert account_of(call(trusting, provider.token("ES256", **claims))) == first
    assert account_of(call(trusting, provider.token(sub="bob")))["id"] != first["id"]
    # It does what every account does
    reserved = call(
        trusting,
        provider.token(**claims),
        "POST",
        "/v1/api-keys",
        {"name": "k", "scopes": ["search"]},
    )
    assert reserved.status_code == 201


def test_first_requests_at_the_same_time_make_one_account(
    trusting: Api, provider: IdentityProvider
) -> None:
    tokens = [provider.token(sub="eve", email="eve@example.com") for _ in range(4)]
    call(trusting, provider.token())
    with ThreadPoolExecutor(4) as threads:
        found = [
            account_of(each)["id"] for each in threads.map(lambda t: call(trusting, t), tokens)
        ]
    assert len(set(found)) == 1


def test_an_email_that_somebody_has_here_is_not_linked(
    trusting: Api, provider: IdentityProvider
) -> None:
    victim = trusting.account()
    for email in (victim.email, victim.email.upper()):
        answer = call(trusting, provider.token(email=email))
        problem(answer, 403, "account_not_linked")
    problem(call(trusting, provider.token(email=None)), 403, "email_missing")
    problem(call(trusting, provider.token(email_verified=False)), 403, "email_missing")
    problem(call(trusting, provider.token(email_verified="true")), 403, "email_missing")
    problem(call(trusting, provider.token(email="a\ud800@example.com")), 403, "email_missing")
    assert victim.get("/v1/me").status_code == 200


def test_an_external_account_has_no_password(trusting: Api, provider: IdentityProvider) -> None:
    token = provider.token(email="pat@example.com")
    account_of(call(trusting, token))
    for password in (PASSWORD, "-", " "):
        credentials = {"email": "pat@example.com", "password": password}
        answer = trusting.call("POST", "/v1/auth/login", credentials)
        problem(answer, 401, "invalid_credentials")
    body = {"current_password": PASSWORD, "new_password": PASSWORD + "!"}
    problem(call(trusting, token, "POST", "/v1/me/password", body), 409, "no_password")


def test_logging_out_ends_the_token(trusting: Api, provider: IdentityProvider) -> None:
    token, other = provider.token(sub=SUBJECT), provider.token(sub=SUBJECT)
    assert call(trusting, token, "POST", "/v1/auth/logout").status_code == 204
    problem(call(trusting, token), 401, "token_revoked")
    assert call(trusting, other).status_code == 200


def test_deleting_the_account_needs_a_young_token_and_the_token_makes_no_new_one(
    trusting: Api, provider: IdentityProvider
) -> None:
    claims: dict[str, Any] = {"sub": "leaving", "email": "leaving@example.com"}
    old = provider.token(**claims, iat=datetime.now(UTC) - timedelta(minutes=11))
    young = provider.token(**claims)
    account = account_of(call(trusting, old))
    problem(call(trusting, old, "DELETE", "/v1/me", {}), 403, "sign_in_again")
    assert call(trusting, young, "DELETE", "/v1/me", {}).status_code == 204
    for token in (young, old, provider.token(**claims)):
        assert call(trusting, token).status_code == 401
    # Once the janitor has removed the row, that token still is revoked; signing in begins anew
    with trusting.owner.begin() as connection:
        connection.execute(delete(User).where(User.id == UUID(account["id"])))
    problem(call(trusting, young), 401, "token_revoked")
    assert account_of(call(trusting, provider.token(**claims)))["id"] != account["id"]


def test_tokens_from_before_an_end_of_all_sessions_are_refused(
    trusting: Api, provider: IdentityProvider
) -> None:
    now = datetime.now(UTC)
    old = provider.token(sub="sam", email="sam@example.com", iat=now - timedelta(minutes=2))
    account = account_of(call(trusting, old))
    with trusting.owner.begin() as connection:
        connection.execute(
            update(User)
            .where(User.id == UUID(account["id"]))
            .values(tokens_valid_from=now - timedelta(minutes=1))
        )
    problem(call(trusting, old), 401, "token_revoked")
    assert call(trusting, provider.token(sub="sam")).status_code == 200


def test_a_deleted_local_account_leaves_its_email_to_the_provider(
    trusting: Api, provider: IdentityProvider
) -> None:
    account = trusting.account()
    assert account.call("DELETE", "/v1/me", {"password": PASSWORD}).status_code == 204
    found = account_of(call(trusting, provider.token(email=account.email)))
    assert found["id"] != str(account.id)


# --- The keys ---


def test_keys_are_fetched_once_whatever_strangers_send(
    trusting: Api, provider: IdentityProvider
) -> None:
    import jwt

    assert call(trusting, provider.token()).status_code == 200
    for number in range(20):
        claims, headers = provider.claims(), {"kid": f"unknown-{number}"}
        token = jwt.encode(claims, provider.rsa_key, algorithm="RS256", headers=headers)
        problem(call(trusting, token), 401, "invalid_token")
    assert call(trusting, provider.token()).status_code == 200
    assert provider.fetches == 1


def test_a_new_key_is_found_after_the_pause(
    trusting: Api, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jwt

    old = provider.token()
    assert call(trusting, old).status_code == 200
    fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    provider.keys = [jwk(fresh, "fresh")]
    token = jwt.encode(provider.claims(), fresh, algorithm="RS256", headers={"kid": "fresh"})
    problem(call(trusting, token), 401, "invalid_token")
    monkeypatch.setattr(signing_keys, "_PAUSE_SECONDS", 0.0)
    assert call(trusting, token).status_code == 200
    # What the provider has taken out is not believed any more
    problem(call(trusting, old), 401, "invalid_token")


def test_a_provider_that_is_away_is_503_and_our_own_tokens_go_on(
    trusting: Api, provider: IdentityProvider
) -> None:
    provider.away = True
    own = trusting.account()
    for _ in range(3):
        answer = call(trusting, provider.token())
        problem(answer, 503, "identity_provider_unavailable")
        assert answer.headers["Retry-After"]
        assert own.get("/v1/me").status_code == 200
    assert provider.fetches == 1


@pytest.mark.usefixtures("no_pause")
def test_keys_serve_on_for_a_while_when_the_provider_goes(
    trusting: Api, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(trusting, provider.token()).status_code == 200
    provider.away = True
    monkeypatch.setattr(signing_keys, "_FRESH_SECONDS", 0.0)
    assert call(trusting, provider.token()).status_code == 200
    monkeypatch.setattr(signing_keys, "_GOOD_SECONDS", 0.0)
    problem(call(trusting, provider.token()), 503, "identity_provider_unavailable")
    # And when it comes back, all is as before
    provider.away = False
    monkeypatch.setattr(signing_keys, "_GOOD_SECONDS", 900.0)
    assert call(trusting, provider.token()).status_code == 200


def test_a_provider_that_hangs_holds_one_request_and_no_other_for_long(
    api: Api,
    api_environment: dict[str, str],
    provider: IdentityProvider,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., None],
) -> None:
    # Given a provider that takes a request and does not answer it while this test goes on
    monkeypatch.setattr(signing_keys, "_TIMEOUT_SECONDS", 120.0)
    monkeypatch.setattr(signing_keys, "_WAIT_SECONDS", 0.1)
    resources = Resources.from_settings(settings_from(api_environment, **provider.settings()))
    trusting = Api(resources, api.owner)
    own: Account = trusting.account()
    provider.gate.clear()
    first, *others = (provider.token() for _ in range(6))
    with ThreadPoolExecutor(6) as threads:
        held = threads.submit(call, trusting, first)
        eventually(lambda: provider.fetches == 1, what="the keys are being fetched")
        # When others come meanwhile
        answers = list(threads.map(lambda token: call(trusting, token), others))
        # Then they are told so, and whoever has a token of ours notices nothing
        for answer in answers:
            problem(answer, 503, "identity_provider_unavailable")
        assert own.get("/v1/me").status_code == 200
        assert not held.done()
        # And the one that asked has its answer as soon as the provider gives one
        provider.gate.set()
        assert held.result().status_code == 200
    assert provider.fetches == 1
    resources.close()


def test_a_provider_that_hangs_is_given_up(trusting: Api, provider: IdentityProvider) -> None:
    provider.gate.clear()
    problem(call(trusting, provider.token()), 503, "identity_provider_unavailable")
    assert not provider.gate.is_set()
    assert provider.fetches == 1


@pytest.mark.parametrize("keys", ["[]", "none", "broken"])
def test_a_key_set_without_keys_is_as_good_as_away(
    trusting: Api, provider: IdentityProvider, keys: str
) -> None:
    provider.keys = {  # type: ignore[assignment]
        "[]": [],
        "none": None,
        "broken": [{"kty": "RSA", "kid": "rsa", "n": "!", "e": "AQAB"}],
    }[keys]
    problem(call(trusting, provider.token()), 503, "identity_provider_unavailable")


def test_an_external_account_is_stored_as_the_provider_knows_it(
    trusting: Api, provider: IdentityProvider
) -> None:
    account = account_of(call(trusting, provider.token(sub="auth0|42", email="x@example.com")))
    with trusting.owner.connect() as connection:
        row = connection.execute(
            select(User.external_issuer, User.external_subject).where(
                User.id == UUID(account["id"])
            )
        ).one()
    assert tuple(row) == (provider.issuer, "auth0|42")
