"""What docmill expects of a rate limiter, of the one in Redis and of the one that stands in."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from uuid import uuid4

import pytest
import redis

from docmill_api import rate_limiter
from docmill_api.rate_limiter import Limit, RateLimiter
from docmill_api.rate_limiter.in_memory import MOST_KEYS, MemoryLimits
from docmill_api.rates import Rate
from docmill_dev.stack import Stack

Take = Callable[..., list[float]]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is not taken to be away because this machine is busy."""
    monkeypatch.setattr(rate_limiter, "PATIENCE_SECONDS", 60.0)


@pytest.fixture(params=["redis", "memory"])
def limiter(request: pytest.FixtureRequest, stack: Stack) -> Iterator[RateLimiter]:
    """On Redis, and on an address where there is none."""
    nowhere = "redis://127.0.0.1:1"
    url = stack.environment()["REDIS_URL"] if request.param == "redis" else nowhere
    limiter = RateLimiter(url)
    yield limiter
    limiter.close()


@pytest.fixture
def take(limiter: RateLimiter) -> Take:
    """``take(a=Rate(..), b=Rate(..))``: the waits of the limits, each new in this test."""
    test = uuid4().hex

    def take(**rates: Rate) -> list[float]:
        limits = [Limit(name, test, rate) for name, rate in rates.items()]
        return [standing.wait for standing in limiter.take(limits)]

    return take


def test_so_many_pass_at_once_and_no_more(take: Take) -> None:
    rate = Rate(7, 3600)
    assert [take(a=rate) for _ in range(7)] == [[0]] * 7
    (wait,) = take(a=rate)
    assert 3600 / 7 - 60 < wait <= 3600 / 7


def test_what_is_refused_is_not_counted(take: Take) -> None:
    rate = Rate(2, 60)
    waits = [take(a=rate)[0] for _ in range(22)]
    assert waits[:2] == [0, 0]
    assert all(later <= earlier for earlier, later in pairwise(waits[2:]))


def test_after_its_wait_one_more_passes(take: Take) -> None:
    rate = Rate(5, 1)
    while not (wait := take(a=rate)[0]):
        pass
    time.sleep(wait)
    assert take(a=rate) == [0]


def test_all_limits_count_a_request_or_none(take: Take) -> None:
    narrow, wide = Rate(1, 60), Rate(3, 60)
    assert take(narrow=narrow, wide=wide) == [0, 0]
    for _ in range(5):
        refused, fits = take(narrow=narrow, wide=wide)
        assert refused > 0
        assert fits == 0
    assert [take(wide=wide) for _ in range(2)] == [[0], [0]]
    assert take(wide=wide)[0] > 0


def test_it_says_what_is_left(limiter: RateLimiter) -> None:
    limits = [Limit("a", uuid4().hex, Rate(3, 3600))]
    standings = [limiter.take(limits)[0] for _ in range(4)]
    assert [standing.remaining for standing in standings] == [2, 1, 0, 0]
    resets = [standing.reset for standing in standings]
    assert resets == pytest.approx([1200, 2400, 3600, 3600], abs=60)


def test_whoever_is_counted_apart_does_not_wait_for_others(limiter: RateLimiter) -> None:
    for who in (uuid4().hex for _ in range(3)):
        (standing,) = limiter.take([Limit("a", who, Rate(1, 60))])
        assert standing.wait == 0


def test_processes_share_it_and_leave_nothing_behind(stack: Stack) -> None:
    url = stack.environment()["REDIS_URL"]
    limiters, who, rate = [RateLimiter(url) for _ in range(2)], uuid4().hex, Rate(4, 3600)
    # When two processes count the same caller
    passed = [one.take([Limit("a", who, rate)])[0].wait == 0 for one in limiters * 3]
    # Then they count together
    assert passed == [True] * 4 + [False] * 2
    # And what they counted is forgotten as soon as it no longer matters
    client: redis.Redis = redis.Redis.from_url(url)
    milliseconds = client.pttl(f"docmill:rate:a:{who}")
    assert 0 < int(milliseconds) <= 3_600_000
    client.close()
    for limiter in limiters:
        limiter.close()


def test_a_clock_that_was_set_back_locks_out_for_no_longer_than_the_window(stack: Stack) -> None:
    client: redis.Redis = redis.Redis.from_url(stack.environment()["REDIS_URL"])
    who = uuid4().hex
    far = (time.time() + 86_400) * 1e6
    client.set(f"docmill:rate:a:{who}", f"{far:.0f}")
    limiter = RateLimiter(stack.environment()["REDIS_URL"])
    assert limiter.take([Limit("a", who, Rate(10, 60))])[0].wait <= 6
    limiter.close()
    client.close()


def test_a_flood_of_keys_is_forgotten_and_the_newest_are_kept() -> None:
    now = 0.0
    memory = MemoryLimits(clock=lambda: now)
    rate = Rate(1, 3600)
    for number in range(MOST_KEYS + 1):
        now = number / 1000
        memory.take([(str(number), rate)])
    assert memory.take([(str(MOST_KEYS), rate)])[0][0] > 0
    assert len(memory._whole) <= MOST_KEYS / 2 + 1
