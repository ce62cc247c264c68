"""The SQL of users and refresh_tokens: accounts and their sessions. ``revocations`` ends them.

A login starts a session: a *family* of refresh tokens, each used once for its successor. A token
that comes a second time was copied, and nobody can tell by whom: the whole family ends.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Interval,
    LargeBinary,
    Row,
    Uuid,
    cast,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.orm import aliased

from docmill_shared import audit
from docmill_shared.audit import Event
from docmill_shared.schema import RefreshToken, RevokedToken, User


def register(
    connection: Connection, email: str, password_hash: str
) -> Row[UUID, str, str, datetime] | None:
    """Insert a user; None when the e-mail is taken."""
    return connection.execute(
        insert_or(User)
        .values(id=uuid4(), email=email, password_hash=password_hash)
        .on_conflict_do_nothing(index_elements=[User.email])
        .returning(User.id, User.email, User.role, User.created_at)
    ).one_or_none()


def register_external(
    connection: Connection,
    *,
    email: str,
    issuer: str,
    subject: str,
    password_hash: str,
    jti: UUID,
) -> Row[UUID] | None:
    """Insert the user whom an identity provider knows; the id.

    None when there is one already, when the e-mail is taken, or when the token with this id was
    revoked: it ended an account, and must not begin another.
    """
    user = select(
        literal(uuid4(), Uuid),
        literal(email),
        literal(password_hash),
        literal(issuer),
        literal(subject),
    ).where(~exists().where(RevokedToken.jti == jti))
    return connection.execute(
        insert_or(User)
        .from_select(["id", "email", "password_hash", "external_issuer", "external_subject"], user)
        .on_conflict_do_nothing()
        .returning(User.id)
    ).one_or_none()


def credentials(connection: Connection, email: str) -> Row[UUID, str] | None:
    """The id and the password hash of the account with this e-mail."""
    return connection.execute(
        select(User.id, User.password_hash).where(User.email == email)
    ).one_or_none()


def password_hash(connection: Connection, user_id: UUID) -> str | None:
    """The password hash of an account that was not deleted."""
    found: str | None = connection.execute(
        select(User.password_hash).where(User.id == user_id, User.deleted_at.is_(None))
    ).scalar()
    return found


def change_password(
    connection: Connection, user_id: UUID, *, old: str, new: str, valid_from: datetime
) -> bool:
    """Store a new hash, and refuse access tokens from before ``valid_from``.

    False when the hash is not ``old`` any more. The sessions are ended by ``end_all_sessions``, in
    the same transaction.
    """
    changed = connection.execute(
        update(User)
        .where(User.id == user_id, User.password_hash == old, User.deleted_at.is_(None))
        .values(password_hash=new, tokens_valid_from=valid_from)
    )
    return changed.rowcount == 1


def replace_password_hash(connection: Connection, user_id: UUID, *, old: str, new: str) -> None:
    """Store a new hash, unless the password was changed meanwhile."""
    connection.execute(
        update(User).where(User.id == user_id, User.password_hash == old).values(password_hash=new)
    )


def set_role(connection: Connection, email: str, role: str) -> bool:
    """Give the account this role (user, contributor, admin); False when there is no such account.

    The next request of every session has the new role: it is read from here, not from the token.
    The audit log tells of it.
    """
    known = connection.execute(
        select(User.id, User.role).where(User.email == email).with_for_update(key_share=True)
    ).one_or_none()
    if known is None:
        return False
    connection.execute(update(User).where(User.id == known.id).values(role=role))
    audit.record(
        connection,
        Event.ROLE_CHANGED,
        user_id=known.id,
        detail={"from": known.role, "to": role},
        **audit.NO_REQUEST,
    )
    return True


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database says of the bearer of an access token."""

    user_id: UUID
    email: str
    role: str
    created_at: datetime
    revoked: bool
    deleted: bool
    #: Access tokens that were issued before are not good any more.
    tokens_valid_from: datetime | None


def standing(
    connection: Connection, user_id: UUID, *, jti: UUID, session_id: UUID
) -> Standing | None:
    """The user, and whether the token or its session was revoked; None when the user is gone.

    One statement, since it is part of every request.
    """
    return _standing(connection, [jti, session_id], User.id == user_id)


def standing_of_subject(
    connection: Connection, issuer: str, subject: str, *, jti: UUID
) -> Standing | None:
    """The same for somebody whom an identity provider knows; None when this is the first time."""
    return _standing(
        connection, [jti], User.external_issuer == issuer, User.external_subject == subject
    )


def _standing(
    connection: Connection, token_ids: list[UUID], *who: ColumnElement[bool]
) -> Standing | None:
    row = connection.execute(
        select(
            User.id,
            User.email,
            User.role,
            User.created_at,
            exists().where(RevokedToken.jti.in_(token_ids)).label("revoked"),
            User.deleted_at.is_not(None).label("deleted"),
            User.tokens_valid_from,
        ).where(*who)
    ).one_or_none()
    return None if row is None else Standing(*row)


def add_refresh_token(
    connection: Connection,
    *,
    user_id: UUID,
    family_id: UUID,
    token_sha256: bytes,
    lifetime: timedelta,
) -> None:
    """Store a refresh token of this family, by its hash."""
    connection.execute(
        insert(RefreshToken).values(
            id=uuid4(),
            user_id=user_id,
            family_id=family_id,
            token_sha256=token_sha256,
            expires_at=func.now() + lifetime,
        )
    )


def begin_session(
    connection: Connection,
    *,
    user_id: UUID,
    password_hash: str,
    family_id: UUID,
    token_sha256: bytes,
    lifetime: timedelta,
) -> bool:
    """Store the first refresh token of a family, unless the password was changed meanwhile.

    Takes turns with ``change_password`` and with the end of the account: a session that began with
    the old password is either seen and ended by them, or does not begin.
    """
    user = select(
        literal(uuid4(), Uuid),
        User.id,
        literal(family_id, Uuid),
        literal(token_sha256, LargeBinary),
        func.now() + cast(lifetime, Interval),
    ).where(User.id == user_id, User.password_hash == password_hash, User.deleted_at.is_(None))
    begun = connection.execute(
        insert(RefreshToken)
        .from_select(
            ["id", "user_id", "family_id", "token_sha256", "expires_at"],
            user.with_for_update(read=True),
        )
        .returning(RefreshToken.id)
    )
    return begun.one_or_none() is not None


def use_refresh_token(connection: Connection, token_sha256: bytes) -> Row[UUID, UUID] | None:
    """Mark it used and return its user_id and family_id; None when it is no longer good.

    It is no longer good when it was used, was revoked or has expired, and when any token of its
    family was revoked: a successor that was inserted while the family was being revoked is not
    revoked itself, and ends here.
    """
    sibling = aliased(RefreshToken)
    return connection.execute(
        update(RefreshToken)
        .where(
            RefreshToken.token_sha256 == token_sha256,
            RefreshToken.used_at.is_(None),
            RefreshToken.expires_at > func.now(),
            ~exists().where(
                sibling.family_id == RefreshToken.family_id, sibling.revoked_at.is_not(None)
            ),
        )
        .values(used_at=func.now())
        .returning(RefreshToken.user_id, RefreshToken.family_id)
    ).one_or_none()


def find_used(connection: Connection, token_sha256: bytes) -> Row[UUID, UUID] | None:
    """The user_id and the family_id of a refresh token that was used already; None otherwise."""
    return connection.execute(
        select(RefreshToken.user_id, RefreshToken.family_id).where(
            RefreshToken.token_sha256 == token_sha256, RefreshToken.used_at.is_not(None)
        )
    ).one_or_none()
