"""How the api signs its tokens, and whose else it believes."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from docmill_shared.key_strength import require_strength
from docmill_shared.settings import EnvironmentSettings

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def _each_is_strong(secrets: SecretStr) -> SecretStr:
    for each in _split(secrets):
        require_strength(SecretStr(each))
    return secrets


def _unforgeable(url: str) -> str:
    # Whoever can change what comes back can sign tokens for everybody.
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("must start with https://")
    return url


def _split(secrets: SecretStr) -> list[str]:
    return [
        each for each in (part.strip() for part in secrets.get_secret_value().split(",")) if each
    ]


StrongSecret = Annotated[SecretStr, AfterValidator(require_strength)]
StrongSecrets = Annotated[SecretStr, AfterValidator(_each_is_strong)]
SecureUrl = Annotated[str, AfterValidator(_unforgeable)]


class TokenSettings(EnvironmentSettings):
    """Secrets and lifetimes of tokens; the identity provider, if there is one."""

    jwt_secret: StrongSecret = Field(
        description="Signs access tokens; 32 bytes or more, made by: openssl rand -hex 32"
    )
    jwt_previous_secrets: StrongSecrets | None = Field(
        None,
        description="Earlier values of JWT_SECRET, separated by commas: they sign nothing, and "
        "what they signed is good until it expires. Take them out after ACCESS_TOKEN_MINUTES.",
    )
    access_token_minutes: int = Field(
        15, ge=1, le=24 * 60, description="How long an access token is valid."
    )
    refresh_token_days: int = Field(
        30, ge=1, le=365, description="How long a login lasts without being used."
    )
    oidc_issuer: str | None = Field(
        None,
        min_length=1,
        description="An identity provider whose access tokens are good here as well: its `iss`, to "
        "the letter. Needs the two below.",
    )
    oidc_audience: str | None = Field(
        None, min_length=1, description="What its tokens must have in `aud`: the name of this api."
    )
    oidc_jwks_url: SecureUrl | None = Field(
        None, description="Where its public keys are (RS256 or ES256); https."
    )

    @property
    def previous_secrets(self) -> list[str]:
        """What JWT_PREVIOUS_SECRETS lists."""
        return _split(self.jwt_previous_secrets) if self.jwt_previous_secrets else []

    @model_validator(mode="after")
    def _a_provider_is_known_whole(self) -> Self:
        known = (self.oidc_issuer, self.oidc_audience, self.oidc_jwks_url)
        if any(known) and not all(known):
            raise ValueError(
                "OIDC_ISSUER, OIDC_AUDIENCE and OIDC_JWKS_URL belong together: set all or none"
            )
        return self
