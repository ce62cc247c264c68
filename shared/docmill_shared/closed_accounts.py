"""The SQL of accounts that were deleted, from the wish of their owner to the last row.

``users.deleted_at`` refuses the account at once. Its row stays while it has files, because they
know their owner by it; it has neither the e-mail nor the password any more.
"""

from uuid import UUID

from sqlalchemy import Connection, String, and_, cast, delete, exists, func, or_, select, update

from docmill_shared.schema import File, User
from docmill_shared.states import FileStatus

#: The janitor's job that removes what is left.
JOB = "remove_deleted_accounts"

_HAS_FILES = exists().where(File.owner_id == User.id)
_HAS_FILES_TO_MARK = exists().where(
    and_(File.owner_id == User.id, File.status != FileStatus.DELETING)
)


def close(connection: Connection, user_id: UUID, *, password_hash: str, nobodys_hash: str) -> bool:
    """Refuse the account from now on and free its e-mail; False when the hash is another by now.

    ``nobodys_hash`` takes the place of the password's: no password fits it.
    """
    closed = connection.execute(
        update(User)
        .where(User.id == user_id, User.password_hash == password_hash, User.deleted_at.is_(None))
        .values(
            deleted_at=func.now(),
            # No e-mail address, so nobody can have taken it.
            email=func.concat("deleted ", cast(User.id, String)),
            password_hash=nobodys_hash,
            role="user",
            welcomed_at=func.coalesce(User.welcomed_at, func.now()),
        )
    )
    return closed.rowcount == 1


def listed(connection: Connection, *, limit: int) -> list[UUID]:
    """Up to ``limit`` deleted accounts for which something can be done, the oldest first.

    One whose files are all being deleted waits for that, and holds up nobody behind it.
    """
    return list(
        connection.execute(
            select(User.id)
            .where(User.deleted_at.is_not(None), or_(_HAS_FILES_TO_MARK, ~_HAS_FILES))
            .order_by(User.deleted_at)
            .limit(limit)
        ).scalars()
    )


def remove(connection: Connection, user_id: UUID) -> bool:
    """Remove the row of a deleted account without files, and all that hangs on it.

    Raises:
        sqlalchemy.exc.IntegrityError: a file was reserved in this very moment.
    """
    removed = connection.execute(
        delete(User).where(User.id == user_id, User.deleted_at.is_not(None), ~_HAS_FILES)
    )
    return removed.rowcount == 1
