"""One quota for all pods: exact, by the server's clock, over calls, texts and tokens at once."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import redis

from docmill_dev.stack import Stack
from docmill_shared.quota import ProviderQuota

Make = Callable[..., ProviderQuota]
#: The server counts in whole milliseconds, from the beginning of a script.
TICK = 0.02


@pytest.fixture
def make(stack: Stack) -> Iterator[Make]:
    """Quotas as different pods would build them, with a window of a minute unless told."""
    client = redis.Redis.from_url(stack.environment()["REDIS_URL"])
    client.flushdb()
    yield lambda **limits: ProviderQuota(client, "test", **({"window_ms": 60_000} | limits))
    client.flushdb()


@dataclass(frozen=True)
class Asked:
    """What the answer was, and between which moments it was given."""

    wait: float
    began: float
    ended: float


def spend(quota: ProviderQuota, texts: int) -> Asked:
    began = time.monotonic()
    wait = quota.spend(texts=texts, tokens=0)
    return Asked(wait, began, time.monotonic())


def test_pods_share_it(make: Make) -> None:
    one, two = make(texts_per_minute=100), make(texts_per_minute=100)
    assert one.spend(texts=60, tokens=0) == 0
    assert two.spend(texts=40, tokens=0) == 0
    assert 0 < one.spend(texts=1, tokens=0) <= 60.01


def test_what_does_not_fit_one_limit_is_charged_to_none(make: Make) -> None:
    quota = make(texts_per_minute=100, tokens_per_minute=1_000, calls_per_minute=3)
    assert quota.spend(texts=10, tokens=900) == 0
    assert quota.spend(texts=10, tokens=200) > 0
    assert quota.spend(texts=90, tokens=100) == 0, "the texts of the refused call are still there"
    assert quota.spend(texts=0, tokens=0) == 0
    assert quota.spend(texts=0, tokens=0) > 0, "and its call was not counted"


def test_the_wait_is_long_enough_and_no_longer(make: Make) -> None:
    quota = make(texts_per_minute=100, window_ms=3_000)
    first = spend(quota, 50)
    time.sleep(0.3)
    second = spend(quota, 50)
    refused = spend(quota, 20)
    # It waits for the first batch, and not for the second
    assert (first.wait, second.wait) == (0, 0)
    assert refused.wait <= max(0, 3 - (refused.began - first.ended)) + TICK
    assert refused.wait >= 3 - (refused.ended - first.began) - TICK
    time.sleep(refused.wait)
    assert quota.spend(texts=20, tokens=0) == 0


def test_in_no_window_is_more_spent_than_allowed(make: Make) -> None:
    quota, spent = make(texts_per_minute=50, window_ms=1_000), []
    for _ in range(21):  # three windows' worth
        asked = spend(quota, 7)
        if asked.wait:
            assert asked.wait <= 1 + TICK
            time.sleep(asked.wait)
            asked = spend(quota, 7)
            assert asked.wait == 0, "that was long enough"
        spent.append(asked)
    for start in spent:
        # Those that were decided within a window for certain, wherever between the question and
        # its answer each was decided.
        window = [each for each in spent if start.began <= each.began]
        assert 7 * sum(each.ended - start.began < 1 - TICK for each in window) <= 50
    assert spent[-1].ended - spent[0].began > 2 - TICK


def test_a_pause_holds_for_everyone_and_the_longer_one_wins(make: Make) -> None:
    one, two = make(), make(texts_per_minute=1_000)
    began = time.monotonic()
    one.pause(30)
    one.pause(5)
    wait = two.spend(texts=1, tokens=1)
    assert 30 - (time.monotonic() - began) - TICK < wait <= 30


def test_a_batch_larger_than_the_quota_passes_alone(make: Make) -> None:
    quota = make(tokens_per_minute=100)
    assert quota.spend(texts=1, tokens=5_000) == 0
    assert quota.spend(texts=1, tokens=1) > 0


def test_without_redis_nothing_is_limited() -> None:
    quota = ProviderQuota(redis.Redis(port=1, socket_timeout=1), "test", calls_per_minute=1)
    assert [quota.spend(texts=1, tokens=1) for _ in range(3)] == [0, 0, 0]
    quota.pause(10)
