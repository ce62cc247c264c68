"""Accounts and sessions: register, log in, refresh, log out, change the password.

A refresh token is 256 random bits, stored as its SHA-256 (nothing slower is needed for what
cannot be guessed). Each is used once; using one again ends the session for everyone who holds
tokens of it.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row

from docmill_api import metrics, passwords
from docmill_api.identity_provider import ExternalToken
from docmill_api.problems import Problem, invalid
from docmill_api.resources import Resources
from docmill_api.tokens import LEEWAY, AccessToken
from docmill_shared import accounts, audit, broker, revocations
from docmill_shared.audit import Event, Origin
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


def register(
    resources: Resources, origin: Origin, email: str, password: str
) -> Row[UUID, str, str, datetime]:
    """A new account with the role ``user``; a taken e-mail is a :class:`Problem`.

    The welcome mail is somebody else's work: without a queue or a mail server it comes later.
    """
    password_hash = passwords.hash_password(password)
    with resources.engine.begin() as connection:
        row = accounts.register(connection, email, password_hash)
        if row is None:
            raise Problem(409, "email_taken", "There is an account with this e-mail already.")
        audit.record(connection, Event.ACCOUNT_REGISTERED, user_id=row.id, **origin)
    log.info("account registered", user_id=str(row.id))
    tell_janitor(resources, WelcomeUser(user_id=str(row.id)))
    return row


def register_external(resources: Resources, origin: Origin, token: ExternalToken) -> None:
    """An account for somebody whom the identity provider knows, unless there is one by now.

    A :class:`Problem` when the token names no e-mail, or that of another account: whoever can make
    the provider name an address would get the files of the account that has it here.
    """
    if token.email is None:
        raise Problem(
            403, "email_missing", "The identity provider's token names no verified e-mail."
        )
    with resources.engine.begin() as connection:
        row = accounts.register_external(
            connection,
            email=token.email,
            issuer=token.issuer,
            subject=token.subject,
            password_hash=passwords.NOBODYS,
            jti=token.jti,
        )
        if row is not None:
            detail = {"external": True}
            audit.record(
                connection, Event.ACCOUNT_REGISTERED, user_id=row.id, detail=detail, **origin
            )
        elif accounts.credentials(connection, token.email) is not None and not _is_known(
            connection, token
        ):
            raise Problem(
                403,
                "account_not_linked",
                "There is an account with this e-mail already; it is not the identity provider's.",
            )
    if row is not None:
        log.info("account registered", user_id=str(row.id))
        tell_janitor(resources, WelcomeUser(user_id=str(row.id)))


def log_in(resources: Resources, origin: Origin, email: str, password: str) -> Tokens:
    """A new session; a :class:`Problem` that does not say whether the account exists."""
    known = None
    for _ in range(2):  # again if the password, or its hash, changed in between
        with autocommit(resources.engine) as connection:
            known = accounts.credentials(connection, email)
        if not passwords.verify(password, known.password_hash if known else None) or not known:
            break
        tokens = _begin(resources, origin, known.id, known.password_hash, password)
        if tokens is not None:
            return tokens
    _record_wrong_password(resources, origin, known.id if known else None, "login")
    raise Problem(401, "invalid_credentials", "The e-mail or the password is wrong.")


def refresh(resources: Resources, origin: Origin, refresh_token: str) -> Tokens:
    """The session's next tokens.

    A token that was used before ends the session, for the thief as for the victim.
    """
    token_sha256 = _sha256(refresh_token)
    with resources.engine.begin() as connection:
        used = accounts.use_refresh_token(connection, token_sha256)
        if used is not None:
            return _hand_out(resources, connection, user_id=used.user_id, family_id=used.family_id)
        reused = accounts.find_used(connection, token_sha256)
        if reused is not None:
            _end_session(resources, connection, reused.family_id)
            audit.record(connection, Event.REFRESH_TOKEN_REUSED, user_id=reused.user_id, **origin)
            log.warning("refresh token reused; session ended", session_id=str(reused.family_id))
    metrics.LOGIN_FAILURES.labels("refresh_token_reused" if reused else "refresh_token").inc()
    # Outside the transaction: raising inside would undo the end of the session.
    raise Problem(401, "invalid_refresh_token", "The refresh token is not valid; log in again.")


def log_out(resources: Resources, origin: Origin, token: AccessToken) -> None:
    """End the session: its access tokens and its refresh tokens are refused at once."""
    with resources.engine.begin() as connection:
        revocations.revoke(connection, token.jti, token.expires_at + LEEWAY)
        _end_session(resources, connection, token.session_id)
        audit.record(connection, Event.LOGGED_OUT, user_id=token.user_id, **origin)


def change_password(
    resources: Resources, origin: Origin, user_id: UUID, *, current: str, new: str
) -> Tokens:
    """A new password, and tokens of a new session: all others end, with their access tokens.

    API keys go on: they have their own end.
    """
    known = require_password(resources, origin, user_id, current, "password_change")
    if current == new:
        raise invalid("new_password", "must be another than the current one")
    new_hash = passwords.hash_password(new)
    # A token of another pod, whose clock is behind this one's, is not refused at its birth.
    valid_from = datetime.now(UTC) - LEEWAY
    with resources.engine.begin() as connection:
        if not accounts.change_password(
            connection, user_id, old=known, new=new_hash, valid_from=valid_from
        ):
            raise _wrong_password()
        end_all(resources, connection, user_id)
        audit.record(connection, Event.PASSWORD_CHANGED, user_id=user_id, **origin)
        return _hand_out(resources, connection, user_id=user_id, family_id=uuid4())


def require_password(
    resources: Resources, origin: Origin, user_id: UUID, password: str, purpose: str
) -> str:
    """The hash of the account's password; a :class:`Problem` when this is not the password."""
    with autocommit(resources.engine) as connection:
        known = accounts.password_hash(connection, user_id)
    if known == passwords.NOBODYS:
        raise Problem(
            409, "no_password", "The account has no password; its identity provider knows it."
        )
    if not passwords.verify(password, known) or known is None:
        _record_wrong_password(resources, origin, user_id, purpose)
        raise _wrong_password()
    return known


