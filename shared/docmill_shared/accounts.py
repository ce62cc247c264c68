"""The SQL of users, refresh_tokens and revoked_tokens: accounts, sessions, revocations.

A login starts a session: a *family* of refresh tokens, each used once for its successor. A token
that comes a second time was copied, and nobody can tell by whom: the whole family ends.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, exists, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.orm import aliased

from docmill_shared.schema import RefreshToken, RevokedToken, User

#: By the rows' places, which spares a second search for each row: locks are held half as long.
_FORGET_REVOKED = text("""
delete from revoked_tokens where ctid = any(array(
    select ctid from revoked_tokens where expires_at < :now
    order by expires_at limit :limit for update skip locked
))
""")
_FORGET_REFRESH = text("""
delete from refresh_tokens where ctid = any(array(
    select ctid from refresh_tokens where expires_at < :now
    order by expires_at limit :limit for update skip locked
))
""")


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


def credentials(connection: Connection, email: str) -> Row[UUID, str] | None:
    """The id and the password hash of the account with this e-mail."""
    return connection.execute(
        select(User.id, User.password_hash).where(User.email == email)
    ).one_or_none()


def replace_password_hash(connection: Connection, user_id: UUID, *, old: str, new: str) -> None:
    """Store a new hash, unless the password was changed meanwhile."""
    connection.execute(
        update(User).where(User.id == user_id, User.password_hash == old).values(password_hash=new)
    )


def set_role(connection: Connection, email: str, role: str) -> bool:
    """Give the account this role (user, contributor, admin); False when there is no such account.

    The next request of every session has the new role: it is read from here, not from the token.
    """
    changed = connection.execute(
        update(User).where(User.email == email).values(role=role).returning(User.id)
    )
    return changed.one_or_none() is not None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database says of the bearer of an access token."""

    email: str
    role: str
    created_at: datetime
    revoked: bool


def standing(
    connection: Connection, user_id: UUID, *, jti: UUID, session_id: UUID
) -> Standing | None:
    """The user, and whether the token or its session was revoked; None when the user is gone.

    One statement, since it is part of every request.
    """
    row = connection.execute(
        select(
            User.email,
            User.role,
            User.created_at,
            exists().where(RevokedToken.jti.in_([jti, session_id])).label("revoked"),
        ).where(User.id == user_id)
    ).one_or_none()
    return None if row is None else Standing(row.email, row.role, row.created_at, row.revoked)


def revoke(connection: Connection, jti: UUID, expires_at: datetime) -> None:
    """Refuse this access token from now on; the janitor forgets it once it has expired."""
    connection.execute(
        insert_or(RevokedToken)
        .values(jti=jti, expires_at=expires_at)
        .on_conflict_do_nothing(index_elements=[RevokedToken.jti])
    )


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


def family_of_used(connection: Connection, token_sha256: bytes) -> UUID | None:
    """The family of a refresh token that was used already; None when there is no such token."""
    family: UUID | None = connection.execute(
        select(RefreshToken.family_id).where(
            RefreshToken.token_sha256 == token_sha256, RefreshToken.used_at.is_not(None)
        )
    ).scalar()
    return family


def revoke_family(connection: Connection, family_id: UUID, *, access_lifetime: timedelta) -> None:
    """End a session: its refresh tokens, and the access tokens that were issued with them.

    Access tokens carry the family's id, so one row in ``revoked_tokens`` refuses them all; it is
    needed until the last of them expires.
    """
    connection.execute(
        update(RefreshToken)
        .where(RefreshToken.family_id == family_id, RefreshToken.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    connection.execute(
        insert_or(RevokedToken)
        .values(jti=family_id, expires_at=func.now() + access_lifetime)
        .on_conflict_do_update(
            index_elements=[RevokedToken.jti],
            set_={"expires_at": func.now() + access_lifetime},
        )
    )


def delete_expired_revoked_tokens(connection: Connection, *, now: datetime, limit: int) -> int:
    """Forget up to ``limit`` revocations of tokens that have expired anyway; return how many."""
    return connection.execute(_FORGET_REVOKED, {"now": now, "limit": limit}).rowcount


def delete_expired_refresh_tokens(connection: Connection, *, now: datetime, limit: int) -> int:
    """Delete up to ``limit`` refresh tokens that have expired; return how many."""
    return connection.execute(_FORGET_REFRESH, {"now": now, "limit": limit}).rowcount
