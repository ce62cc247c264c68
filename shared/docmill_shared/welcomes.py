"""The SQL of welcome mails, two columns of ``users``: who has had one, who sends one just now.

In the row of a user, ``welcomed_at`` null is a question that is still open; set, it is settled.
``welcome_claimed_at`` is the time of the last claim, and serves as its token: only who holds it
can settle. Settled without a claim means that no mail was sent: the address refuses mail for
good, or the account is older than welcome mails.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, or_, select, update

from docmill_shared.schema import User

#: A claim this old is that of a dead worker. Longer than any conversation with a mail server.
CLAIM_LASTS = timedelta(minutes=5)
#: A user of whom a worker was told this lately is left to that worker and to its retries.
LEAVE_ALONE = timedelta(minutes=10)
#: Somebody who registered longer ago has found the way without a welcome.
STALE = timedelta(hours=24)
#: A younger account's message is on its way.
ON_ITS_WAY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send one user the welcome mail, until it expires or is settled."""

    user_id: UUID
    email: str
    claimed_at: datetime


def claim(connection: Connection, user_id: UUID) -> Claim | None:
    """Take the right to send; None when it was sent, somebody else sends it, or the user is gone.

    One conditional UPDATE: of any number of callers at the same time one gets it.
    """
    row = connection.execute(
        update(User)
        .where(
            User.id == user_id,
            User.welcomed_at.is_(None),
            _unclaimed_since(func.now() - CLAIM_LASTS),
        )
        .values(welcome_claimed_at=func.now())
        .returning(User.email, User.welcome_claimed_at)
    ).one_or_none()
    if row is None or row.welcome_claimed_at is None:
        return None
    return Claim(user_id, row.email, row.welcome_claimed_at)


def sent(connection: Connection, held: Claim) -> bool:
    """The mail was accepted; False when the claim had expired and is somebody else's by now."""
    return _change(connection, held, welcomed_at=func.now())


def give_up(connection: Connection, held: Claim) -> bool:
    """There will be no mail; settled without a claim."""
    return _change(connection, held, welcomed_at=func.now(), welcome_claimed_at=None)


def release(connection: Connection, held: Claim) -> bool:
    """It did not work this time: anybody may claim at once.

    The claim is made to look expired rather than taken away, so that ``unwelcomed`` still leaves
    the user to the retries of the message that was just tried.
    """
    return _change(connection, held, welcome_claimed_at=func.now() - CLAIM_LASTS)


def unwelcomed(connection: Connection, *, now: datetime, limit: int) -> list[UUID]:
    """Up to ``limit`` new users whose message seems to be lost, the oldest first."""
    return list(
        connection.execute(
            select(User.id)
            .where(
                User.welcomed_at.is_(None),
                User.created_at > now - STALE,
                User.created_at < now - ON_ITS_WAY,
                _unclaimed_since(now - LEAVE_ALONE),
            )
            .order_by(User.created_at)
            .limit(limit)
        ).scalars()
    )


def _unclaimed_since(then: ColumnElement[datetime] | datetime) -> ColumnElement[bool]:
    return or_(User.welcome_claimed_at.is_(None), User.welcome_claimed_at <= then)


def _change(connection: Connection, held: Claim, **values: object) -> bool:
    changed = connection.execute(
        update(User)
        .where(User.id == held.user_id, User.welcome_claimed_at == held.claimed_at)
        .values(**values)
    )
    return changed.rowcount == 1
