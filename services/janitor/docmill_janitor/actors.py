"""The actors of the janitor's queues: rebuild the message, call one function."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import dramatiq
from sqlalchemy.exc import OperationalError

from docmill_janitor import runner
from docmill_janitor.resources import Resources
from docmill_janitor.schedule import ScheduledJob
from docmill_janitor.welcome import welcome
from docmill_shared.broker import HardenedRedisBroker
from docmill_shared.errors import TransientError
from docmill_shared.messages import RunJob, WelcomeUser
from docmill_shared.observability import get_logger

_log = get_logger(__name__)


def declare(
    broker: HardenedRedisBroker, resources: Resources, jobs: Sequence[ScheduledJob]
) -> None:
    """Register the actors; that of recurring jobs runs any of these."""
    by_name = {job.name: job for job in jobs}

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
        job = by_name[message.job]
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

    # After jobs: a mail server that is slow must not delay repairs. About half an hour of retries
    # and then a dead letter. They come closer together than ``welcomes.LEAVE_ALONE`` after the end
    # of a claim, so that no second message is sent for a user whose first is being tried.
    @dramatiq.actor(
        broker=broker,
        actor_name=WelcomeUser.actor,
        queue_name=WelcomeUser.queue,
        priority=10,
        max_retries=12,
        min_backoff=15_000,
        max_backoff=240_000,
    )
    def welcome_user(**fields: object) -> None:
        message = WelcomeUser.from_fields(fields)
        welcome(UUID(message.user_id), resources)
