"""The composition root of the janitor's processes."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, func, select

from docmill_janitor.settings import JanitorSettings
from docmill_shared.broker import HardenedRedisBroker, create_broker
from docmill_shared.database import autocommit, create_engine
from docmill_shared.objects import ObjectStore, S3ObjectStore


@dataclass(frozen=True)
class Resources:
    """What jobs use. Nothing connects before its first use."""

    settings: JanitorSettings
    engine: Engine
    objects: ObjectStore
    broker: HardenedRedisBroker

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
    )
