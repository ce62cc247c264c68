"""The SQL of tokens that end before their time, in refresh_tokens and revoked_tokens.

Access tokens carry the id of their session, so one row in ``revoked_tokens`` refuses all of a
session; the janitor forgets it once the last of them has expired.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, func, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or

from docmill_shared.schema import RefreshToken, RevokedToken

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


#: Whoever may still have an access token of the session is told by the latest of these times.
_END_SESSIONS = text("""
with ended as (
    update refresh_tokens set revoked_at = now() where user_id = :user_id and revoked_at is null
    returning family_id, greatest(created_at, used_at) as issued_at
)
insert into revoked_tokens (jti, expires_at)
select distinct family_id, now() + :access_lifetime from ended
where issued_at > now() - :access_lifetime order by family_id
on conflict (jti) do update
    set expires_at = greatest(revoked_tokens.expires_at, excluded.expires_at)
""")


def revoke(connection: Connection, jti: UUID, expires_at: datetime) -> None:
    """Refuse this access token from now on; the janitor forgets it once it has expired."""
    connection.execute(
        insert_or(RevokedToken)
        .values(jti=jti, expires_at=expires_at)
        .on_conflict_do_nothing(index_elements=[RevokedToken.jti])
    )


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
            set_={
                "expires_at": func.greatest(RevokedToken.expires_at, func.now() + access_lifetime)
            },
        )
    )


def end_all_sessions(connection: Connection, user_id: UUID, *, access_lifetime: timedelta) -> None:
    """End every session of the user, as ``revoke_family`` ends one."""
    connection.execute(_END_SESSIONS, {"user_id": user_id, "access_lifetime": access_lifetime})


def forget_expired(connection: Connection, *, now: datetime, limit: int) -> int:
    """Forget up to ``limit`` revocations of tokens that have expired anyway; return how many."""
    return connection.execute(_FORGET_REVOKED, {"now": now, "limit": limit}).rowcount


def delete_expired(connection: Connection, *, now: datetime, limit: int) -> int:
    """Delete up to ``limit`` refresh tokens that have expired; return how many."""
    return connection.execute(_FORGET_REFRESH, {"now": now, "limit": limit}).rowcount
