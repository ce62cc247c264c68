"""Where a file's time goes: every moment to the innermost stage, although stages overlap."""

from collections.abc import Iterator

import pytest

from docmill_ingest import stage_clock
from docmill_ingest.stage_clock import StageClock


class Time:
    """Stands still unless it is let pass; in place of the module of this name."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def perf_counter(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    def slowly(self, items: Iterator[int], seconds: float) -> Iterator[int]:
        for item in items:
            self.pass_by(seconds)
            yield item


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(stage_clock, "time", time)
    return time


def test_a_stage_is_not_charged_for_those_that_feed_it(time: Time) -> None:
    clock = StageClock()
    with clock.at("store"):
        first = clock.pulled("extract", time.slowly(iter(range(5)), 2))
        second = clock.pulled("embed", time.slowly(first, 4))
        for _ in second:
            time.pass_by(1)
    assert clock.seconds == {"extract": 10, "embed": 20, "store": 5}


def test_an_error_leaves_the_clock_right(time: Time) -> None:
    clock = StageClock()

    def failing() -> Iterator[int]:
        time.pass_by(3)
        yield 1
        time.pass_by(4)
        raise ValueError

    with pytest.raises(ValueError), clock.at("store"):
        list(clock.pulled("extract", failing()))
    time.pass_by(50)
    with clock.at("other"):
        time.pass_by(1)
    assert clock.seconds == {"store": 0, "extract": 7, "other": 1}
