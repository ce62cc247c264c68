"""Calls to a provider: within the quota of all pods, and patient when the provider says "later".

A short wait is spent here, with the lease held; for a long one the file goes back to the queue, so
that its worker is free for others. Neither is an attempt.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from docmill_ingest.resources import Resources
from docmill_ingest.work import Work
from docmill_shared.errors import RateLimited
from docmill_shared.provider_metrics import (
    PAUSES,
    QUOTA_WAIT_SECONDS,
    QUOTA_WAITS,
    Operation,
    provider_call,
)

Answer = TypeVar("Answer")

#: One wait, and all waits for one call, that are spent with the file in hand.
LONGEST_WAIT_SECONDS = 65.0
LONGEST_WAITS_SECONDS = 240.0
#: When the provider does not say how long to wait.
DEFAULT_PAUSE_SECONDS = 5.0
_CHECK_SECONDS = 0.25


def call_provider(
    work: Work,
    resources: Resources,
    function: Callable[[], Answer],
    *,
    operation: Operation,
    texts: int,
    tokens: int,
) -> Answer:
    """``function()``, once the quota allows it, and again after each 429.

    Raises:
        RateLimited: the wait is too long to hold the file for.
        LeaseLost, ShuttingDown: while waiting.
    """
    quota, provider = resources.quota, resources.settings.provider

    def call() -> Answer:
        with provider_call(provider, operation, texts=texts, tokens=tokens):
            return function()

    if quota is None:
        return call()
    waited = 0.0
    while True:
        wait = quota.spend(texts=texts, tokens=tokens)
        if wait == 0:
            try:
                return call()
            except RateLimited as error:
                wait = DEFAULT_PAUSE_SECONDS if error.retry_after is None else error.retry_after
                quota.pause(wait)
                PAUSES.labels(provider).inc()
        if wait > LONGEST_WAIT_SECONDS or waited + wait > LONGEST_WAITS_SECONDS:
            QUOTA_WAITS.labels(provider, "handed_back").inc()
            raise RateLimited("The provider's quota is used up.", retry_after=wait)
        QUOTA_WAITS.labels(provider, "held").inc()
        _wait(wait, work)
        QUOTA_WAIT_SECONDS.labels(provider).inc(wait)
        waited += wait


def _wait(seconds: float, work: Work) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        work.lease.check()
        time.sleep(min(left, _CHECK_SECONDS))
