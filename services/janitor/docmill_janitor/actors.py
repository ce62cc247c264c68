"""The actor of the janitor's queue: rebuild the message, run the job it names."""

from datetime import datetime
from uuid import UUID

import dramatiq
from sqlalchemy.exc import OperationalError

from docmill_janitor import runner
from docmill_janitor.resources import Resources
from docmill_janitor.schedule import schedule
from docmill_shared.broker import HardenedRedisBroker
from docmill_shared.errors import TransientError
from docmill_shared.messages import RunJob
from docmill_shared.observability import get_logger

_log = get_logger(__name__)


def declare(broker: HardenedRedisBroker, resources: Resources) -> None:
    """Register the actor."""
    jobs = {job.name: job for job in schedule(resources.settings)}

    @dramatiq.actor(
        broker=broker,
        actor_name=RunJob.actor,
        queue_name=RunJob.queue,
        max_retries=3,
        min_backoff=15_000,
        max_backoff=300_000,
    )
    def run_job(**fields: object) -> None:
        message = RunJob.from_fields(fields)
        job = jobs[message.job]
        try:
            runner.run(
                job,
                datetime.fromisoformat(message.slot) if message.slot else None,
                resources,
                run_id=UUID(message.run_id) if message.run_id else None,
                requested_by=UUID(message.requested_by) if message.requested_by else None,
                dry_run=message.dry_run,
            )
        except (TransientError, OperationalError) as error:
            if not job.frequent:
                raise
            _log.warning("skipped a turn", job=job.name, error=str(error).partition("\n")[0])
