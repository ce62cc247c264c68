"""How long a killed worker's file waits for its next one: watched in the files table.

A claim that ended in good order leaves ``deliveries`` at 0, and one whose worker died leaves it as
it was. So a new claim that counts 2 or more follows a death, and the time between the two is from
the kill that the dead claim's last renewal came before. Of that time only those moments count in
which docmill had what it needs: nobody can put a file back while the janitor starts again.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Engine, Row, text
from sqlalchemy.exc import SQLAlchemyError

_LOOK_EVERY_SECONDS = 0.1
_CLAIMS = text(
    "select id, lease_token, deliveries, extract(epoch from lease_expires_at)::float as expires,"
    " extract(epoch from started_at)::float as started from files where status = 'PROCESSING'"
)


@dataclass(slots=True)
class _Claim:
    token: UUID
    deliveries: int
    started: float
    expires: float


class ClaimWatch:
    """Watches every claim in a thread, as a context manager.

    ``is_whole`` says whether everything runs that a killed worker's file waits for.
    """

    def __init__(self, engine: Engine, lease_seconds: float, is_whole: Callable[[], bool]) -> None:
        self._engine = engine
        self._lease = lease_seconds
        self._is_whole = is_whole
        self._last: dict[UUID, _Claim] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="claims", daemon=True)
        #: (the dead claim, when the next one began)
        self._followed: list[tuple[_Claim, float]] = []
        #: From when to when something was missing, by the clock of this machine.
        self._broken: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=30)

    def recoveries(self, kills: Sequence[tuple[float, str]]) -> list[float]:
        """Seconds from a worker's kill to the next claim of each file that it held.

        Without those in which something was missing.
        """
        found = []
        for dead, again in self._followed:
            renewed = dead.expires - self._lease
            cause = [
                at
                for at, name in kills
                if name.startswith("ingest-")
                and max(renewed, dead.started) - 2 * _LOOK_EVERY_SECONDS <= at <= dead.expires
            ]
            if cause:
                killed = min(cause)
                found.append(again - killed - self._seconds_broken(killed, again))
        return found

    def lost_otherwise(self, kills: Sequence[tuple[float, str]]) -> int:
        """Claims that ran out although nobody killed their worker: the database was away."""
        return len(self._followed) - len(self.recoveries(kills))

    def _seconds_broken(self, begin: float, end: float) -> float:
        return sum(max(0.0, min(end, until) - max(begin, at)) for at, until in self._broken)

    def _run(self) -> None:
        looked_at = time.time()
        while not self._ended.wait(_LOOK_EVERY_SECONDS):
            is_whole = self._is_whole()
            try:
                with self._engine.connect() as connection:
                    self._note(connection.execute(_CLAIMS).all())
            except SQLAlchemyError:  # it is being restarted
                is_whole = False
            now = time.time()
            if not is_whole:
                self._broken.append((looked_at, now))
            looked_at = now

    def _note(self, claims: Sequence[Row[Any]]) -> None:
        for row in claims:
            before = self._last.get(row.id)
            if before is not None and before.token == row.lease_token:
                before.expires = row.expires
                continue
            if before is not None and row.deliveries >= 2:
                self._followed.append((before, row.started))
            self._last[row.id] = _Claim(row.lease_token, row.deliveries, row.started, row.expires)
