"""The scheduler process: fires messages, does no work. ``python -m docmill_janitor.scheduler``."""

import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.exc import SQLAlchemyError

from docmill_janitor import metrics
from docmill_janitor.backlog_metrics import BacklogCollector
from docmill_janitor.resources import Resources, build
from docmill_janitor.schedule import ScheduledJob, claim_slot, latest_slot, published, schedule
from docmill_janitor.scheduler_health import SchedulerHealth
from docmill_janitor.settings import JanitorSettings
from docmill_shared import exposition, job_schedule
from docmill_shared.broker import QueueUnavailable, depth, send
from docmill_shared.errors import ConfigurationError
from docmill_shared.health_endpoint import serve_health
from docmill_shared.messages import JANITOR_QUEUE, RunJob
from docmill_shared.observability import get_logger
from docmill_shared.startup import prepare, refuse, require_schema

SERVICE = "janitor-scheduler"

_log = get_logger(__name__)

#: Slots that were missed, because this process or a service was away, are looked for this often.
CATCH_UP_EVERY = timedelta(seconds=30)
#: With this many messages waiting the workers are behind; frequent repairs then skip a turn.
BACKLOG = 50


def fire(job: ScheduledJob, resources: Resources) -> None:
    """Send the job's message for its latest slot, unless someone has already."""
    within = timedelta(minutes=2)
    if not job.frequent:
        within = max(within, timedelta(seconds=resources.settings.catch_up_seconds))
    slot = latest_slot(job.trigger, datetime.now(UTC), within)
    if slot is None:
        return
    try:
        if job.frequent and depth(resources.broker, JANITOR_QUEUE) > BACKLOG:
            metrics.SLOTS.labels(job.name, "behind").inc()
            _log.warning("the janitor's workers are behind", job=job.name)
            return
        with resources.engine.begin() as connection:
            if claim_slot(connection, job.name, slot):
                send(resources.broker, RunJob(job=job.name, slot=slot.isoformat()))
                metrics.SLOTS.labels(job.name, "fired").inc()
                _log.debug("fired", job=job.name, slot=slot.isoformat())
    except (QueueUnavailable, SQLAlchemyError) as error:
        metrics.SLOTS.labels(job.name, "failed").inc()
        _log.warning("could not fire", job=job.name, error=str(error).partition("\n")[0])


def catch_up(resources: Resources, jobs: Sequence[ScheduledJob]) -> None:
    """Publish the schedule, and fire whatever was missed within the catch-up window."""
    try:
        with resources.engine.begin() as connection:
            now = datetime.now(UTC)
            job_schedule.publish(connection, published(jobs, now), now)
    except SQLAlchemyError as error:
        _log.warning("could not publish", error=str(error).partition("\n")[0])
    for job in jobs:
        if not job.frequent:
            fire(job, resources)


def _count_missed(event: JobEvent) -> None:
    """Called when a slot passed without being looked at: too late, or the one before still runs."""
    metrics.SLOTS.labels(event.job_id, "missed").inc()


def run(resources: Resources, jobs: Sequence[ScheduledJob]) -> None:
    """Fire these jobs until SIGTERM or Ctrl-C.

    Raises:
        ConfigurationError: the health endpoint's port cannot be had.
    """
    # Before the health endpoint says that there is a process to end: without a handler, process 1
    # of a container loses the signal. Only a queue of this kind may be filled by a handler that
    # interrupts anything; the scheduler's own locks may be held by what it interrupts.
    told: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.put(number))
    scheduler = BackgroundScheduler(
        timezone=UTC,
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 30},
    )
    for job in jobs:
        scheduler.add_job(fire, job.trigger, args=(job, resources), id=job.name)
    scheduler.add_job(
        catch_up,
        "interval",
        seconds=CATCH_UP_EVERY.total_seconds(),
        next_run_time=datetime.now(UTC),
        args=(resources, jobs),
        id="catch_up",
    )
    scheduler.add_listener(_count_missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
    health = SchedulerHealth(scheduler)
    serve_health(
        resources.settings,
        alive=health.alive,
        ready=health.ready,
        metrics=exposition.of_this_process(SERVICE, BacklogCollector(resources)),
    )

    _log.info("the schedule runs", jobs=[job.id for job in scheduler.get_jobs()])
    scheduler.start()
    told.get()
    health.stop()
    scheduler.shutdown(wait=False)


def main() -> None:
    """Run the schedule."""
    settings = prepare(SERVICE, JanitorSettings)
    require_schema(SERVICE, settings)
    resources = build(settings)
    try:
        run(resources, schedule(settings))
    except ConfigurationError as error:
        refuse(SERVICE, error)


if __name__ == "__main__":
    main()
