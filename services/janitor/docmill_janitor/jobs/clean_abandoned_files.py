"""Delete files that were reserved and never confirmed, and files that FAILED and were left."""

from collections import Counter
from datetime import datetime

from docmill_janitor.deletions import finding, finish
from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared.database import autocommit
from docmill_shared.files import deletions


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Delete up to ``limit`` files that were so for longer than ``ABANDONED_AFTER_HOURS``.

    They are DELETING before anything is touched: an object that cannot be deleted now is left to
    ``finish_deletions``, with the row that knows its key.
    """
    with autocommit(resources.engine) as connection:
        doomed = deletions.take_abandoned(
            connection,
            now=now,
            age=resources.settings.abandoned_after,
            limit=limit,
            dry_run=dry_run,
        )
    if dry_run:
        gone, kept, away = {each.file_id for each in doomed}, 0, False
    else:
        finished = finish(resources, doomed, now=now)
        gone, kept, away = finished.gone, finished.kept, finished.away
    kinds = Counter(each.status.lower() for each in doomed if each.file_id in gone)
    return Swept(
        {"pending": kinds["pending"], "failed": kinds["failed"], "kept": kept},
        more=len(doomed) == limit and not away,
        findings=tuple(finding(each) for each in doomed) if dry_run else (),
    )
