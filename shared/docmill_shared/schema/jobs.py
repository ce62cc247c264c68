"""The schedule and the history of the recurring jobs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Index,
    false,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from docmill_shared.schema.base import Base


class ScheduleSlot(Base):
    """The latest slot of a recurring job that was claimed; who moves it on sends the message."""

    __tablename__ = "schedule_slots"

    job: Mapped[str] = mapped_column(primary_key=True)
    slot: Mapped[datetime]


class ScheduledJobRow(Base):
    """A recurring job as the scheduler that runs has it, for operators to see and to pause."""

    __tablename__ = "schedule"

    job: Mapped[str] = mapped_column(primary_key=True)
    cron: Mapped[str]
    what: Mapped[str]
    #: None for a job that runs every few seconds.
    next_at: Mapped[datetime | None]
    #: When a scheduler last said so.
    published_at: Mapped[datetime]
    #: While set, slots pass by without a message.
    paused_at: Mapped[datetime | None]
    #: Where a job that works through everything in parts goes on.
    bookmark: Mapped[str | None]


class JobRun(Base):
    """One run of a recurring job: what it did, or why it could not."""

    __tablename__ = "job_runs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job: Mapped[str]
    slot: Mapped[datetime | None]
    started_at: Mapped[datetime]
    #: None while it runs, and for ever if its worker died.
    finished_at: Mapped[datetime | None]
    dry_run: Mapped[bool] = mapped_column(server_default=false())
    #: The user who asked for it; None: the schedule.
    requested_by: Mapped[UUID | None]
    counts: Mapped[dict[str, int]] = mapped_column(JSONB, server_default=sql("'{}'"))
    #: A line for each thing that a dry run found to do, as far as they were kept.
    findings: Mapped[list[str]] = mapped_column(JSONB, server_default=sql("'[]'"))
    error: Mapped[str | None]
    host: Mapped[str]

    __table_args__ = (
        Index("job_runs_newest", "job", sql("started_at desc")),
        Index("job_runs_started", "started_at"),
    )
