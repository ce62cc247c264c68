"""Send the files that are due and that no worker was told of, or whose message was lost."""

from datetime import datetime

from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared.broker import depth, send
from docmill_shared.database import autocommit
from docmill_shared.files import dispatch
from docmill_shared.messages import INGEST_QUEUE, IngestFile


def run(resources: Resources, *, now: datetime, limit: int) -> Swept:
    """Fill the queue up to its cap, one file of each owner in turn.

    Raises:
        QueueUnavailable: nothing is lost; what was marked as sent is sent again in a while.
    """
    room = resources.settings.ingest_queue_cap - depth(resources.broker, INGEST_QUEUE)
    if room <= 0:
        return Swept({"sent": 0}, more=True)
    with autocommit(resources.engine) as connection:
        due = dispatch.take_due(connection, now=now, limit=min(room, limit))
    for file_id in due:
        send(resources.broker, IngestFile(file_id=str(file_id)))
    return Swept({"sent": len(due)}, more=len(due) == limit)
