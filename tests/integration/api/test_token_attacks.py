"""Tokens that somebody made up, altered, kept for too long or took from somewhere else."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from docmill_api.resources import Resources
from docmill_shared.schema import User
from tests.fakes.identity_provider import IdentityProvider, jwk
from tests.integration.api.driver import Account, Api, problem, settings_from

NEW_SECRET = "another secret of the tests that is long enough"


def me(api: Api, token: str) -> TestResponse:
    return api.call("GET", "/v1/me", headers={"Authorization": f"Bearer {token}"})


def users(api: Api) -> int:
    with api.owner.connect() as connection:
        return connection.execute(select(func.count()).select_from(User)).scalar_one()


@pytest.fixture
def variant(api: Api, api_environment: dict[str, str]) -> Iterator[Callable[..., Api]]:
    """The same place with other settings: ``variant(jwt_secret=...)``."""
    made: list[Api] = []

    def build(**changes: object) -> Api:
        settings = settings_from(api_environment, **changes)
        made.append(Api(Resources.from_settings(settings), api.owner))
        return made[-1]

    yield build
    for each in made:
        each.resources.close()


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """An identity provider."""
    running = IdentityProvider()
    yield running
    running.stop()


@pytest.fixture
def trusting(variant: Callable[..., Api], provider: IdentityProvider) -> Api:
    """An api that takes the provider's tokens."""
    return variant(**provider.settings())


# --- Our own tokens ---


def _part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def _forge(change: Callable[[dict[str, Any], dict[str, Any]], object], key: str, token: str) -> str:
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    change(header, claims)
    return jwt.encode(claims, key, algorithm="HS256", headers=header)


