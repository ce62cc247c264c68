"""Sending a request again: which answers are worth it, and how long to wait before.

Only for requests that do the same however often they arrive.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import sleep

import httpx

#: What passes: too many requests, and something behind the server that is away.
_PASSING = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how long."""

    attempts: int = 4  #: in all
    first_pause: float = 0.4  #: seconds; each further pause is twice as long
    longest_pause: float = 60.0  #: a server that asks for more gets no further attempt

    def send(self, request: Callable[[], httpx.Response]) -> httpx.Response:
        """The first answer that is not of a passing kind, or the last one.

        Raises:
            httpx.TransportError: the last attempt got no answer.
        """
        for attempt in range(1, self.attempts):
            wished = None
            try:
                response = request()
            except httpx.TransportError:
                pass
            else:
                wished = retry_after(response)
                if not self._passes(response.status_code, wished):
                    return response
                # An answer that is read as a stream keeps its connection until then.
                response.close()
            sleep(self.pause(attempt, wished))
        return request()

    def _passes(self, status: int, wished: float | None) -> bool:
        if status == httpx.codes.TOO_MANY_REQUESTS and wished is None:
            return False  # a quota, which no waiting refills
        return status in _PASSING and (wished or 0.0) <= self.longest_pause

    def pause(self, failed: int, wished: float | None = None) -> float:
        """Seconds to wait after so many failed attempts; not less than the server wished.

        A random part keeps those apart whom the same fault has turned away together.
        """
        full = min(self.first_pause * 2.0 ** min(failed - 1, 20), self.longest_pause)
        return max(random.uniform(full / 2, full), wished or 0.0)  # noqa: S311 - no secret


def retry_after(response: httpx.Response) -> float | None:
    """The seconds that the header ``Retry-After`` names, as a number or as a date."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    # A date that ends in -0000 has no time zone and means UTC.
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())
