"""API keys: create, list, revoke."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from flask import Response
from pydantic import BaseModel, Field

from docmill_api import api_keys
from docmill_api.answers import answer, nothing, problems
from docmill_api.client_input import WHOLE, Requested, Text
from docmill_api.current import caller, origin, resources
from docmill_api.routes.blueprints import protected
from docmill_shared import api_keys as stored
from docmill_shared.api_keys import KeyScope
from docmill_shared.database import autocommit

blueprint = protected(
    "API keys", "/v1/api-keys", "Keys for programs, each with its scopes.", scope=None
)


class NewApiKey(Requested):
    """A key to be."""

    name: Text = Field(
        min_length=1, max_length=100, description="For you to tell it by.", examples=["nightly"]
    )
    scopes: list[KeyScope] = Field(min_length=1, max_length=len(KeyScope))
    expires_in_days: Annotated[int, Field(ge=1, le=3650), WHOLE] | None = Field(
        None, description="Never when absent."
    )


class ApiKeyView(BaseModel):
    """A key, without the key itself."""

    id: UUID
    name: str
    prefix: str = Field(description="How it begins.")
    scopes: list[KeyScope]
    created_at: datetime
    expires_at: datetime | None = Field(description="Null: never.")
    last_used_at: datetime | None = Field(description="Exact to a minute.")


class CreatedApiKey(ApiKeyView):
    """A new key; the only answer that has the key itself."""

    key: str = Field(description="Keep it: it cannot be shown again.")


class ApiKeyList(BaseModel):
    """All keys that are not revoked, newest first."""

    items: list[ApiKeyView]


class ApiKeyId(BaseModel):
    """Which key."""

    key_id: UUID


@blueprint.post(
    "",
    responses={
        201: CreatedApiKey,
        **problems(
            _400="Malformed JSON.",
            _409=f"`too_many_api_keys`: there are {stored.MOST_KEYS}.",
            _413="Body too large.",
            _415="Not JSON.",
            _422="A field is wrong.",
        ),
    },
)
def create(body: NewApiKey) -> Response:
    """Create a key. It can do what its scopes say with the files of your account."""
    days = body.expires_in_days
    made = api_keys.create(
        resources(),
        caller().id,
        origin(),
        name=body.name,
        scopes=sorted(set(body.scopes)),
        lifetime=None if days is None else timedelta(days=days),
    )
    shown = ApiKeyView.model_validate(made.row, from_attributes=True)
    return answer(CreatedApiKey(**shown.model_dump(), key=made.key), 201)


@blueprint.get("", responses={200: ApiKeyList})
def list_keys() -> Response:
    """Your keys, newest first; expired ones are among them until you revoke them."""
    with autocommit(resources().engine) as connection:
        rows = stored.listed(connection, caller().id)
    return answer(
        ApiKeyList(items=[ApiKeyView.model_validate(row, from_attributes=True) for row in rows])
    )


@blueprint.delete("/<uuid:key_id>", responses={204: None, **problems(_404="`api_key_not_found`")})
def revoke(path: ApiKeyId) -> Response:
    """Revoke a key: it is refused from now on."""
    api_keys.revoke(resources(), caller().id, origin(), path.key_id)
    return nothing()
