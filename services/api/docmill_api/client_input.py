"""The bases of what clients send: unknown fields are refused, and so is text nobody can store."""

import hashlib
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    Strict,
)
from pydantic_core import PydanticCustomError


def _storable(text: str) -> str:
    # Postgres has no NUL in its text, and nothing that docmill stores or searches needs one.
    if "\0" in text:
        raise PydanticCustomError("nul", "must not contain NUL characters")
    return text


def _encodable(secret: SecretStr) -> SecretStr:
    # pydantic checks this of a str, not of a SecretStr.
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("unicode", "must be valid Unicode") from None
    return secret


def _whole(value: object) -> object:
    # JSON has no integers: a program may write 5.0 for 5, and JSON Schema takes either.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not int:
        raise PydanticCustomError("int", "must be a whole number")
    return value


def _date_and_time(value: object) -> object:
    # pydantic would take a number for seconds since 1970.
    if not isinstance(value, str) or "T" not in value.upper():
        raise PydanticCustomError("datetime", "must be a date and time such as 2030-01-31T12:00Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    # Postgres knows no offset of 16 hours and more.
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime", "must lie within the years 1 to 9999") from None


def never_null(schema: dict[str, Any]) -> None:
    """``json_schema_extra`` of a field that is None only where it is absent."""
    (schema_without,) = (each for each in schema.pop("anyOf") if each.get("type") != "null")
    schema.pop("default", None)
    schema.update(schema_without)


STORABLE = AfterValidator(_storable)
Text = Annotated[str, STORABLE]
#: Numbers and flags of a body: never a text that looks like one. The bounds of a number come before
#: this, or they would be missing in its JSON schema.
WHOLE = BeforeValidator(_whole)
Flag = Annotated[bool, Strict()]
#: With its zone, as in RFC 3339.
Moment = Annotated[AwareDatetime, BeforeValidator(_date_and_time), AfterValidator(_in_utc)]
Secret = Annotated[SecretStr, AfterValidator(_encodable)]


class Sent(BaseModel):
    """What a request carries, with a JSON schema that is made once."""

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """As pydantic's; whoever asks without arguments must not change it."""
        # flask-openapi3 asks so at every request that has a query or a header, only to look up
        # which fields are lists; making it anew took a third of the time of listing files.
        if args or options:
            return super().model_json_schema(*args, **options)
        return _schema_of(cls)


@cache
def _schema_of(model: type[Sent]) -> dict[str, Any]:
    return super(Sent, model).model_json_schema()


class Requested(Sent):
    """A body or a query string. A misspelt field is an error, not silently the default."""

    model_config = ConfigDict(extra="forbid")


class Idempotency(Sent):
    """The header of requests that create something, for clients that may have to repeat them."""

    key: str | None = Field(
        None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Chosen by the client: a repeated request with the same key and body creates"
        " nothing more and answers with what the first one created.",
    )


def digest_of(body: BaseModel) -> bytes:
    """What tells one request from another that came with the same key."""
    return hashlib.sha256(body.model_dump_json().encode()).digest()