FORGERIES: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "unknown key": lambda header, _: header.update(kid="other"),
    "no key id": lambda header, _: header.pop("kid"),
    "other issuer": lambda _, claims: claims.update(iss="other"),
    "no id": lambda _, claims: claims.pop("jti"),
    "no session": lambda _, claims: claims.pop("sid"),
    "no expiry": lambda _, claims: claims.pop("exp"),
    "no uuid": lambda _, claims: claims.update(sub="admin"),
    "nobody": lambda _, claims: claims.update(sub=str(uuid4())),
    "from the future": lambda _, claims: claims.update(iat=claims["iat"] + 600),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_signed_token_of_another_form_is_refused(
    api: Api, account: Account, forgery: str
) -> None:
    secret = api.resources.settings.jwt_secret.get_secret_value()
    answer = me(api, _forge(FORGERIES[forgery], secret, account.access))
    problem(answer, 401, "invalid_token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_forged_tokens_are_refused(api: Api, account: Account) -> None:
    header, claims, signature = account.access.split(".")
    kid = jwt.get_unverified_header(account.access)["kid"]
    decoded = jwt.decode(account.access, options={"verify_signature": False})
    forged = [
        # alg=none, with and without the signature of another
        f"{_part({'alg': 'none', 'typ': 'JWT', 'kid': kid})}.{claims}.",
        f"{_part({'alg': 'None', 'kid': kid})}.{claims}.{signature}",
        # another algorithm, another key, an altered claim, an altered signature
        jwt.encode(
            decoded,
            api.resources.settings.jwt_secret.get_secret_value() * 2,
            algorithm="HS512",
            headers={"kid": kid},
        ),
        _forge(lambda *_: None, "x" * 32, account.access),
        f"{header}.{_part({**decoded, 'sub': str(uuid4())})}.{signature}",
        f"{header}.{claims}.{signature[:-4]}AAAA",
        # and nonsense
        "a.b.c",
        "x",
        f"{header}.{claims}",
        "é.ü.ö",
        f"{_part([1])}.{claims}.{signature}",
    ]
    for token in forged:
        problem(me(api, token), 401, "invalid_token")


def test_an_expired_token_says_so(api: Api, account: Account) -> None:
    past = int((datetime.now(UTC) - timedelta(seconds=11)).timestamp())
    secret = api.resources.settings.jwt_secret.get_secret_value()
    token = _forge(
        lambda _, claims: claims.update(exp=past, iat=past - 900), secret, account.access
    )
    problem(me(api, token), 401, "token_expired")


# --- Secrets that change ---


def test_what_an_earlier_secret_signed_is_good_and_it_signs_nothing_more(
    account: Account, variant: Callable[..., Api]
) -> None:
    old_secret = account.api.resources.settings.jwt_secret.get_secret_value()
    # Given a pod with a new secret that knows the earlier one
    rotated = variant(
        jwt_secret=NEW_SECRET,
        jwt_previous_secrets=f"{'unused-4711-secret-of-longer-ago'}, {old_secret}",
    )
    # Then it takes what was signed before, and signs with the new one
    assert me(rotated, account.access).status_code == 200
    pair: Any = rotated.call("POST", "/v1/auth/refresh", {"refresh_token": account.refresh}).json
    kid = jwt.get_unverified_header(account.access)["kid"]
    assert jwt.get_unverified_header(pair["access_token"])["kid"] != kid
    assert me(rotated, pair["access_token"]).status_code == 200
    problem(me(account.api, pair["access_token"]), 401, "invalid_token")
    # And once the earlier one is taken out, what it signed is refused
    after = variant(jwt_secret=NEW_SECRET)
    problem(me(after, account.access), 401, "invalid_token")
    assert me(after, pair["access_token"]).status_code == 200


def test_an_earlier_secret_does_not_make_a_token_live_longer(
    account: Account, variant: Callable[..., Api]
) -> None:
    old_secret = account.api.resources.settings.jwt_secret.get_secret_value()
    rotated = variant(jwt_secret=NEW_SECRET, jwt_previous_secrets=old_secret)
    past = int((datetime.now(UTC) - timedelta(seconds=11)).timestamp())
    token = _forge(lambda _, claims: claims.update(exp=past), old_secret, account.access)
    problem(me(rotated, token), 401, "token_expired")
    # The key id of one secret and the signature of the other
    forged = _forge(lambda *_: None, NEW_SECRET, account.access)
    problem(me(rotated, forged), 401, "invalid_token")


# --- An identity provider's tokens ---


def public_pem(provider: IdentityProvider) -> str:
    return (
        provider.rsa_key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def hmac_signed(claims: dict[str, Any], secret: bytes, **header: object) -> str:
    """As an attacker does it, without a library that refuses to."""
    import hashlib
    import hmac

    def part(content: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "typ": "JWT", **header}) + b"." + part(claims)
    mac = hmac.new(secret, signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def test_a_public_key_is_no_secret_of_an_hmac(trusting: Api, provider: IdentityProvider) -> None:
    claims = jwt.decode(provider.token(), options={"verify_signature": False})
    pem = public_pem(provider)
    own = trusting.resources.access_tokens
    own_kid = jwt.get_unverified_header(own.issue(uuid4(), uuid4()).encoded)["kid"]
    before = users(trusting)
    secrets = [pem, pem.strip(), json.dumps(provider.keys[0]), provider.keys[0]["n"], ""]
    for secret in secrets:
        for kid in ("rsa", "ec", own_kid):
            token = hmac_signed(claims, secret.encode(), kid=kid)
            problem(me(trusting, token), 401, "invalid_token")
    assert users(trusting) == before


def test_a_symmetric_key_of_the_provider_is_not_used(
    trusting: Api, provider: IdentityProvider
) -> None:
    secret = b"k" * 32
    encoded = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    provider.keys.append({"kty": "oct", "k": encoded, "kid": "shared", "alg": "HS256"})
    token = jwt.encode(provider.claims(), secret, algorithm="HS256", headers={"kid": "shared"})
    problem(me(trusting, token), 401, "invalid_token")
    # The others of the set are
    assert me(trusting, provider.token()).status_code == 200


def test_our_own_secret_signs_no_token_of_the_provider(
    trusting: Api, provider: IdentityProvider
) -> None:
    secret = trusting.resources.settings.jwt_secret.get_secret_value()
    kid = jwt.get_unverified_header(trusting.account().access)["kid"]
    for headers in ({"kid": kid}, {"kid": "rsa"}):
        token = jwt.encode(provider.claims(), secret, algorithm="HS256", headers=headers)
        problem(me(trusting, token), 401, "invalid_token")


def test_the_provider_signs_no_token_of_ours(trusting: Api, provider: IdentityProvider) -> None:
    victim = trusting.account()
    claims = jwt.decode(victim.access, options={"verify_signature": False})
    token = jwt.encode(claims, provider.rsa_key, algorithm="RS256", headers={"kid": "rsa"})
    problem(me(trusting, token), 401, "invalid_token")


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits long")
def test_other_algorithms_and_keys_are_refused(trusting: Api, provider: IdentityProvider) -> None:
    strangers = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    curve = ec.generate_private_key(ec.SECP384R1())
    provider.keys += [jwk(weak, "weak"), jwk(curve, "p384"), jwk(strangers, "enc", use="enc")]

    def signed(key: Any, algorithm: str, **headers: object) -> str:
        return jwt.encode(provider.claims(), key, algorithm=algorithm, headers=headers)

    good = provider.token()
    header, payload, signature = good.split(".")
    own_key = jwk(strangers, "mine")
    forged = [
        provider.token("RS512"),
        provider.token("PS256"),
        signed(strangers, "RS256", kid="rsa"),
        signed(strangers, "RS256", kid="enc"),
        signed(strangers, "RS256", kid="mine", jwk=own_key),
        signed(strangers, "RS256", kid="mine", jku=f"{provider.issuer}../evil", x5u="http://evil"),
        signed(provider.ec_key, "ES256", kid="rsa"),
        signed(provider.rsa_key, "RS256", kid="ec"),
        signed(weak, "RS256", kid="weak"),
        signed(curve, "ES384", kid="p384"),
        signed(provider.rsa_key, "RS256"),
        f"{_part({'alg': 'none', 'kid': 'rsa'})}.{payload}.",
        f"{_part({'alg': 'none', 'kid': 'rsa'})}.{payload}.{signature}",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{_part(provider.claims(iat=1, nbf=1, exp=2**40))}.{signature}",
        f"{_part({'alg': 'RS256', 'kid': ['rsa']})}.{payload}.{signature}",
    ]
    before = users(trusting)
    for token in forged:
        problem(me(trusting, token), 401, "invalid_token")
    assert users(trusting) == before
    assert me(trusting, good).status_code == 200


HOUR = timedelta(hours=1)
WRONG_CLAIMS: dict[str, Callable[[datetime], dict[str, Any]]] = {
    "another issuer": lambda _: {"iss": "http://127.0.0.1:1/"},
    "our issuer": lambda _: {"iss": "docmill"},
    "no issuer": lambda _: {"iss": None},
    "another audience": lambda _: {"aud": "another-api"},
    "other audiences": lambda _: {"aud": ["another-api", "docmill"]},
    "no audience": lambda _: {"aud": None},
    "no subject": lambda _: {"sub": None},
    "an empty subject": lambda _: {"sub": ""},
    "a long subject": lambda _: {"sub": "x" * 256},
    "a subject that nobody can store": lambda _: {"sub": "a\0b"},
    "half a character": lambda _: {"sub": "\ud800"},
    "no expiry": lambda _: {"exp": None},
    "an endless expiry": lambda _: {"exp": float("inf")},
    "an expiry beyond all calendars": lambda _: {"exp": 10**15},
    "no issue": lambda _: {"iat": None},
    "issued tomorrow": lambda now: {"iat": now + HOUR},
    "not valid yet": lambda now: {"nbf": now + HOUR},
}


@pytest.mark.parametrize("wrong", WRONG_CLAIMS)
def test_the_providers_token_of_another_form_is_refused(
    trusting: Api, provider: IdentityProvider, wrong: str
) -> None:
    token = provider.token(**WRONG_CLAIMS[wrong](datetime.now(UTC)))
    problem(me(trusting, token), 401, "invalid_token")


def test_the_providers_expired_token_says_so(trusting: Api, provider: IdentityProvider) -> None:
    now = datetime.now(UTC)
    good = provider.token(exp=now - timedelta(seconds=1))
    assert me(trusting, good).status_code == 200, "clocks may differ a little"
    problem(me(trusting, provider.token(exp=now - timedelta(seconds=15))), 401, "token_expired")


def test_without_a_provider_its_tokens_are_worth_nothing(
    api: Api, provider: IdentityProvider
) -> None:
    problem(me(api, provider.token()), 401, "invalid_token")
    assert provider.fetches == 0


def test_a_revoked_token_is_refused_in_every_way_of_writing_its_signature(
    trusting: Api, provider: IdentityProvider
) -> None:
    # Given a token without an id, signed with ES256, that was logged out
    token = provider.token("ES256", jti=None)
    headers = {"Authorization": f"Bearer {token}"}
    assert trusting.call("POST", "/v1/auth/logout", headers=headers).status_code == 204
    # When the other signature of the same claims is made: (r, n - s)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    other = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    twin = f"{signed}.{base64.urlsafe_b64encode(other).rstrip(b'=').decode()}"
    jwt.decode(twin, provider.ec_key.public_key(), algorithms=["ES256"], audience="docmill-api")
    # Then it is revoked as well
    problem(me(trusting, token), 401, "token_revoked")
    problem(me(trusting, twin), 401, "token_revoked")
