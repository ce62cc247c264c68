"""Delete old runs of jobs from the history."""

from datetime import datetime, timedelta

from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared import job_runs


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Delete up to ``limit`` runs older than ``HISTORY_DAYS``; each job's latest stays."""
    age = timedelta(days=resources.settings.history_days)
    with resources.sweeping(dry_run=dry_run) as connection:
        gone = job_runs.delete_older_than(connection, now=now, age=age, limit=limit)
    return Swept({"runs": gone}, more=gone == limit)