def end_all(resources: Resources, connection: Connection, user_id: UUID) -> None:
    """End every session of the account."""
    lifetime = resources.access_tokens.lifetime + LEEWAY
    revocations.end_all_sessions(connection, user_id, access_lifetime=lifetime)


def tell_janitor(resources: Resources, message: Message) -> None:
    """After the commit; no request fails because the queue is away."""
    try:
        broker.send(resources.broker, message)
    except QueueUnavailable:
        log.warning("message not sent", **message.to_fields())


def _begin(
    resources: Resources, origin: Origin, user_id: UUID, password_hash: str, password: str
) -> Tokens | None:
    """A session of this account, unless its password hash is another by now."""
    with autocommit(resources.engine) as connection:
        if passwords.is_outdated(password_hash):
            old, password_hash = password_hash, passwords.hash_password(password)
            accounts.replace_password_hash(connection, user_id, old=old, new=password_hash)
        family_id, refresh_token = uuid4(), _new_refresh_token()
        if not accounts.begin_session(
            connection,
            user_id=user_id,
            password_hash=password_hash,
            family_id=family_id,
            token_sha256=_sha256(refresh_token),
            lifetime=timedelta(days=resources.settings.refresh_token_days),
        ):
            return None
        audit.record(connection, Event.LOGIN_SUCCEEDED, user_id=user_id, **origin)
    return _tokens(resources, user_id, family_id, refresh_token)


def _hand_out(
    resources: Resources, connection: Connection, *, user_id: UUID, family_id: UUID
) -> Tokens:
    refresh_token = _new_refresh_token()
    accounts.add_refresh_token(
        connection,
        user_id=user_id,
        family_id=family_id,
        token_sha256=_sha256(refresh_token),
        lifetime=timedelta(days=resources.settings.refresh_token_days),
    )
    return _tokens(resources, user_id, family_id, refresh_token)


def _tokens(resources: Resources, user_id: UUID, family_id: UUID, refresh_token: str) -> Tokens:
    access = resources.access_tokens.issue(user_id, family_id)
    return Tokens(access, int(resources.access_tokens.lifetime.total_seconds()), refresh_token)


def _end_session(resources: Resources, connection: Connection, family_id: UUID) -> None:
    revocations.revoke_family(
        connection, family_id, access_lifetime=resources.access_tokens.lifetime + LEEWAY
    )


def _is_known(connection: Connection, token: ExternalToken) -> bool:
    found = accounts.standing_of_subject(connection, token.issuer, token.subject, jti=token.jti)
    return found is not None


def _record_wrong_password(
    resources: Resources, origin: Origin, user_id: UUID | None, purpose: str
) -> None:
    metrics.LOGIN_FAILURES.labels("password").inc()
    log.info("password refused", user_id=None if user_id is None else str(user_id))
    with autocommit(resources.engine) as connection:
        audit.record(
            connection, Event.LOGIN_FAILED, user_id=user_id, detail={"for": purpose}, **origin
        )


def _wrong_password() -> Problem:
    return Problem(403, "wrong_password", "The password is wrong.")


def _new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
