"""What the two cleanups of a public demonstration share: what they may delete, and when not."""

from datetime import datetime

from docmill_janitor.deletions import finding, finish
from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared import accounts
from docmill_shared.database import autocommit
from docmill_shared.files import deletions
from docmill_shared.states import Visibility


def clean(
    resources: Resources, visibility: Visibility, *, now: datetime, limit: int, dry_run: bool
) -> Swept:
    """Delete COMPLETED files of this visibility, except those of ``DEMO_ADMIN_EMAIL``.

    Refuses outside of demo mode, and while that address names nobody: with a letter wrong in it,
    the admin's own files would go.
    """
    settings = resources.settings
    if not settings.demo_mode:
        return Swept(refused="DEMO_MODE is not true, so nobody's files are deleted.")
    email = (settings.demo_admin_email or "").strip().lower()
    with autocommit(resources.engine) as connection:
        admin = accounts.credentials(connection, email)
    if admin is None:
        return Swept(
            refused="DEMO_ADMIN_EMAIL names no account. Register it or correct the setting;"
            " until then nothing is deleted."
        )
    with autocommit(resources.engine) as connection:
        doomed = deletions.take_completed(
            connection, visibility=visibility, spare=admin.id, limit=limit, dry_run=dry_run
        )
    if dry_run:
        return Swept(
            {"files": len(doomed), "kept": 0},
            more=len(doomed) == limit,
            findings=tuple(finding(each) for each in doomed),
        )
    finished = finish(resources, doomed, now=now)
    return Swept(
        {"files": len(finished.gone), "kept": finished.kept},
        # One statement stops at many passages too, so only the next sweep knows that it is done.
        more=bool(doomed) and not finished.away,
    )
