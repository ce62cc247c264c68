"""Counts requests against limits: in Redis for all pods, and in this process while Redis is away.

A limit of 10/minute lets 10 through at once and then one every 6 seconds (GCRA, "generic cell rate
algorithm": one number for each key). What is refused is not counted. All limits of a request are
one decision and one round trip: see docs/adr/0020.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from threading import Lock

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from docmill_api.rate_limiter.in_memory import MemoryLimits
from docmill_api.rates import Rate
from docmill_shared.observability import get_logger

#: Longest that a request waits for Redis. It answers in less than a millisecond.
PATIENCE_SECONDS = 0.25
#: After a failure, how long no request asks Redis; then one does, and the others go on without.
PAUSE_SECONDS = 2.0
_PREFIX = "docmill:rate:"

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a limit stands after a request."""

    name: str
    rate: Rate
    wait: float  #: seconds until a request fits; 0: this one did
    remaining: int  #: how many fit now
    reset: float  #: seconds until the limit is whole again


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a request: its name, whom it counts, and the rate."""

    name: str
    who: str
    rate: Rate


class RateLimiter:
    """Thread-safe; connects on first use."""

    def __init__(self, redis_url: str) -> None:
        # Not the client of the queue, which is more patient than every single request may be.
        self._client: redis.Redis = redis.Redis.from_url(
            redis_url,
            socket_connect_timeout=PATIENCE_SECONDS,
            socket_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        script = (files("docmill_api.rate_limiter") / "take.lua").read_text()
        self._script = self._client.register_script(script)
        self._memory = MemoryLimits()
        self._lock = Lock()
        self._paused_until = float("-inf")
        self._is_away = False

    def take(self, limits: Sequence[Limit]) -> list[Standing]:
        """Count one request against all of them, or, if one of them is used up, against none."""
        keys = [f"{_PREFIX}{limit.name}:{limit.who}" for limit in limits]
        answers = self._ask_redis(keys, limits)
        if answers is None:
            answers = self._memory.take(
                [(key, limit.rate) for key, limit in zip(keys, limits, strict=True)]
            )
        return [
            Standing(limit.name, limit.rate, wait / 1e6, int(remaining), reset / 1e6)
            for limit, (wait, remaining, reset) in zip(limits, answers, strict=True)
        ]

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _ask_redis(
        self, keys: Sequence[str], limits: Sequence[Limit]
    ) -> list[tuple[int, int, int]] | None:
        """The script's answer; None while Redis is away."""
        if self._is_away and not self._may_try_again():
            return None
        arguments = [
            number for limit in limits for number in (limit.rate.count, limit.rate.seconds * 10**6)
        ]
        try:
            answers: list[tuple[int, int, int]] = self._script(keys=keys, args=arguments)
        except redis.RedisError as error:
            self._note(away=True, reason=type(error).__name__)
            return None
        if self._is_away:
            self._note(away=False)
        return answers

    def _may_try_again(self) -> bool:
        """Whether the pause is over; to the first that asks, which begins the next one by it."""
        with self._lock:
            now = time.monotonic()
            if now < self._paused_until:
                return False
            self._paused_until = now + PAUSE_SECONDS
            return True

    def _note(self, *, away: bool, reason: str = "") -> None:
        with self._lock:
            changed, self._is_away = self._is_away != away, away
            self._paused_until = time.monotonic() + PAUSE_SECONDS
        if changed and away:
            log.warning("rate limits are kept by each process while Redis is away", reason=reason)
        elif changed:
            log.info("rate limits are kept in Redis again")
