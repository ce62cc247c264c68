"""Keeps this process's claims alive, from one thread that no parser or provider can starve."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from docmill_ingest import metrics
from docmill_shared.database import autocommit
from docmill_shared.errors import DocmillError, LeaseLost
from docmill_shared.files import claims
from docmill_shared.files.claims import Claim
from docmill_shared.observability import get_logger

_log = get_logger(__name__)


class ShuttingDown(DocmillError):
    """The worker ends and its grace period is over; the file goes back to the queue."""


class Lease:
    """One claim that is being kept alive."""

    def __init__(self, claim: Claim, keeper: "LeaseKeeper") -> None:
        self.claim = claim
        self.renewed_at = time.monotonic()
        self.lost = False
        self._keeper = keeper

    def check(self) -> None:
        """Call this between any two pieces of work.

        Raises:
            LeaseLost: another worker, or the file's owner, has the file now.
            ShuttingDown: the process must end.
        """
        if self.lost:
            raise LeaseLost(f"The claim on file {self.claim.file_id} has ended.")
        if self._keeper.out_of_grace:
            raise ShuttingDown


class LeaseKeeper:
    """Renews every lease of the process in one statement, three times per lease period."""

    def __init__(self, engine: Engine, lease: timedelta) -> None:
        self._engine = engine
        self._period = lease
        self._leases: set[Lease] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._must_end_at: float | None = None
        self._thread: threading.Thread | None = None

    @contextmanager
    def hold(self, claim: Claim) -> Iterator[Lease]:
        """Keep this claim alive until the block ends."""
        lease = Lease(claim, self)
        with self._lock:
            self._leases.add(lease)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        try:
            yield lease
        finally:
            with self._lock:
                self._leases.discard(lease)

    @property
    def out_of_grace(self) -> bool:
        """Whether the process was asked to end and has used up its grace period."""
        return self._must_end_at is not None and time.monotonic() >= self._must_end_at

    def end_within(self, seconds: float) -> None:
        """Let files that run now go on for ``seconds``, then make them stop."""
        self._must_end_at = time.monotonic() + seconds

    def close(self) -> None:
        """Stop renewing."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.wait(self._period.total_seconds() / 3):
            with self._lock:
                leases = list(self._leases)
            if leases:
                self._renew(leases)

    def _renew(self, leases: list[Lease]) -> None:
        started = time.monotonic()
        try:
            with autocommit(self._engine) as connection:
                held = claims.renew(connection, [x.claim.token for x in leases], self._period)
        except SQLAlchemyError as error:
            metrics.RENEWAL_FAILURES.inc()
            _log.warning("leases could not be renewed", error=str(error).partition("\n")[0])
            held = set()
            # Unknown is not lost, until the lease has run out by our own clock as well.
            leases = [x for x in leases if started - x.renewed_at > self._period.total_seconds()]
        for lease in leases:
            if lease.claim.token in held:
                lease.renewed_at = started
            else:
                if not lease.lost:
                    metrics.LEASES_LOST.inc()
                lease.lost = True
