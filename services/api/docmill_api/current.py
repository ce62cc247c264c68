"""The request at hand, for routes: this app's resources and the account that calls."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import Flask, current_app, g

from docmill_api.resources import Resources
from docmill_api.tokens import AccessToken

_EXTENSION = "docmill"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the database knows them now, and the token that says so."""

    id: UUID
    email: str
    role: str
    created_at: datetime
    token: AccessToken

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


def caller() -> Caller:
    """The account that calls; only in routes of a protected blueprint."""
    found: Caller = g.caller
    return found
