"""Delete old events from the audit log."""

from datetime import datetime, timedelta

from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared import audit


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Delete up to ``limit`` events older than ``AUDIT_RETENTION_DAYS``."""
    age = timedelta(days=resources.settings.audit_retention_days)
    with resources.sweeping(dry_run=dry_run) as connection:
        gone = audit.delete_older_than(connection, now=now, age=age, limit=limit)
    findings = (f"delete {gone} events older than {age.days} days",) if gone else ()
    return Swept({"events": gone}, more=gone == limit, findings=findings)
