"""Send the files that are due and that no worker was told of, or whose message was lost."""

import time
from datetime import datetime, timedelta

from sqlalchemy import Connection
from structlog.contextvars import bound_contextvars

from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared.broker import depth, send
from docmill_shared.files import dispatch
from docmill_shared.files.dispatch import Due
from docmill_shared.messages import BULK_QUEUE, INGEST_QUEUE, IngestBulkFile, IngestFile

#: A message that nobody picked up for this long is lost if its queue is empty...
LOST_AFTER = timedelta(seconds=15)
#: ...and if its queue is not, it may just be waiting its turn behind long files.
LOST_AT_THE_LATEST = timedelta(minutes=10)
#: The queues are kept short so that nobody stands behind another's flood; so they are filled up
#: this often while there is more.
TOP_UP_SECONDS = 0.05


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Keep the ingest queues filled up to their cap until nothing is due or the next slot is.

    Files that somebody waits for go to their own queue, of which workers take first.

    Raises:
        QueueUnavailable: nothing is lost; what was marked as sent is sent again in a while.
    """
    began = time.monotonic()
    sent = 0
    with resources.sweeping(dry_run=dry_run) as connection:
        lost = _take_lost(connection, resources, now, limit)
        while True:
            elapsed = time.monotonic() - began
            at = now + timedelta(seconds=elapsed)
            filled, more = _fill(connection, resources, at, limit, dry_run)
            sent += filled
            over = dry_run or sent >= limit or elapsed >= resources.settings.dispatch_seconds
            if over or not more:
                return Swept({"sent": sent, "lost": lost})
            time.sleep(TOP_UP_SECONDS)


def _take_lost(connection: Connection, resources: Resources, now: datetime, limit: int) -> int:
    waiting = sum(depth(resources.broker, queue) for queue in (INGEST_QUEUE, BULK_QUEUE))
    older_than = LOST_AT_THE_LATEST if waiting else LOST_AFTER
    return dispatch.take_lost(connection, now=now, older_than=older_than, limit=limit)


def _fill(
    connection: Connection, resources: Resources, now: datetime, limit: int, dry_run: bool
) -> tuple[int, bool]:
    """Fill both queues up once; return how many were sent and whether there may be more."""
    sent, more = 0, False
    for kind in (IngestFile, IngestBulkFile):
        room = resources.settings.ingest_queue_cap - depth(resources.broker, kind.queue)
        room = min(room, limit - sent)
        due: list[Due] = []
        if room > 0:
            bulk = kind is IngestBulkFile
            due = dispatch.take_due(connection, bulk=bulk, now=now, limit=room)
            for file in () if dry_run else due:
                # The message belongs to the request that queued the file, and not to one that an
                # operator ran this job by.
                with bound_contextvars(request_id=file.request_id):
                    send(resources.broker, kind(file_id=str(file.file_id)))
        sent += len(due)
        more = more or len(due) >= room
    return sent, more
