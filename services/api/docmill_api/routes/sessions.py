"""Register, log in, refresh: what one does before one has an access token."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from flask import Response
from pydantic import AfterValidator, BaseModel, Field, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from docmill_api import email_addresses, passwords, sessions
from docmill_api.answers import answer, problems
from docmill_api.client_input import Requested, Secret, Text
from docmill_api.current import origin, resources
from docmill_api.routes.blueprints import public

blueprint = public("auth", "/v1/auth", "Accounts and tokens.")


def _normalised(email: str) -> str:
    try:
        return email_addresses.normalised(email)
    except ValueError:
        raise PydanticCustomError("email", "must be an e-mail address") from None


Email = Annotated[
    Text,
    Field(max_length=email_addresses.LONGEST),
    AfterValidator(_normalised),
    # Of the form, what a client can check as well.
    Field(json_schema_extra={"pattern": r"^\s*[^@\s]+@[^@\s]+\s*$"}),
]


def _long_enough(password: SecretStr) -> SecretStr:
    # Said here because pydantic's own sentence counts a secret's "items".
    length = len(password.get_secret_value())
    if not passwords.SHORTEST <= length <= passwords.LONGEST:
        raise PydanticCustomError(
            "length", f"must have {passwords.SHORTEST} to {passwords.LONGEST} characters"
        )
    return password


NewPassword = Annotated[
    Secret,
    AfterValidator(_long_enough),
    WithJsonSchema(
        {
            "type": "string",
            "format": "password",
            "writeOnly": True,
            "minLength": passwords.SHORTEST,
            "maxLength": passwords.LONGEST,
        }
    ),
]


class NewAccount(Requested):
    """An account to be."""

    email: Email = Field(examples=["ada@example.org"])
    password: NewPassword


class Account(BaseModel):
    """An account."""

    id: UUID
    email: str
    role: str = Field(description="`user`, `contributor` or `admin`.")
    created_at: datetime


class Credentials(Requested):
    """What one logs in with."""

    email: Email = Field(examples=["ada@example.org"])
    password: Secret = Field(min_length=1, max_length=passwords.LONGEST)


class RefreshRequest(Requested):
    """A refresh token, to be used up."""

    refresh_token: Secret = Field(min_length=1, max_length=256)


class TokenPair(BaseModel):
    """An access token, and the refresh token that gets the next pair, once."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a scheme's name
    expires_in: int = Field(description="Seconds that the access token is valid.")
    refresh_token: str

    @classmethod
    def of(cls, tokens: sessions.Tokens) -> "TokenPair":
        """As they were handed out."""
        return cls(
            access_token=tokens.access.encoded,
            expires_in=tokens.expires_in,
            refresh_token=tokens.refresh,
        )


@blueprint.post(
    "/register",
    responses={
        201: Account,
        **problems(
            _400="Malformed JSON.",
            _409="`email_taken`",
            _413="Body too large.",
            _415="Not JSON.",
            _422="A field is wrong.",
        ),
    },
)
def register(body: NewAccount) -> Response:
    """Create an account."""
    row = sessions.register(resources(), origin(), body.email, body.password.get_secret_value())
    return answer(Account.model_validate(row, from_attributes=True), 201)


@blueprint.post(
    "/login",
    responses={
        200: TokenPair,
        **problems(
            _400="Malformed JSON.",
            _401="`invalid_credentials`",
            _413="Body too large.",
            _415="Not JSON.",
            _422="A field is wrong.",
        ),
    },
)
def log_in(body: Credentials) -> Response:
    """Start a session."""
    password = body.password.get_secret_value()
    return answer(TokenPair.of(sessions.log_in(resources(), origin(), body.email, password)))


@blueprint.post(
    "/refresh",
    responses={
        200: TokenPair,
        **problems(
            _400="Malformed JSON.",
            _401="`invalid_refresh_token`",
            _413="Body too large.",
            _415="Not JSON.",
            _422="A field is wrong.",
        ),
    },
)
def refresh(body: RefreshRequest) -> Response:
    """Exchange a refresh token for the next pair.

    Each refresh token works once. One that comes again was copied: it ends the whole session.
    """
    token = body.refresh_token.get_secret_value()
    return answer(TokenPair.of(sessions.refresh(resources(), origin(), token)))
