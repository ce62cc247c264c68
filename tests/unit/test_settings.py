"""Settings: a bad value is one clear sentence that names the variable and never a secret."""

import pytest

from docmill_api.settings import ApiSettings
from docmill_ingest.settings import IngestSettings
from docmill_janitor.settings import JanitorSettings
from docmill_shared.errors import ConfigurationError
from tests.settings_fields import fields, variables

GOOD = {
    "DATABASE_URL": "postgresql://docmill:4b1d9c27e0f85a36@localhost/docmill",
    "API_DATABASE_URL": "postgresql://docmill:4b1d9c27e0f85a36@localhost/docmill",
    "REDIS_URL": "redis://localhost:6379/0",
    "S3_ENDPOINT": "http://localhost:9000/",
    "S3_ACCESS_KEY": "access",
    "S3_SECRET_KEY": "0c5f7e91b2d846a3",
    "JWT_SECRET": "Vq3!unlikely-enough-for-anybody-to-guess",
}


@pytest.fixture(autouse=True)
def good_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("kind", [ApiSettings, IngestSettings, JanitorSettings])
def test_the_defaults_need_only_addresses_and_secrets(kind: type[IngestSettings]) -> None:
    settings = kind.load()
    assert (
        settings.database_url == "postgresql+psycopg://docmill:4b1d9c27e0f85a36@localhost/docmill"
    )
    assert settings.s3_endpoint == "http://localhost:9000"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DATABASE_URL", "", "DATABASE_URL is not set"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL is wrong: must start with postgresql://"),
        ("REDIS_URL", "localhost", "REDIS_URL is wrong"),
        ("S3_ENDPOINT", "localhost:9000", "S3_ENDPOINT is wrong: must start with http://"),
        ("CHUNK_CHARACTERS", "many", "CHUNK_CHARACTERS is wrong: input should be a valid integer"),
        ("CHUNK_OVERLAP", "900", "CHUNK_OVERLAP is wrong: it must be at most half"),
        ("EMBEDDING_PROVIDER", "gemini", "GEMINI_API_KEY is not set, but EMBEDDING_PROVIDER"),
        ("EMBEDDING_PROVIDER", "openai", "EMBEDDING_PROVIDER is wrong"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL is wrong"),
    ],
)
def test_a_bad_value_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        IngestSettings.load()
    message = str(caught.value)
    assert message.startswith(sentence)
    assert message.endswith("See .env.example.")
    assert "\n" not in message
    assert "0c5f7e91b2d846a3" not in message


def test_settings_are_frozen() -> None:
    settings = IngestSettings.load()
    with pytest.raises(Exception, match="frozen"):
        settings.chunk_overlap = 1  # type: ignore[misc]


def test_secrets_do_not_show() -> None:
    shown = f"{ApiSettings.load()!r} {IngestSettings.load()!r}"
    assert GOOD["S3_SECRET_KEY"] not in shown
    assert GOOD["JWT_SECRET"] not in shown


@pytest.mark.parametrize(
    ("key", "provider", "expected"),
    [("", "auto", "local"), ("k", "auto", "gemini"), ("k", "local", "local")],
)
def test_auto_follows_the_key(
    monkeypatch: pytest.MonkeyPatch, key: str, provider: str, expected: str
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", key)
    monkeypatch.setenv("EMBEDDING_PROVIDER", provider)
    assert IngestSettings.load().provider == expected


def test_every_setting_is_described() -> None:
    for name, field in fields().items():
        assert field.description, f"{name} has no description"
        assert field.description[0].isupper() or field.description[0] == "`", name
