"""What the api reads from its environment."""

import re

from pydantic import Field, SecretStr, field_validator

from docmill_shared.settings import ProviderSettings, ServiceSettings

#: HS256 is only as strong as its key: RFC 7518, 3.2, asks for at least the hash's 256 bits.
SHORTEST_SECRET_BYTES = 32
#: What stands in READMEs to be replaced, and in a random secret never.
_PLACEHOLDERS = re.compile(
    r"change[-_ ]?(me|it|this)|replace[-_ ]?(me|this)|your[-_ ]|example|default|password"
    r"|(jwt|super|my)[-_ ]?secret|secret[-_ ]?key",
    re.IGNORECASE,
)
_FEWEST_CHARACTERS = 8


class ApiSettings(ServiceSettings, ProviderSettings):
    """The settings of the api, on top of those that it shares with the other services."""

    jwt_secret: SecretStr = Field(
        description="Signs access tokens; 32 bytes or more, made by: openssl rand -hex 32"
    )
    access_token_minutes: int = Field(
        15, ge=1, le=24 * 60, description="How long an access token is valid."
    )
    refresh_token_days: int = Field(
        30, ge=1, le=365, description="How long a login lasts without being used."
    )
    upload_url_seconds: int = Field(
        300, ge=1, le=3600, description="How long the URL for uploading a reserved file is valid."
    )
    api_host: str = Field(
        "127.0.0.1", description="Address that the api listens on; 0.0.0.0 in a container."
    )
    api_port: int = Field(8000, ge=1, le=65535, description="Port that the api listens on.")
    api_workers: int = Field(2, ge=1, le=64, description="Processes of one api.")
    api_threads: int = Field(8, ge=1, le=256, description="Requests that a process serves at once.")
    api_graceful_seconds: int = Field(
        25,
        ge=1,
        le=600,
        description="How long open requests may go on after SIGTERM; below the grace period of "
        "Kubernetes, which is 30 s.",
    )

    @field_validator("jwt_secret")
    @classmethod
    def _secret_is_one(cls, secret: SecretStr) -> SecretStr:
        value = secret.get_secret_value()
        if len(value.encode()) < SHORTEST_SECRET_BYTES:
            raise ValueError(
                f"must have at least {SHORTEST_SECRET_BYTES} bytes; make one with: "
                "openssl rand -hex 32"
            )
        if _PLACEHOLDERS.search(value) or len(set(value)) < _FEWEST_CHARACTERS:
            raise ValueError("looks like a placeholder; make one with: openssl rand -hex 32")
        return secret
