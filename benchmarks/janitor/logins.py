"""Logins in a process of their own, as a sweep in another process meets them.

Only their work in the database: a login spends far more on hashing the password, which no sweep
can disturb.
"""

import hashlib
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection as Pipe
from uuid import UUID, uuid4

from docmill_janitor.settings import JanitorSettings
from docmill_shared import accounts
from docmill_shared.database import autocommit, create_engine

_EVERY_SECONDS = 0.02
_CONTEXT = multiprocessing.get_context("spawn")


class Logins:
    """Logins at a steady rate; each with its start (monotonic) and its milliseconds."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.samples: list[tuple[float, float]] = []

    def stop(self) -> None:
        """End them and collect the samples."""
        self._pipe.send("stop")
        self.samples = self._pipe.recv()

    def between(self, began: float, ended: float) -> list[float]:
        """The milliseconds of logins that began in this span, sorted."""
        return sorted(taken for at, taken in self.samples if began <= at < ended)


@contextmanager
def logging_in(settings: JanitorSettings, user_id: UUID) -> Iterator[Logins]:
    """Log the user in again and again until the caller stops it or leaves."""
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_log_in, args=(settings, user_id, theirs), daemon=True)
    process.start()
    try:
        ours.recv()  # connected
        yield Logins(ours)
    finally:
        process.terminate()
        process.join()


def _log_in(settings: JanitorSettings, user_id: UUID, pipe: Pipe) -> None:
    engine = create_engine(settings, "docmill-bench-logins")
    samples: list[tuple[float, float]] = []
    with autocommit(engine) as connection:
        pipe.send("ready")
        due = time.monotonic()
        while not pipe.poll():
            began = time.monotonic()
            family_id = uuid4()
            accounts.add_refresh_token(
                connection,
                user_id=user_id,
                family_id=family_id,
                token_sha256=hashlib.sha256(family_id.bytes).digest(),
                lifetime=timedelta(days=1),
            )
            accounts.standing(connection, user_id, jti=uuid4(), session_id=family_id)
            samples.append((began, (time.monotonic() - began) * 1e3))
            due = max(due + _EVERY_SECONDS, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
    pipe.send(samples)
    engine.dispose()
