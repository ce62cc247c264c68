"""Queue the files of dead workers again; fail those that keep killing theirs."""

from datetime import datetime

from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared.files import dispatch


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """End every lease that has expired."""
    with resources.engine.connect() as connection:
        recovered = dispatch.recover_expired_leases(
            connection, now=now, max_deliveries=resources.settings.max_deliveries, limit=limit
        )
        if not dry_run:
            connection.commit()
            for owner_id, file in recovered.told:
                resources.progress.tell(owner_id, file)
    return Swept(
        {"requeued": recovered.requeued, "failed": recovered.failed},
        more=recovered.requeued + recovered.failed >= limit,
    )
