"""Where a file's time goes: every moment to the innermost stage, although stages overlap."""

import time
from collections.abc import Iterator

import pytest

from docmill_ingest.stage_clock import StageClock


def slowly(items: Iterator[int], seconds: float) -> Iterator[int]:
    for item in items:
        time.sleep(seconds)
        yield item


def test_a_stage_is_not_charged_for_those_that_feed_it() -> None:
    clock = StageClock()
    began = time.perf_counter()
    with clock.at("store"):
        first = clock.pulled("extract", slowly(iter(range(5)), 0.02))
        second = clock.pulled("embed", slowly(first, 0.04))
        for _ in second:
            time.sleep(0.01)
    took = time.perf_counter() - began
    assert set(clock.seconds) == {"store", "extract", "embed"}
    assert sum(clock.seconds.values()) == pytest.approx(took, abs=0.01)
    assert 0.1 <= clock.seconds["extract"] < clock.seconds["embed"]
    assert 0.05 <= clock.seconds["store"] < clock.seconds["extract"]


def test_an_error_leaves_the_clock_right() -> None:
    clock = StageClock()

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError

    with pytest.raises(ValueError), clock.at("store"):
        list(clock.pulled("extract", failing()))
    time.sleep(0.05)
    with clock.at("other"):
        pass
    assert sum(clock.seconds.values()) < 0.05
