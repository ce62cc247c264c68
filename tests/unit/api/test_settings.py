"""The api's settings: what is refused, and in which words."""

import pytest

from docmill_api.settings import ApiSettings
from docmill_shared.errors import ConfigurationError

# Made once by the commands that people use: openssl rand -hex 32, secrets.token_urlsafe(32).
HEXADECIMAL = "6f1d0c9b8a7e4d3c2b1a09f8e7d6c5b4a3928170f6e5d4c3b2a1908f7e6d5c4b"
URL_SAFE = "q7W_x2LrT9-ZbN4kVh8mJ0sYcE5uPdA1gRfO3iKwX6M"

GOOD = {
    "DATABASE_URL": "postgresql://u:4b1d9c27e0f85a36@localhost/d",
    "API_DATABASE_URL": "postgresql://u:4b1d9c27e0f85a36@localhost/d",
    "REDIS_URL": "redis://localhost",
    "S3_ENDPOINT": "http://localhost:9000",
    "S3_ACCESS_KEY": "a",
    "S3_SECRET_KEY": "0c5f7e91b2d846a3",
    "JWT_SECRET": HEXADECIMAL,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ApiSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize(
    "secret",
    [
        HEXADECIMAL,
        URL_SAFE,
        "a secret of some words that is long enough",
    ],
)
def test_a_random_secret_is_taken(environment: pytest.MonkeyPatch, secret: str) -> None:
    environment.setenv("JWT_SECRET", secret)
    settings = ApiSettings.load()
    assert settings.jwt_secret.get_secret_value() == secret
    assert secret not in repr(settings)


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("x" * 31, "at least 32 bytes"),
        (HEXADECIMAL[:31], "at least 32 bytes"),
        ("x" * 64, "placeholder"),
        ("abcdefg" * 10, "placeholder"),
        ("change-me-change-me-change-me-change-me", "placeholder"),
        ("CHANGE_ME_IN_PRODUCTION_PLEASE_9f8e7d6c", "placeholder"),
        ("your-256-bit-secret-your-256-bit-secret", "placeholder"),
        ("my-super-secret-jwt-key-0123456789-0123", "placeholder"),
        ("default-key-of-the-compose-file-01234567", "placeholder"),
    ],
)
def test_a_weak_secret_is_refused_and_not_shown(
    environment: pytest.MonkeyPatch, secret: str, sentence: str
) -> None:
    environment.setenv("JWT_SECRET", secret)
    with pytest.raises(ConfigurationError) as refusal:
        ApiSettings.load()
    assert "JWT_SECRET is wrong" in str(refusal.value)
    assert sentence in str(refusal.value)
    assert "openssl rand -hex 32" in str(refusal.value)
    assert secret not in str(refusal.value)


def test_every_missing_variable_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    for name in GOOD:
        environment.delenv(name)
    with pytest.raises(ConfigurationError) as refusal:
        ApiSettings.load()
    for name in GOOD:
        assert f"{name} is not set" in str(refusal.value)


def test_every_setting_is_described() -> None:
    assert [name for name, field in ApiSettings.model_fields.items() if not field.description] == []


def test_earlier_secrets_are_a_list_and_each_is_checked(environment: pytest.MonkeyPatch) -> None:
    assert ApiSettings.load().previous_secrets == []
    environment.setenv("JWT_PREVIOUS_SECRETS", f" {URL_SAFE},, {HEXADECIMAL} ")
    settings = ApiSettings.load()
    assert settings.previous_secrets == [URL_SAFE, HEXADECIMAL]
    assert URL_SAFE not in repr(settings)
    for wrong in ("x" * 31, "change-me-change-me-change-me-change-me"):
        environment.setenv("JWT_PREVIOUS_SECRETS", f"{URL_SAFE},{wrong}")
        with pytest.raises(ConfigurationError, match="JWT_PREVIOUS_SECRETS is wrong") as refusal:
            ApiSettings.load()
        assert wrong not in str(refusal.value)
        assert URL_SAFE not in str(refusal.value)


PROVIDER = {
    "OIDC_ISSUER": "https://login.example.org/",
    "OIDC_AUDIENCE": "docmill",
    "OIDC_JWKS_URL": "https://login.example.org/keys",
}


def test_an_identity_provider_is_known_whole_or_not_at_all(
    environment: pytest.MonkeyPatch,
) -> None:
    for name, value in PROVIDER.items():
        environment.setenv(name, value)
    assert ApiSettings.load().oidc_issuer == "https://login.example.org/"
    for name in PROVIDER:
        with environment.context() as patch:
            patch.delenv(name)
            with pytest.raises(ConfigurationError, match="belong together"):
                ApiSettings.load()


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://login.example.org/keys", True),
        ("http://127.0.0.1:8080/keys", True),
        ("http://[::1]/keys", True),
        ("http://login.example.org/keys", False),
        ("http://127.0.0.1.example.org/keys", False),
        ("file:///etc/keys", False),
        ("login.example.org/keys", False),
    ],
)
def test_keys_come_over_a_connection_that_nobody_can_change(
    environment: pytest.MonkeyPatch, url: str, good: bool
) -> None:
    for name, value in {**PROVIDER, "OIDC_JWKS_URL": url}.items():
        environment.setenv(name, value)
    if good:
        assert ApiSettings.load().oidc_jwks_url == url
    else:
        with pytest.raises(ConfigurationError, match="OIDC_JWKS_URL is wrong: must start with"):
            ApiSettings.load()
