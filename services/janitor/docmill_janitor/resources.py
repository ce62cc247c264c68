"""The composition root of the janitor's processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection, Engine, func, select

from docmill_janitor.mail import Mailer, SmtpMailer
from docmill_janitor.settings import JanitorSettings
from docmill_shared.broker import HardenedRedisBroker, create_broker
from docmill_shared.database import autocommit, create_engine
from docmill_shared.objects import ObjectStore, S3ObjectStore
from docmill_shared.progress import ProgressLog


@dataclass(frozen=True)
class Resources:
    """What jobs use. Nothing connects before its first use."""

    settings: JanitorSettings
    engine: Engine
    objects: ObjectStore
    broker: HardenedRedisBroker
    #: None: no mail server is set, and no mail is sent.
    mailer: Mailer | None

    @cached_property
    def progress(self) -> ProgressLog:
        """Tells those who watch a file."""
        return ProgressLog(self.broker.client)

    @contextmanager
    def sweeping(self, *, dry_run: bool) -> Iterator[Connection]:
        """A connection whose every statement commits by itself; in a dry run, nothing does."""
        if not dry_run:
            with autocommit(self.engine) as connection:
                yield connection
            return
        with self.engine.connect() as connection:
            yield connection
            connection.rollback()

    def now(self) -> datetime:
        """The database's clock: the one that leases are written by."""
        with autocommit(self.engine) as connection:
            return connection.execute(select(func.now())).scalar_one()


def build(settings: JanitorSettings) -> Resources:
    """Wire a janitor process."""
    return Resources(
        settings=settings,
        engine=create_engine(settings, "docmill-janitor"),
        objects=S3ObjectStore(settings),
        broker=create_broker(settings),
        mailer=SmtpMailer(settings) if settings.smtp_host else None,
    )
