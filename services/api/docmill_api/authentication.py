"""Who calls: the token or API key of a request, checked against the database in one round trip."""

from collections.abc import Callable
from typing import TypeVar

import structlog
from flask import current_app, g, request
from sqlalchemy import Connection

from docmill_api import api_keys, key_scopes, sessions
from docmill_api.current import Caller, origin, resources
from docmill_api.identity_provider import ExternalToken
from docmill_api.key_scopes import Area
from docmill_api.problems import Problem, unavailable
from docmill_api.signing_keys import KeysUnavailable
from docmill_api.tokens import AccessToken, TokenExpired, TokenInvalid
from docmill_shared import accounts
from docmill_shared import api_keys as stored_keys
from docmill_shared.accounts import Standing
from docmill_shared.api_keys import KeyScope
from docmill_shared.database import autocommit

Answer = TypeVar("Answer")


def authenticate(area: Area | None) -> None:
    """Before every request of a protected blueprint: set ``g.caller`` or refuse with 401 or 403.

    An API key gets through only with the scope that the area and the method ask for; without an
    area, none does.
    """
    caller = _holder_of(_credential())
    structlog.contextvars.bind_contextvars(user_id=str(caller.id))
    if caller.key_scopes is not None:
        _require_scope(caller.key_scopes, area)
    g.caller = caller


def recheck() -> Callable[[], bool]:
    """Whether this request would still be let in; for an answer that goes on for long.

    To be called from outside of any request, and then raises what SQLAlchemy does.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    credential = _credential()

    def is_still_let_in() -> bool:
        with app.app_context():
            try:
                _holder_of(credential)
            except Problem:
                return False
            return True

    return is_still_let_in


def require_admin() -> None:
    """After ``authenticate``, before every request of an operators' blueprint: refuse with 403."""
    if g.caller.role != "admin":
        raise Problem(403, "forbidden", "Only an admin may do this.")


def _credential() -> str:
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    credential = sent.strip()
    if scheme.lower() != "bearer" or not credential:
        raise _refused(
            "unauthenticated",
            "Send an access token or an API key: Authorization: Bearer <token>.",
        )
    return credential


def _holder_of(credential: str) -> Caller:
    if credential.startswith(api_keys.PREFIX):
        return _by_key(credential)
    return _by_token(credential)


def _by_token(encoded: str) -> Caller:
    try:
        own = resources().access_tokens
        provider = resources().identity_provider
        if provider is None or own.knows(encoded):
            return _owner_of(own.verify(encoded))
        return _whom_provider_knows(provider.verify(encoded))
    except TokenExpired:
        raise _refused("token_expired", "The access token has expired; refresh it.") from None
    except TokenInvalid:
        raise _refused("invalid_token", "The access token is not valid.") from None
    except KeysUnavailable:
        raise unavailable(
            "identity_provider_unavailable", "The identity provider cannot be reached."
        ) from None


def _owner_of(token: AccessToken) -> Caller:
    standing = _ask(
        lambda connection: accounts.standing(
            connection, token.user_id, jti=token.jti, session_id=token.session_id
        )
    )
    return _caller(standing, token)


def _whom_provider_knows(token: ExternalToken) -> Caller:
    def standing(connection: Connection) -> Standing | None:
        return accounts.standing_of_subject(connection, token.issuer, token.subject, jti=token.jti)

    found = _ask(standing)
    if found is None:
        sessions.register_external(resources(), origin(), token)
        found = _ask(standing)
        if found is None:
            raise _revoked()
    return _caller(found, token.of(found.user_id))


def _caller(standing: Standing | None, token: AccessToken) -> Caller:
    if standing is None or standing.deleted:
        raise _refused("invalid_token", "The account of this access token does not exist.")
    valid_from = standing.tokens_valid_from
    if standing.revoked or (valid_from is not None and token.issued_at < valid_from):
        raise _revoked()
    return Caller(token.user_id, standing.email, standing.role, standing.created_at, token)


def _by_key(key: str) -> Caller:
    known = None
    if api_keys.has_form(key):
        digest = api_keys.digest(key)
        known = _ask(lambda connection: stored_keys.standing(connection, digest))
    if known is None:
        raise _refused("invalid_api_key", "The API key is not valid.")
    if known.revoked:
        raise _refused("api_key_revoked", "The API key was revoked.")
    if known.expired:
        raise _refused("api_key_expired", "The API key has expired; create another.")
    structlog.contextvars.bind_contextvars(api_key_id=str(known.id))
    scopes = frozenset(KeyScope(each) for each in known.scopes)
    return Caller(known.user_id, known.email, known.role, known.created_at, None, scopes)


def _require_scope(scopes: frozenset[KeyScope], area: Area | None) -> None:
    if area is None:
        raise Problem(
            403, "api_key_not_allowed", "No API key may do this; send an access token instead."
        )
    needed = key_scopes.needed(area, request.method)
    if needed not in scopes:
        raise Problem(
            403,
            "insufficient_scope",
            f"The API key lacks the scope {needed}.",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'},
        )


def _ask(question: Callable[[Connection], Answer]) -> Answer:
    with autocommit(resources().engine) as connection:
        return question(connection)


def _revoked() -> Problem:
    return _refused("token_revoked", "The access token was revoked; log in again.")


def _refused(code: str, detail: str) -> Problem:
    # RFC 6750, 3: without any token the challenge names no error.
    challenge = "Bearer" if code == "unauthenticated" else 'Bearer error="invalid_token"'
    return Problem(401, code, detail, headers={"WWW-Authenticate": challenge})
