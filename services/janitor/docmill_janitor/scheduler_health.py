"""What the scheduler process says of itself on its health endpoint."""

import time
from collections.abc import Callable
from datetime import timedelta

from apscheduler.events import (
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_SUBMITTED,
    EVENT_SCHEDULER_STARTED,
)
from apscheduler.schedulers.base import BaseScheduler

#: The loop that looks at the clock hands something out far more often than this.
SILENCE = timedelta(seconds=120)


class SchedulerHealth:
    """Alive while the loop goes round that finds out which jobs are due.

    Not whether firing worked: without Postgres or Redis nothing is fired, and a restart would not
    change that.
    """

    def __init__(
        self, scheduler: BaseScheduler, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._went_round_at = clock()
        self._started = False
        self._stopping = False
        scheduler.add_listener(self._start, EVENT_SCHEDULER_STARTED)
        scheduler.add_listener(self._note, EVENT_JOB_SUBMITTED | EVENT_JOB_MAX_INSTANCES)

    def _start(self, _: object) -> None:
        self._started = True
        self._note(_)

    def _note(self, _: object) -> None:
        """Called by the loop itself: these events come from nowhere else."""
        self._went_round_at = self._clock()

    def stop(self) -> None:
        """The process has been told to end."""
        self._stopping = True

    def alive(self) -> str | None:
        """What is wrong with the loop."""
        silent = self._clock() - self._went_round_at
        if self._stopping or silent <= SILENCE.total_seconds():
            return None
        return f"The schedule was not looked at for {silent:.0f} s."

    def ready(self) -> str | None:
        """Why nothing is fired."""
        if self._stopping:
            return "The scheduler is shutting down."
        return None if self._started else "The scheduler has not started yet."
