"""The bases of what clients send: unknown fields are refused, and so is text nobody can store."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr
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


STORABLE = AfterValidator(_storable)
Text = Annotated[str, STORABLE]
Secret = Annotated[SecretStr, AfterValidator(_encodable)]


class Requested(BaseModel):
    """A body or a query string. A misspelt field is an error, not silently the default."""

    model_config = ConfigDict(extra="forbid")
