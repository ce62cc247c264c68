"""The schedule: one row per recurring job, and the rule by which a slot fires once.

Times are UTC. Any number of schedulers may run: a slot belongs to whoever moves the job's row in
``schedule_slots`` forward to it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from apscheduler.triggers.cron import CronTrigger
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from docmill_janitor.jobs import clean_expired_tokens, dispatch_due, recover_expired_leases
from docmill_janitor.resources import Resources
from docmill_janitor.settings import JanitorSettings
from docmill_janitor.swept import Swept
from docmill_shared.schema import ScheduleSlot


class Run(Protocol):
    """The body of a job."""

    def __call__(self, resources: Resources, *, now: datetime, limit: int) -> Swept: ...


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A row of the schedule."""

    name: str
    trigger: CronTrigger
    run: Run
    what: str
    #: A repair that runs every few seconds: not recorded when it found nothing to do, never
    #: retried or caught up with, since its next slot does the same.
    frequent: bool = False


def schedule(settings: JanitorSettings) -> tuple[ScheduledJob, ...]:
    """Every recurring job."""
    return (
        ScheduledJob(
            "dispatch_due",
            _every(settings.dispatch_seconds),
            dispatch_due.run,
            "Sends files that are due to the ingest queue, fairly over their owners.",
            frequent=True,
        ),
        ScheduledJob(
            "recover_expired_leases",
            _every(settings.recover_seconds),
            recover_expired_leases.run,
            "Queues the files of dead workers again.",
            frequent=True,
        ),
        ScheduledJob(
            "clean_expired_tokens",
            _cron(settings.clean_expired_tokens_cron),
            clean_expired_tokens.run,
            "Deletes revoked and refresh tokens that have expired.",
        ),
    )


def latest_slot(trigger: CronTrigger, now: datetime, within: timedelta) -> datetime | None:
    """The trigger's last slot at or before ``now`` and no older than ``within``."""
    slot: datetime | None = None
    following = trigger.get_next_fire_time(None, now - within)
    while following is not None and following <= now:
        slot = following
        following = trigger.get_next_fire_time(slot, slot)
    return slot


def claim_slot(connection: Connection, job: str, slot: datetime) -> bool:
    """Whether this slot is the caller's: it is later than any claimed before.

    The row stays locked until the caller commits, so a slot whose message could not be sent is
    given back by rolling back.
    """
    claimed = insert(ScheduleSlot).values(job=job, slot=slot)
    claimed = claimed.on_conflict_do_update(
        index_elements=[ScheduleSlot.job],
        set_={"slot": claimed.excluded.slot},
        where=ScheduleSlot.slot < claimed.excluded.slot,
    )
    return connection.execute(claimed.returning(ScheduleSlot.job)).one_or_none() is not None


def _every(seconds: int) -> CronTrigger:
    # Cron and not an interval: slots must be the same instants for every replica.
    return CronTrigger(second=f"*/{seconds}" if seconds < 60 else "0", timezone=UTC)


def _cron(expression: str) -> CronTrigger:
    return CronTrigger.from_crontab(expression, timezone=UTC)
