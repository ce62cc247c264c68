"""Remove what deleted accounts leave: their files, and their row once there are none."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from docmill_janitor.deletions import finding, finish
from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared import closed_accounts
from docmill_shared.database import autocommit
from docmill_shared.files import deletions
from docmill_shared.states import FileStatus

#: Accounts of one sweep.
_ACCOUNTS = 100


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Delete up to ``limit`` files of accounts that were deleted, public ones first; then the rows.

    An account whose objects the store does not give up stays until it does.
    """
    with autocommit(resources.engine) as connection:
        closed = closed_accounts.listed(connection, limit=_ACCOUNTS)
        doomed = deletions.take_of_owners(connection, closed, limit=limit, dry_run=dry_run)
    if dry_run:
        findings = (*map(finding, doomed), *(f"remove account {each}" for each in closed))
        return Swept(
            {"files": len(doomed), "accounts": len(closed), "kept": 0},
            more=len(doomed) == limit or len(closed) == _ACCOUNTS,
            findings=findings,
        )
    # Also what was a DUPLICATE leaves no row.
    marked = [replace(each, status=FileStatus.DELETING) for each in doomed]
    finished = finish(resources, marked, now=now)
    removed = sum(_remove(resources, each) for each in closed)
    return Swept(
        {"files": len(finished.gone), "accounts": removed, "kept": finished.kept},
        # One statement stops at many passages too, so only the next sweep knows that it is done.
        more=(bool(doomed) or removed == _ACCOUNTS) and not finished.away,
    )


def _remove(resources: Resources, user_id: UUID) -> bool:
    try:
        with autocommit(resources.engine) as connection:
            return closed_accounts.remove(connection, user_id)
    except IntegrityError:
        # A request that began before the end reserved a file just now; the next sweep has it.
        return False
