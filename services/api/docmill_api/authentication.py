"""Who calls: the bearer token of a request, checked against the database in one round trip."""

import structlog
from flask import g, request
from sqlalchemy.exc import DBAPIError

from docmill_api.current import Caller, resources
from docmill_api.problems import Problem
from docmill_api.resources import Resources
from docmill_api.tokens import AccessToken, TokenExpired, TokenInvalid
from docmill_shared import accounts
from docmill_shared.database import autocommit


def authenticate() -> None:
    """Before every request of a protected blueprint: set ``g.caller`` or refuse with 401."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not encoded.strip():
        raise _refused("unauthenticated", "Send an access token: Authorization: Bearer <token>.")
    try:
        token = resources().access_tokens.verify(encoded.strip())
    except TokenExpired:
        raise _refused("token_expired", "The access token has expired; refresh it.") from None
    except TokenInvalid:
        raise _refused("invalid_token", "The access token is not valid.") from None
    standing = _standing(resources(), token)
    if standing is None:
        raise _refused("invalid_token", "The account of this access token does not exist.")
    if standing.revoked:
        raise _refused("token_revoked", "The access token was revoked; log in again.")
    structlog.contextvars.bind_contextvars(user_id=str(token.user_id))
    g.caller = Caller(token.user_id, standing.email, standing.role, standing.created_at, token)


def require_admin() -> None:
    """After ``authenticate``, before every request of an operators' blueprint: refuse with 403."""
    if g.caller.role != "admin":
        raise Problem(403, "forbidden", "Only an admin may do this.")


def _standing(resources: Resources, token: AccessToken) -> accounts.Standing | None:
    try:
        return _ask(resources, token)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        # The pooled connection had died, with the server it led to perhaps back by now. This is
        # the first statement of the request and only reads, so it may be repeated.
        return _ask(resources, token)


def _ask(resources: Resources, token: AccessToken) -> accounts.Standing | None:
    with autocommit(resources.engine) as connection:
        return accounts.standing(
            connection, token.user_id, jti=token.jti, session_id=token.session_id
        )


def _refused(code: str, detail: str) -> Problem:
    # RFC 6750, 3: without any token the challenge names no error.
    challenge = "Bearer" if code == "unauthenticated" else 'Bearer error="invalid_token"'
    return Problem(401, code, detail, headers={"WWW-Authenticate": challenge})
