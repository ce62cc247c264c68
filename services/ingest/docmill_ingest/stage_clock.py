"""Where one file's time goes, although its stages overlap.

Stages hand each other iterators, and the last one pulls the file through all of them. So a stage is
at work while something is pulled from it, except while it pulls from another itself.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


class StageClock:
    """One attempt at one file, in one thread. Every moment belongs to the innermost stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._at_work: list[str] = []
        self._since = 0.0

    @contextmanager
    def at(self, stage: str) -> Iterator[None]:
        """The block's time is the stage's."""
        self._begin(stage)
        try:
            yield
        finally:
            self._end()

    def pulled(self, stage: str, items: Iterator[Item]) -> Iterator[Item]:
        """The same items; the time it takes to get each is the stage's."""
        while True:
            self._begin(stage)
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self._end()
            yield item

    def _begin(self, stage: str) -> None:
        self._charge()
        self._at_work.append(stage)

    def _end(self) -> None:
        self._charge()
        self._at_work.pop()

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._at_work:
            stage = self._at_work[-1]
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now
