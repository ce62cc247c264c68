"""Runs one job once: in bounded sweeps, and with a record of what it did."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4, uuid5

from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bound_contextvars

from docmill_janitor import metrics
from docmill_janitor.resources import Resources
from docmill_janitor.schedule import ScheduledJob
from docmill_janitor.swept import Swept
from docmill_shared import job_runs
from docmill_shared.database import autocommit
from docmill_shared.observability import get_logger

_log = get_logger(__name__)

#: A job goes on sweeping this long while there is more; the rest waits for its next slot.
SWEEP_FOR_SECONDS = 60.0
#: Lines of a dry run that the history keeps.
FINDINGS = 200
#: A slot has one row in the history, however often its message is delivered.
_RUNS = UUID("2f6f0c51-65b6-4f3e-9c55-6a0f4be0f1aa")


def run(
    job: ScheduledJob,
    slot: datetime | None,
    resources: Resources,
    *,
    run_id: UUID | None = None,
    requested_by: UUID | None = None,
    dry_run: bool = False,
) -> Swept:
    """Sweep until there is nothing more or time is up; a dry run is one sweep. Record it.

    A scheduled run of a frequent job is recorded only if it did something. Raises whatever the job
    raised, after it was recorded as far as possible.
    """
    run_id = run_id or (uuid5(_RUNS, f"{job.name} {slot.isoformat()}") if slot else uuid4())
    with bound_contextvars(job=job.name, run_id=str(run_id)), _measured(job, dry_run) as run:
        run.total = _recorded(job, slot, resources, run_id, requested_by, dry_run)
        return run.total


@dataclass
class _Measured:
    """What a run did, once it has."""

    total: Swept = field(default_factory=Swept)


@contextmanager
def _measured(job: ScheduledJob, dry_run: bool) -> Iterator[_Measured]:
    """Count the run in this block by how it ends, and what it did."""
    began, run, result = time.perf_counter(), _Measured(), "failed"
    try:
        yield run
        result = "refused" if run.total.refused else "done"
    finally:
        metrics.RUNS.labels(job.name, result).inc()
        metrics.RUN_SECONDS.labels(job.name).observe(time.perf_counter() - began)
        if not dry_run:
            for kind, count in run.total.counts.items():
                metrics.ROWS.labels(job.name, kind).inc(count)


def _recorded(
    job: ScheduledJob,
    slot: datetime | None,
    resources: Resources,
    run_id: UUID,
    requested_by: UUID | None,
    dry_run: bool,
) -> Swept:
    now = resources.now()

    def begin() -> None:
        with autocommit(resources.engine) as connection:
            job_runs.begin(
                connection,
                run_id,
                job=job.name,
                slot=slot,
                dry_run=dry_run,
                requested_by=requested_by,
            )

    quiet = job.frequent and requested_by is None and not dry_run
    if not quiet:
        begin()
    total, failure = Swept(), None
    try:
        total = _sweep(job, resources, now, dry_run)
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        raise
    finally:
        if failure or not (quiet and total.idle):
            if quiet:
                _attempt(begin, job)
            _finish(job, run_id, total, failure, resources)
    return total


def _sweep(job: ScheduledJob, resources: Resources, now: datetime, dry_run: bool) -> Swept:
    began = time.monotonic()
    counts: Counter[str] = Counter()
    while True:
        swept = job.run(resources, now=now, limit=resources.settings.sweep_rows, dry_run=dry_run)
        counts.update(swept.counts)
        # A sweep that did nothing although there is more cannot go on now.
        more = swept.more and not swept.idle and not dry_run
        if not more or time.monotonic() - began >= SWEEP_FOR_SECONDS:
            return Swept(dict(counts), swept.more, swept.findings, swept.refused)


def _finish(
    job: ScheduledJob, run_id: UUID, total: Swept, failure: str | None, resources: Resources
) -> None:
    if total.refused:
        failure = f"{job_runs.REFUSED}{total.refused}"
        _log.warning("refused", why=total.refused)
    _log.info("ran", error=failure, **total.counts)
    findings = list(total.findings[:FINDINGS])
    if len(total.findings) > FINDINGS:
        findings.append(f"and {len(total.findings) - FINDINGS} more")

    def finish() -> None:
        with autocommit(resources.engine) as connection:
            job_runs.finish(
                connection, run_id, counts=total.counts, findings=findings, error=failure
            )

    _attempt(finish, job)


def _attempt(record: Callable[[], None], job: ScheduledJob) -> None:
    """What was done is done, also if it cannot be recorded."""
    try:
        record()
    except SQLAlchemyError as error:
        _log.warning("the run could not be recorded", job=job.name, error=str(error))
