"""A connection to Postgres that gives a server up which has fallen silent.

The server ends its own slow statements (``statement_timeout``). That is of no use against one whose
processes, disk or network stand still: nothing comes from it any more, not even an error, and TCP
alone would wait for hours.
"""

import math
import time
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen


class BoundedConnection(psycopg.Connection[Any]):
    """psycopg's connection; a wait for the server ends with an error once it was silent too long.

    Whether a statement that was given up takes effect is unknown, as with every connection that
    breaks off.
    """

    #: How long a server may say nothing: to be set above its ``statement_timeout``, so that one
    #: that works is always the first to speak.
    silence_seconds: float = math.inf

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As psycopg's; everything that needs an answer of the server passes through here.

        Raises:
            psycopg.OperationalError: the server was silent; the connection is closed.
        """
        return super().wait(self._until_silent(gen), interval, timeout)

    def _until_silent(self, gen: PQGen[RV]) -> PQGen[RV]:
        # ``gen`` yields what it waits for and is sent what of that is ready: nothing, once
        # ``interval`` is over. A transfer may take as long as it likes while bytes flow.
        try:
            waits_for = next(gen)
            heard_at = time.monotonic()
            while True:
                ready = yield waits_for
                if ready:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > self.silence_seconds:
                    self.close()
                    raise psycopg.OperationalError(
                        f"the server said nothing for {self.silence_seconds:g} s"
                    )
                waits_for = gen.send(ready)
        except StopIteration as end:
            answer: RV = end.value
            return answer
