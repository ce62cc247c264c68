"""One quota for all pods: exact, by the server's clock, over calls, texts and tokens at once."""

import time
from collections.abc import Callable, Iterator

import pytest
import redis

from docmill_dev.stack import Stack
from docmill_shared.quota import ProviderQuota

Make = Callable[..., ProviderQuota]


@pytest.fixture
def make(stack: Stack) -> Iterator[Make]:
    """Quotas as different pods would build them, with a window of a second unless told."""
    client = redis.Redis.from_url(stack.environment()["REDIS_URL"])
    client.flushdb()
    yield lambda **limits: ProviderQuota(client, "test", **({"window_ms": 1_000} | limits))
    client.flushdb()


def test_pods_share_it(make: Make) -> None:
    one, two = make(texts_per_minute=100), make(texts_per_minute=100)
    assert one.spend(texts=60, tokens=0) == 0
    assert two.spend(texts=40, tokens=0) == 0
    assert 0 < one.spend(texts=1, tokens=0) <= 1.1


def test_what_does_not_fit_one_limit_is_charged_to_none(make: Make) -> None:
    quota = make(texts_per_minute=100, tokens_per_minute=1_000, calls_per_minute=3)
    assert quota.spend(texts=10, tokens=900) == 0
    assert quota.spend(texts=10, tokens=200) > 0
    assert quota.spend(texts=90, tokens=100) == 0, "the texts of the refused call are still there"
    assert quota.spend(texts=0, tokens=0) == 0
    assert quota.spend(texts=0, tokens=0) > 0, "and its call was not counted"


def test_the_wait_is_long_enough_and_no_longer(make: Make) -> None:
    quota = make(texts_per_minute=100)
    began = time.monotonic()
    assert quota.spend(texts=50, tokens=0) == 0
    time.sleep(0.3)
    assert quota.spend(texts=50, tokens=0) == 0
    wait = quota.spend(texts=40, tokens=0)
    time.sleep(wait)
    assert quota.spend(texts=40, tokens=0) == 0
    assert time.monotonic() - began < 1.3, "it waited for the first batch only"


def test_in_no_window_is_more_spent_than_allowed(make: Make) -> None:
    quota, spent = make(texts_per_minute=50), []
    until = time.monotonic() + 3
    while time.monotonic() < until:
        wait = quota.spend(texts=7, tokens=0)
        if wait:
            time.sleep(wait)
        else:
            spent.append(time.monotonic())
    for start in spent:
        # A little less than the window: the server's clock decided, a moment before ours.
        assert 7 * sum(start <= each < start + 0.95 for each in spent) <= 50
    assert 7 * len(spent) >= 0.8 * 50 * 3


def test_a_pause_holds_for_everyone_and_the_longer_one_wins(make: Make) -> None:
    one, two = make(), make(texts_per_minute=1_000)
    one.pause(30)
    one.pause(5)
    assert 29 < two.spend(texts=1, tokens=1) <= 30


def test_a_batch_larger_than_the_quota_passes_alone(make: Make) -> None:
    quota = make(tokens_per_minute=100)
    assert quota.spend(texts=1, tokens=5_000) == 0
    assert quota.spend(texts=1, tokens=1) > 0


def test_without_redis_nothing_is_limited() -> None:
    quota = ProviderQuota(redis.Redis(port=1, socket_timeout=1), "test", calls_per_minute=1)
    assert [quota.spend(texts=1, tokens=1) for _ in range(3)] == [0, 0, 0]
    quota.pause(10)
