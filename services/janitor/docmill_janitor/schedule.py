"""The schedule: one row per recurring job, and the rule by which a slot fires once.

Times are UTC. Any number of schedulers may run: a slot belongs to whoever moves the job's row in
``schedule_slots`` forward to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from apscheduler.triggers.cron import CronTrigger
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from docmill_janitor.jobs import (
    clean_abandoned_files,
    clean_demo_private_files,
    clean_demo_public_files,
    clean_expired_tokens,
    dispatch_due,
    finish_deletions,
    promote_large_owners,
    prune_history,
    reconcile_storage,
    recover_expired_leases,
    remove_deleted_accounts,
    trim_audit_log,
    trim_embedding_cache,
    trim_webhook_deliveries,
    welcome_new_users,
)
from docmill_janitor.resources import Resources
from docmill_janitor.settings import JanitorSettings
from docmill_janitor.swept import Swept
from docmill_shared import closed_accounts, job_schedule
from docmill_shared.job_schedule import Published
from docmill_shared.schema import ScheduleSlot


class Run(Protocol):
    """The body of a job."""

    def __call__(
        self, resources: Resources, *, now: datetime, limit: int, dry_run: bool
    ) -> Swept: ...


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A row of the schedule."""

    name: str
    cron: str  #: five fields, or six with seconds first, in UTC
    run: Run
    what: str
    #: A repair that runs every few seconds: not recorded when it found nothing to do, never
    #: retried or caught up with, since its next slot does the same.
    frequent: bool = False

    @property
    def trigger(self) -> CronTrigger:
        """When it fires."""
        *seconds, minute, hour, day, month, weekday = self.cron.split()
        if not seconds:
            return CronTrigger.from_crontab(self.cron, timezone=UTC)
        return CronTrigger(
            second=seconds[0],
            minute=minute,
            hour=hour,
            day=day,
            month=month,
            day_of_week=weekday,
            timezone=UTC,
        )


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
            "welcome_new_users",
            _every(settings.welcome_new_users_seconds),
            welcome_new_users.run,
            "Sends the welcome mail of new users to whom it did not go out.",
            frequent=True,
        ),
        ScheduledJob(
            "finish_deletions",
            _every(settings.finish_deletions_seconds),
            finish_deletions.run,
            "Finishes deletions that were interrupted, and deletes the objects of duplicates.",
            frequent=True,
        ),
        ScheduledJob(
            closed_accounts.JOB,
            _every(settings.remove_deleted_accounts_seconds),
            remove_deleted_accounts.run,
            "Removes the files of deleted accounts, then what is left of the accounts.",
            frequent=True,
        ),
        ScheduledJob(
            "clean_expired_tokens",
            settings.clean_expired_tokens_cron,
            clean_expired_tokens.run,
            "Deletes tokens that have expired, and API keys that ended long ago.",
        ),
        ScheduledJob(
            "clean_abandoned_files",
            settings.clean_abandoned_files_cron,
            clean_abandoned_files.run,
            "Deletes files that were never confirmed, and files that FAILED and were left.",
        ),
        ScheduledJob(
            "clean_demo_public_files",
            settings.clean_demo_public_files_cron,
            clean_demo_public_files.run,
            "Deletes everybody's public files, with DEMO_MODE=true only; the demo admin's stay.",
        ),
        ScheduledJob(
            "clean_demo_private_files",
            settings.clean_demo_private_files_cron,
            clean_demo_private_files.run,
            "Deletes everybody's private files, with DEMO_MODE=true only; the demo admin's stay.",
        ),
        ScheduledJob(
            "reconcile_storage",
            settings.reconcile_storage_cron,
            reconcile_storage.run,
            "Deletes objects that no file has, and marks files whose object is missing.",
        ),
        ScheduledJob(
            "trim_embedding_cache",
            settings.trim_embedding_cache_cron,
            trim_embedding_cache.run,
            "Forgets embeddings that were long not used, and the oldest of too many.",
        ),
        ScheduledJob(
            "prune_history",
            settings.prune_history_cron,
            prune_history.run,
            "Deletes old runs of jobs from the history.",
        ),
        ScheduledJob(
            "trim_webhook_deliveries",
            settings.trim_webhook_deliveries_cron,
            trim_webhook_deliveries.run,
            "Deletes old deliveries of webhooks, and gives up those whose turn never came.",
        ),
        ScheduledJob(
            "trim_audit_log",
            settings.trim_audit_log_cron,
            trim_audit_log.run,
            "Deletes old events from the audit log.",
        ),
        ScheduledJob(
            "promote_large_owners",
            settings.promote_large_owners_cron,
            promote_large_owners.run,
            "Gives large owners an index of their own, and drops it when they have shrunk.",
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

    Of a job that is paused every slot is passed over. The row stays locked until the caller
    commits, so a slot whose message could not be sent is given back by rolling back.
    """
    if job_schedule.is_paused(connection, job):
        return False
    claimed = insert(ScheduleSlot).values(job=job, slot=slot)
    claimed = claimed.on_conflict_do_update(
        index_elements=[ScheduleSlot.job],
        set_={"slot": claimed.excluded.slot},
        where=ScheduleSlot.slot < claimed.excluded.slot,
    )
    return connection.execute(claimed.returning(ScheduleSlot.job)).one_or_none() is not None


def published(jobs: Sequence[ScheduledJob], now: datetime) -> list[Published]:
    """The schedule as operators see it."""
    return [
        Published(
            job.name,
            job.cron,
            job.what,
            None if job.frequent else job.trigger.get_next_fire_time(None, now),
        )
        for job in jobs
    ]


def _every(seconds: int) -> str:
    # Cron and not an interval: slots must be the same instants for every replica.
    return f"{f'*/{seconds}' if seconds < 60 else '0'} * * * * *"
