"""Delete old deliveries of webhooks, and give up those whose turn never came."""

from datetime import datetime, timedelta

from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared.webhooks import deliveries


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Up to ``limit`` of each; deliveries are kept for ``WEBHOOK_DELIVERY_DAYS``."""
    age = timedelta(days=resources.settings.webhook_delivery_days)
    with resources.sweeping(dry_run=dry_run) as connection:
        given_up = deliveries.give_up_overdue(connection, now=now, limit=limit)
        gone = deliveries.delete_older_than(connection, now=now, age=age, limit=limit)
    return Swept({"given_up": given_up, "deleted": gone}, more=limit in (given_up, gone))
