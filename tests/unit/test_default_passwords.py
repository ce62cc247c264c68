"""No service starts with a password that everybody knows, unless it is told where it runs."""

import pytest

from docmill_api.settings import ApiSettings
from docmill_ingest.settings import IngestSettings
from docmill_janitor.settings import JanitorSettings
from docmill_shared.errors import ConfigurationError
from docmill_shared.settings import DatabaseSettings, EnvironmentSettings
from tests.settings_fields import variables

GOOD = "4b1d9c27e0f85a36"
ENVIRONMENT = {
    "DATABASE_URL": f"postgresql://docmill:{GOOD}@localhost/docmill",
    "API_DATABASE_URL": f"postgresql://docmill_api:{GOOD}@localhost/docmill",
    "REDIS_URL": f"redis://:{GOOD}@localhost",
    "S3_ENDPOINT": "http://localhost:9000",
    "S3_ACCESS_KEY": "access",
    "S3_SECRET_KEY": GOOD,
    "JWT_SECRET": "6f1d0c9b8a7e4d3c2b1a09f8e7d6c5b4a3928170f6e5d4c3b2a1908f7e6d5c4b",
}
#: What servers, guides and people set, and what is too short for anything.
WEAK = (
    "postgres",
    "docmill",
    "minioadmin",
    "minio123",
    "password",
    "changeme",
    "admin",
    "secret",
    "x",
    "4b1d9c27e0f",
    "password-password",
    "minioadmin-minioadmin",
    "aaaaaaaaaaaaaaaaaaaa",
    "your-s3-secret-key-here",
    "development-s3-key",
)
WHERE = {
    "DATABASE_URL": "postgresql://docmill:{}@localhost/docmill",
    "API_DATABASE_URL": "postgresql://docmill_api:{}@localhost/docmill",
    "REDIS_URL": "redis://:{}@localhost",
    "S3_SECRET_KEY": "{}",
}
SERVICES: dict[type[EnvironmentSettings], set[str]] = {
    ApiSettings: {"API_DATABASE_URL", "REDIS_URL", "S3_SECRET_KEY"},
    IngestSettings: {"DATABASE_URL", "REDIS_URL", "S3_SECRET_KEY"},
    JanitorSettings: {"DATABASE_URL", "REDIS_URL", "S3_SECRET_KEY"},
    DatabaseSettings: {"DATABASE_URL"},  # of the migration
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("weak", WEAK)
@pytest.mark.parametrize("kind", SERVICES)
def test_a_password_that_everybody_knows_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, kind: type[EnvironmentSettings], weak: str
) -> None:
    kind.load()
    for name in SERVICES[kind]:
        with monkeypatch.context() as changed:
            changed.setenv(name, WHERE[name].format(weak))
            with pytest.raises(ConfigurationError) as refusal:
                kind.load()
        sentence = str(refusal.value)
        assert sentence.startswith(f"{name} is wrong: ")
        assert "openssl rand -hex 24" in sentence
        assert weak in {"password", "secret", "x"} or weak not in sentence


@pytest.mark.parametrize("kind", SERVICES)
def test_on_a_machine_of_ones_own_any_password_will_do(
    monkeypatch: pytest.MonkeyPatch, kind: type[EnvironmentSettings]
) -> None:
    monkeypatch.setenv("DEVELOPMENT", "true")
    for name in SERVICES[kind]:
        monkeypatch.setenv(name, WHERE[name].format("postgres"))
    kind.load()


def test_there_too_tokens_are_signed_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVELOPMENT", "true")
    monkeypatch.setenv("JWT_SECRET", "secret")
    with pytest.raises(ConfigurationError, match="JWT_SECRET is wrong"):
        ApiSettings.load()


def test_a_server_that_asks_for_no_password_is_asked_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://localhost:6379/0")
    monkeypatch.setenv("DATABASE_URL", "postgresql://docmill@/docmill?host=/var/run/postgresql")
    IngestSettings.load()


def test_a_password_with_escapes_is_judged_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # Twelve bytes when written, four when used
    monkeypatch.setenv("DATABASE_URL", "postgresql://docmill:%40%3A%2F%25@localhost/docmill")
    with pytest.raises(ConfigurationError, match="at least 12 bytes"):
        IngestSettings.load()
