"""The request at hand, for routes: this app's resources and the account that calls."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import Flask, current_app, g, request

from docmill_api.resources import Resources
from docmill_api.tokens import AccessToken
from docmill_shared.api_keys import KeyScope
from docmill_shared.audit import Origin

_EXTENSION = "docmill"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the database knows them now, and the token or the API key that says so."""

    id: UUID
    email: str
    role: str
    created_at: datetime
    #: None: an API key was sent.
    token: AccessToken | None
    #: What the API key may be used for; None: a token was sent, which may do everything.
    key_scopes: frozenset[KeyScope] | None = None

    @property
    def session(self) -> AccessToken:
        """The token of a caller who came with one; no other gets to routes of accounts."""
        assert self.token is not None
        return self.token

    @property
    def may_publish(self) -> bool:
        """Whether their files may be visible to everyone."""
        return self.role in {"contributor", "admin"}


def attach(app: Flask, resources: Resources) -> None:
    """Make these the app's resources."""
    app.extensions[_EXTENSION] = resources


def resources_of(app: Flask) -> Resources:
    """What ``attach`` was given."""
    found: Resources = app.extensions[_EXTENSION]
    return found


def resources() -> Resources:
    """The resources of the app that serves this request."""
    return resources_of(current_app)


def origin() -> Origin:
    """From where the request comes, for the audit log."""
    return Origin(address=request.remote_addr, request_id=g.request_id)


def caller() -> Caller:
    """The account that calls; only in routes of a protected blueprint."""
    found: Caller = g.caller
    return found
