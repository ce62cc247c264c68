"""Waiting until every file is final."""

import time
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from docmill_shared.states import FINAL
from tests.chaos.systems import System


class Voice(Protocol):
    """Who tells the person at the keyboard how far it is."""

    def tell(self, elapsed: float, what: str) -> None:
        """Something happened."""

    def show(self, what: str, done: int, total: int) -> None:
        """How far it is."""


def settle(
    system: System, ids: Sequence[UUID], seconds: float, voice: Voice, what: str = "settling"
) -> bool:
    """Wait until all are final; whether they were within ``seconds``."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        system.fleet.supervise()
        try:
            left = _unfinished(system.engine, ids)
        except SQLAlchemyError:
            left = len(ids)
        voice.show(f"{system.name}, {what}", len(ids) - left, len(ids))
        if left == 0:
            return True
        time.sleep(0.2)
    return False


def _unfinished(engine: Engine, ids: Sequence[UUID]) -> int:
    with engine.connect() as connection:
        found = connection.execute(
            text("select count(*) from files where id = any(:ids) and status <> all(:final)"),
            {"ids": list(ids), "final": [str(each) for each in FINAL]},
        ).scalar_one()
        return int(found)
