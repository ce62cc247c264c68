"""Settings: read once from the environment, checked, typed and frozen.

Every service composes the classes below with what only it needs, and calls ``load`` in its
composition root. Nothing else reads the environment. ``.env.example`` lists every variable; a
test compares the two.
"""

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from docmill_shared.errors import ConfigurationError
from docmill_shared.key_strength import (
    require_strength,
    require_strong_password,
    require_strong_url,
)


def _postgres_url(url: str) -> str:
    if url.startswith(("postgresql://", "postgres://")):
        # SQLAlchemy takes the bare scheme for psycopg2; docmill speaks through psycopg 3.
        return "postgresql+psycopg://" + url.partition("://")[2]
    if not url.startswith("postgresql+psycopg://"):
        raise ValueError("must start with postgresql://")
    return url


def _http_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return url.rstrip("/")


def _none_is_no_limit(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


PostgresUrl = Annotated[str, AfterValidator(_postgres_url), AfterValidator(require_strong_url)]
Password = Annotated[SecretStr, AfterValidator(require_strong_password)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Limit = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_none_is_no_limit)]


class EnvironmentSettings(BaseSettings):
    """The base: a field's variable is its name in capitals; its description goes to the user."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    development: bool = Field(
        False,
        description="`true` on a machine of one's own: passwords of servers may be short or "
        "defaults.",
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="`json` for machines, `console` for a terminal."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe level that is logged."
    )

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Raises:
            ConfigurationError: one sentence per wrong variable, each naming it; never a value,
                which may be a secret.
        """
        try:
            return cls()
        except ValidationError as error:
            sentences = "; ".join(_sentence(dict(problem)) for problem in error.errors())
            raise ConfigurationError(f"{sentences}. See .env.example.") from None


class DatabaseSettings(EnvironmentSettings):
    """Where Postgres is, for those that own the tables."""

    database_url: PostgresUrl = Field(
        description="Postgres with pgvector 0.8 or newer, as the role that owns the tables."
    )


class ApiDatabaseSettings(EnvironmentSettings):
    """Where Postgres is, for the api: never as the owner of the tables, who sees everything."""

    api_database_url: PostgresUrl = Field(
        description="The same database as the role docmill_api, which row-level security binds. "
        "The migration makes the login where it may."
    )

    @property
    def database_url(self) -> str:
        """The database as the api may use it."""
        return self.api_database_url


class ServiceSettings(EnvironmentSettings):
    """What every service needs beside the database: the queue and the object store."""

    database_pool_size: int = Field(
        5, ge=1, le=200, description="Connections to Postgres that one process may hold."
    )
    redis_url: Annotated[str, AfterValidator(require_strong_url)] = Field(
        description="Redis or Valkey; run it with maxmemory-policy noeviction and AOF.",
        pattern=r"^(rediss?|unix)://",
    )
    s3_endpoint: HttpUrl = Field(description="The object store, as the services reach it.")
    s3_public_endpoint: HttpUrl | None = Field(
        None, description="The same store as clients reach it; presigned URLs carry this host."
    )
    s3_access_key: str = Field(description="Access key of a user that may use only this bucket.")
    s3_secret_key: Password = Field(description="Its secret key.")
    s3_bucket: str = Field(
        "docmill", description="The bucket; it must exist.", min_length=3, max_length=63
    )
    s3_region: str = Field("us-east-1", description="The bucket's region.")
    max_file_bytes: int = Field(
        100 * 1024**2, ge=1, description="Largest file that may be reserved and ingested."
    )
    ingest_queue_cap: int = Field(
        16,
        ge=1,
        description="Messages in an ingest queue above which further files wait in Postgres, "
        "from where they are sent fairly, owner by owner. At least twice the worker threads.",
    )
    health_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of /livez, /readyz and /metrics, for the cluster alone; none if not set.",
    )
    health_host: str = Field(
        "127.0.0.1", description="Address that HEALTH_PORT is on; 0.0.0.0 in a container."
    )


class DemoSettings(EnvironmentSettings):
    """Whether this is a demonstration, for the services that behave otherwise then."""

    demo_mode: bool = Field(
        False,
        description="A public demonstration: everybody's files are deleted again and again, and "
        "rate limits are stricter.",
    )


class OwnerQuotaSettings(EnvironmentSettings):
    """What one owner may have, for the services that hold it to that."""

    owner_max_files: Limit = Field(
        10_000, description="Most files that one owner may have; `none`: no limit."
    )
    owner_max_bytes: Limit = Field(
        20 * 1024**3, description="Most bytes that an owner's files may have; `none`: no limit."
    )
    owner_tokens_per_day: Limit = Field(
        20_000_000,
        description="Tokens that are embedded for one owner per UTC day before further files wait "
        "for the next; `none`: no limit.",
    )


class ProviderSettings(EnvironmentSettings):
    """Where embeddings come from, for the services that embed."""

    embedding_provider: Literal["auto", "local", "gemini"] = Field(
        "auto", description="`auto` is gemini where GEMINI_API_KEY is set, local where it is not."
    )
    embedding_model: str = Field(
        "gemini-embedding-001", description="Gemini's embedding model; local has only one."
    )
    gemini_api_key: SecretStr | None = Field(None, description="Key for the Gemini API.")
    gemini_base_url: HttpUrl | None = Field(
        None, description="Another address for the Gemini API, such as a proxy."
    )
    gemini_timeout_seconds: float = Field(
        60.0, gt=0, le=600, description="Longest wait for one answer of the Gemini API."
    )

    gemini_calls_per_minute: int | None = Field(
        None, ge=1, description="Quota of calls that all pods keep together; none if not set."
    )
    gemini_texts_per_minute: int | None = Field(
        None, ge=1, description="Quota of texts; some accounts are charged one request per text."
    )
    gemini_tokens_per_minute: int | None = Field(None, ge=1, description="Quota of tokens.")

    @property
    def provider(self) -> Literal["local", "gemini"]:
        """The embedding provider after `auto` is resolved."""
        if self.embedding_provider == "auto":
            return "gemini" if self.gemini_api_key else "local"
        return self.embedding_provider

    @model_validator(mode="after")
    def _gemini_needs_a_key(self) -> Self:
        if self.provider == "gemini" and not self.gemini_api_key:
            raise ValueError("GEMINI_API_KEY is not set, but EMBEDDING_PROVIDER=gemini needs it")
        return self


class WebhookSettings(EnvironmentSettings):
    """Webhooks, for the api that keeps them and the janitor that delivers."""

    webhook_key: Annotated[SecretStr, AfterValidator(require_strength)] | None = Field(
        None,
        description="Derives the secrets of all webhooks; the same for api and janitor, 32 bytes "
        "or more, made by: openssl rand -hex 32. Not set: there are no webhooks.",
    )
    webhook_allow_private_targets: bool = Field(
        False,
        description="Development only: webhooks may be called by http and on private addresses.",
    )


def _sentence(problem: dict[str, object]) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    location = problem["loc"]
    if not isinstance(location, tuple) or not location:
        return message
    name = str(location[0]).upper()
    if problem["type"] == "missing":
        return f"{name} is not set"
    return f"{name} is wrong: {message[0].lower()}{message[1:]}"
