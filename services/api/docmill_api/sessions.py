"""Accounts and sessions: register, log in, refresh, log out.

A refresh token is 256 random bits, stored as its SHA-256 (nothing slower is needed for what
cannot be guessed). Each is used once; using one again ends the session for everyone who holds
tokens of it.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row

from docmill_api import metrics, passwords
from docmill_api.problems import Problem
from docmill_api.resources import Resources
from docmill_api.tokens import LEEWAY, AccessToken
from docmill_shared import accounts, broker
from docmill_shared.broker import QueueUnavailable
from docmill_shared.database import autocommit
from docmill_shared.messages import Message, WelcomeUser
from docmill_shared.observability import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login or a refresh hands out."""

    access: AccessToken
    expires_in: int  #: seconds, of the access token
    refresh: str


def register(resources: Resources, email: str, password: str) -> Row[UUID, str, str, datetime]:
    """A new account with the role ``user``; a taken e-mail is a :class:`Problem`.

    The welcome mail is somebody else's work: without a queue or a mail server it comes later.
    """
    password_hash = passwords.hash_password(password)
    with autocommit(resources.engine) as connection:
        row = accounts.register(connection, email, password_hash)
    if row is None:
        raise Problem(409, "email_taken", "There is an account with this e-mail already.")
    log.info("account registered", user_id=str(row.id))
    _tell_janitor(resources, WelcomeUser(user_id=str(row.id)))
    return row


def log_in(resources: Resources, email: str, password: str) -> Tokens:
    """A new session; a :class:`Problem` that does not say whether the account exists."""
    with autocommit(resources.engine) as connection:
        known = accounts.credentials(connection, email)
    if not passwords.verify(password, known.password_hash if known else None) or known is None:
        metrics.LOGIN_FAILURES.labels("password").inc()
        log.info("login refused", user_id=str(known.id) if known else None)
        raise Problem(401, "invalid_credentials", "The e-mail or the password is wrong.")
    with autocommit(resources.engine) as connection:
        if passwords.is_outdated(known.password_hash):
            accounts.replace_password_hash(
                connection,
                known.id,
                old=known.password_hash,
                new=passwords.hash_password(password),
            )
        return _hand_out(resources, connection, user_id=known.id, family_id=uuid4())


def refresh(resources: Resources, refresh_token: str) -> Tokens:
    """The session's next tokens.

    A token that was used before ends the session, for the thief as for the victim.
    """
    token_sha256 = _sha256(refresh_token)
    with resources.engine.begin() as connection:
        used = accounts.use_refresh_token(connection, token_sha256)
        if used is not None:
            return _hand_out(resources, connection, user_id=used.user_id, family_id=used.family_id)
        family_id = accounts.family_of_used(connection, token_sha256)
        if family_id is not None:
            _end_session(resources, connection, family_id)
            log.warning("refresh token reused; session ended", session_id=str(family_id))
    wrong = "refresh_token" if family_id is None else "refresh_token_reused"
    metrics.LOGIN_FAILURES.labels(wrong).inc()
    # Outside the transaction: raising inside would undo the end of the session.
    raise Problem(401, "invalid_refresh_token", "The refresh token is not valid; log in again.")


def log_out(resources: Resources, token: AccessToken) -> None:
    """End the session: its access tokens and its refresh tokens are refused at once."""
    with resources.engine.begin() as connection:
        accounts.revoke(connection, token.jti, token.expires_at + LEEWAY)
        _end_session(resources, connection, token.session_id)


def _end_session(resources: Resources, connection: Connection, family_id: UUID) -> None:
    accounts.revoke_family(
        connection, family_id, access_lifetime=resources.access_tokens.lifetime + LEEWAY
    )


def _hand_out(
    resources: Resources, connection: Connection, *, user_id: UUID, family_id: UUID
) -> Tokens:
    refresh_token = secrets.token_urlsafe(32)
    accounts.add_refresh_token(
        connection,
        user_id=user_id,
        family_id=family_id,
        token_sha256=_sha256(refresh_token),
        lifetime=timedelta(days=resources.settings.refresh_token_days),
    )
    access = resources.access_tokens.issue(user_id, family_id)
    return Tokens(access, int(resources.access_tokens.lifetime.total_seconds()), refresh_token)


def _tell_janitor(resources: Resources, message: Message) -> None:
    """After the commit; no request fails because the queue is away."""
    try:
        broker.send(resources.broker, message)
    except QueueUnavailable:
        log.warning("message not sent", **message.to_fields())


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
