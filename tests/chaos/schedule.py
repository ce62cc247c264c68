"""What breaks and when: drawn from the seed before anything starts, so that a run can be repeated.

The timing of processes is not in the seed's hand, so two runs of a seed meet the same faults at
the same moments but need not catch the same file.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

WORKERS = 3


class FaultKind(StrEnum):
    """One way to break something; the value is how it is told to a person."""

    KILL_WORKER = "kill -9 of an ingest worker"
    TERM_WORKER = "SIGTERM of an ingest worker"
    KILL_JANITOR = "kill -9 of the janitor's worker"
    KILL_SCHEDULER = "kill -9 of the scheduler"
    VALKEY_RESTART = "Valkey restarted"
    VALKEY_KILL = "Valkey killed"
    FLUSHALL = "FLUSHALL"
    POSTGRES_RESTART = "PostgreSQL restarted"
    POSTGRES_KILL = "PostgreSQL killed"
    S3_OUTAGE = "S3 killed"
    PROVIDER_429 = "provider answers 429, RetryInfo"
    PROVIDER_500 = "provider answers 500"
    PROVIDER_503 = "provider answers 503"
    PROVIDER_HANG = "provider hangs"
    PROVIDER_DROP = "provider's answer is cut off"


K = FaultKind

#: One round holds each of these, kills of workers several times, in an order of the seed's.
ROUND: tuple[FaultKind, ...] = (*FaultKind, *[K.KILL_WORKER] * 2)

#: How long an outage lasts, in seconds; a restart takes what it takes.
_OUTAGES = {K.VALKEY_KILL: (1.0, 2.5), K.POSTGRES_KILL: (1.0, 2.5), K.S3_OUTAGE: (2.0, 5.0)}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: ``at`` seconds after the start, to worker ``target``, for ``seconds``."""

    at: float
    kind: FaultKind
    target: int
    seconds: float

    def __str__(self) -> str:
        what = str(self.kind)
        if self.kind in (K.KILL_WORKER, K.TERM_WORKER):
            what = f"{what.split(' of ')[0]} of ingest-{self.target}"
        lasting = f", for {self.seconds:.1f} s" if self.seconds else ""
        return what + lasting


def draw(
    seed: int, seconds: float, *, every: float = 7.0, kinds: Sequence[FaultKind] = ROUND
) -> list[Fault]:
    """The faults of a phase of ``seconds``, about ``every`` seconds, in the order of time.

    Round after round of ``kinds``, each in an order of its own; the last is cut off.
    """
    rng = random.Random(f"faults {seed}")
    faults: list[Fault] = []
    pending: list[FaultKind] = []
    for number in range(max(1, int(seconds / every))):
        if not pending:
            pending = list(kinds)
            rng.shuffle(pending)
        kind = pending.pop()
        low, high = _OUTAGES.get(kind, (0.0, 0.0))
        faults.append(
            Fault(
                at=round((number + rng.uniform(0.2, 0.8)) * every, 1),
                kind=kind,
                target=rng.randrange(1, WORKERS + 1),
                seconds=round(rng.uniform(low, high), 1),
            )
        )
    return faults
