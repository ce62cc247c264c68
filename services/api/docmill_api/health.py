"""Whether what the api depends on is there: for ``/readyz`` and for reservations.

Answers are kept for a moment, so that neither probes nor clients multiply into requests to a
server that is struggling; and asked for with a deadline, so that one that hangs does not take
the probe with it.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import redis
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from docmill_shared.broker import HardenedRedisBroker
from docmill_shared.database import autocommit
from docmill_shared.errors import ConfigurationError, StorageUnavailable
from docmill_shared.migrate import require_current
from docmill_shared.objects import ObjectStore

KEPT_SECONDS = 2.0
#: Kubernetes gives a probe 1 s by default; k8s/ sets 3.
DEADLINE_SECONDS = 2.0


class Probe:
    """One dependency, asked in a thread of its own; ``ask`` returns None when all is well."""

    def __init__(self, ask: Callable[[], str | None]) -> None:
        self._ask = ask
        # It starts its thread with the first question, hence after gunicorn's fork.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._lock = Lock()
        self._asked_at = float("-inf")
        self._answer: Future[str | None] | None = None

    def begin(self) -> None:
        """Ask, unless the last answer is fresh or still awaited."""
        with self._lock:
            awaited = self._answer is not None and not self._answer.done()
            if awaited or time.monotonic() - self._asked_at <= KEPT_SECONDS:
                return
            self._asked_at = time.monotonic()
            self._answer = self._thread.submit(self._ask)

    def problem(self) -> str | None:
        """What is wrong, as a sentence; None when all is well.

        Waits until :data:`DEADLINE_SECONDS` after the question, so while a dependency hangs only
        the first to ask wait for it, and not every thread that serves requests.
        """
        self.begin()
        with self._lock:
            answer, left = self._answer, self._asked_at + DEADLINE_SECONDS - time.monotonic()
        assert answer is not None
        try:
            return answer.result(timeout=max(0.0, left))
        except TimeoutError:
            return f"gave no answer within {DEADLINE_SECONDS:g} s"

    def close(self) -> None:
        """Ask no more."""
        self._thread.shutdown(wait=False)


@dataclass(frozen=True, slots=True)
class Readiness:
    """What ``/readyz`` reports: a sentence for each dependency, None where all is well."""

    database: str | None
    storage: str | None
    queue: str | None

    @property
    def ready(self) -> bool:
        """Whether requests should come here.

        Only the database decides. Without the store, reservations answer 503, but files are read
        and searched; without the queue, files wait in Postgres. Taking every pod out of service
        for either would turn a part that is away into an api that is away.
        """
        return self.database is None


class Health:
    """The three probes of one process."""

    def __init__(self, engine: Engine, objects: ObjectStore, broker: HardenedRedisBroker) -> None:
        self._engine = engine
        self._objects = objects
        self._broker = broker
        self._schema_is_current = False
        self.database = Probe(self._ask_database)
        self.storage = Probe(self._ask_storage)
        self.queue = Probe(self._ask_queue)

    def readiness(self) -> Readiness:
        """Ask all three at once and wait for :data:`DEADLINE_SECONDS` at most."""
        for probe in (self.database, self.storage, self.queue):
            probe.begin()
        return Readiness(self.database.problem(), self.storage.problem(), self.queue.problem())

    def close(self) -> None:
        """Ask no more."""
        for probe in (self.database, self.storage, self.queue):
            probe.close()

    def _ask_database(self) -> str | None:
        try:
            if self._schema_is_current:
                with autocommit(self._engine) as connection:
                    connection.execute(text("select 1"))
            else:
                require_current(self._engine)
                # Migrations only go forward, so this is asked until it is true and no more.
                self._schema_is_current = True
        except ConfigurationError as error:
            return str(error)
        except SQLAlchemyError:
            return "cannot be reached"
        return None

    def _ask_storage(self) -> str | None:
        try:
            self._objects.check()
        except StorageUnavailable as error:
            return str(error)
        return None

    def _ask_queue(self) -> str | None:
        try:
            self._broker.client.ping()
        except redis.RedisError:
            return "cannot be reached"
        return None
