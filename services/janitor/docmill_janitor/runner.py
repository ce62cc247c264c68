"""Runs one job for one slot: in bounded sweeps, and with a record of what it did."""

import time
from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from docmill_janitor import history
from docmill_janitor.resources import Resources
from docmill_janitor.schedule import ScheduledJob
from docmill_janitor.swept import Swept
from docmill_shared.database import autocommit
from docmill_shared.observability import get_logger

_log = get_logger(__name__)

#: A job goes on sweeping this long while there is more; the rest waits for its next slot.
SWEEP_FOR_SECONDS = 60.0


def run(job: ScheduledJob, slot: datetime | None, resources: Resources) -> Swept:
    """Sweep until there is nothing more or time is up; record it.

    Raises whatever the job raised, after it was recorded as far as possible.
    """
    started_at = resources.now()
    began = time.monotonic()
    counts: Counter[str] = Counter()
    more, failure = True, None
    try:
        while more and time.monotonic() - began < SWEEP_FOR_SECONDS:
            swept = job.run(resources, now=started_at, limit=resources.settings.sweep_rows)
            counts.update(swept.counts)
            # A sweep that did nothing although there is more cannot go on now.
            more = swept.more and not swept.idle
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        raise
    finally:
        total = Swept(dict(counts), more=more)
        if failure or not (job.frequent and total.idle):
            elapsed = timedelta(seconds=time.monotonic() - began)
            _record(job, slot, started_at, started_at + elapsed, total, failure, resources)
    return total


def _record(
    job: ScheduledJob,
    slot: datetime | None,
    started_at: datetime,
    finished_at: datetime,
    total: Swept,
    failure: str | None,
    resources: Resources,
) -> None:
    _log.info("ran", job=job.name, error=failure, **total.counts)
    try:
        with autocommit(resources.engine) as connection:
            history.record(
                connection,
                job=job.name,
                slot=slot,
                started_at=started_at,
                finished_at=finished_at,
                counts=total.counts,
                error=failure,
            )
    except SQLAlchemyError as error:
        _log.warning("the run could not be recorded", job=job.name, error=str(error))
