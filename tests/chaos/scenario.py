"""One system, one schedule: upload while things break, heal, wait until it is over, examine."""

import heapq
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.chaos.corpus import Document
from tests.chaos.docmill_system import LEASE_SECONDS, LOST_SECONDS
from tests.chaos.fleet import Fleet
from tests.chaos.ground import Ground
from tests.chaos.proofs import Expected, Findings, examine
from tests.chaos.recoveries import ClaimWatch
from tests.chaos.schedule import Fault, FaultKind
from tests.chaos.settling import Voice, settle
from tests.chaos.strikes import LOSE_ANSWERS, strike
from tests.chaos.systems import System, Upload
from tests.chaos.uploading import Uploading

#: Uploads are spread over this part of the phase, so that late faults still find work.
_UPLOADING = 0.92
_TICK_SECONDS = 0.05
#: A worker is killed with a file in hand if it takes one within this time, else without.
_LURK_SECONDS = 3.0


@dataclass(slots=True)
class Outcome:
    """What became of a system under a schedule."""

    findings: Findings
    uploads: list[Upload]
    texts: int  #: different texts that were embedded
    paid_again: int  #: times that one of them was embedded once more
    in_flight: int  #: calls that were with the provider when something was struck, all together,
    #: and those whose answer the fault was to lose
    refused: Counter[str]  #: answers of the provider other than 200, by status
    recoveries: list[float]
    lost_otherwise: int
    kills: int
    died: Counter[str]
    left_behind: int | None  #: messages; see :class:`System`
    unreconciled: list[str] | None  #: after random deletes; see :class:`System`
    settled_after: float | None  #: seconds from the last repair until all was final; None: never
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What is uploaded and what breaks within ``seconds``, and how long is waited afterwards."""

    documents: Sequence[Document]
    faults: Sequence[Fault]
    seconds: float
    settle_seconds: float


def run(
    ground: Ground,
    system: System,
    plan: Plan,
    expect: Callable[[Sequence[Document]], Expected],
    voice: Voice,
) -> Outcome:
    """Run it. ``expect`` says what an undisturbed run makes of the documents.

    Raises:
        ServerFailed, ProcessFailed: something could not be started again.
        RuntimeError: an upload never succeeded, or the undisturbed run failed.
    """
    system.start()
    ground.forget_calls()
    started = time.monotonic()
    with ClaimWatch(system.engine, LEASE_SECONDS, partial(_is_whole, ground, system)) as watch:
        with Uploading(system, plan.documents, plan.seconds * _UPLOADING) as uploading:
            in_flight = _strike_all(ground, system, plan, voice)
            ground.heal()
            repaired = time.monotonic()
            voice.tell(repaired - started, "everything is repaired")
            uploads = uploading.finish()
        system.fleet.heal()
        ids = [each.file_id for each in uploads]
        settled = settle(system, ids, plan.settle_seconds, voice)
    ended = time.monotonic()
    stats, kills = ground.paid(), list(system.fleet.kills)
    in_queue, died = system.in_queue(), system.fleet.died.copy()
    objects = ground.objects()
    expected = expect([each.document for each in uploads])
    outcome = Outcome(
        findings=examine(uploads, expected, system.engine, objects, in_queue),
        uploads=uploads,
        texts=len(stats["text_sha256"]),
        paid_again=_paid_again(stats),
        in_flight=in_flight,
        refused=Counter({each: n for each, n in stats["statuses"].items() if each != "200"}),
        recoveries=watch.recoveries(kills),
        lost_otherwise=watch.lost_otherwise(kills),
        kills=sum(name.startswith("ingest-") for _, name in kills),
        died=died,
        left_behind=system.left_behind(),
        settled_after=ended - repaired if settled else None,
        unreconciled=system.left_after_deletions(uploads),
        seconds=ended - started,
    )
    system.fleet.stop()
    return outcome


def _is_whole(ground: Ground, system: System) -> bool:
    """Whether nothing but docmill's own rules keeps a killed worker's file from the next one.

    A message that was lost is sent again in a while; that has a bound of its own.
    """
    if time.monotonic() - ground.flushed_at < LOST_SECONDS:
        return False
    return ground.stack.valkey.pid is not None and system.fleet.can_take_over()


def _strike_all(
    ground: Ground,
    system: System,
    plan: Plan,
    voice: Voice,
) -> int:
    """Do every fault at its time; return how many calls it may have lost the answers of."""
    started = time.monotonic()
    in_flight = number = 0
    todo: list[tuple[float, int, Fault | Callable[[], None]]] = []
    for number, fault in enumerate(plan.faults):
        heapq.heappush(todo, (fault.at, number, fault))
    while todo or time.monotonic() - started < plan.seconds:
        elapsed = time.monotonic() - started
        if todo and todo[0][0] <= elapsed:
            _, _, what = heapq.heappop(todo)
            if isinstance(what, Fault) and _should_wait(what, elapsed, system.fleet):
                number += 1
                heapq.heappush(todo, (elapsed + _TICK_SECONDS / 2, number, what))
            elif isinstance(what, Fault):
                # The provider goes on with a dead client's calls, so they can be counted after a
                # kill, which must not come too late; a restart would outlast them.
                quick = what.kind is FaultKind.KILL_WORKER
                before = None if quick else ground.paid()
                later = strike(what, ground, system.fleet)
                stats = before or ground.paid()
                in_flight += stats["in_flight"] + (what.kind in LOSE_ANSWERS)
                voice.tell(elapsed, f"{what!s:<40} paid twice by now: {_paid_again(stats)}")
                if later is not None:
                    number += 1
                    heapq.heappush(todo, (elapsed + later[0], number, later[1]))
            else:
                what()
        system.fleet.supervise()
        voice.show(system.name, min(round(elapsed), round(plan.seconds)), round(plan.seconds))
        time.sleep(_TICK_SECONDS)
    return in_flight


def _paid_again(stats: Mapping[str, Any]) -> int:
    paid: dict[str, int] = stats["text_sha256"]
    return sum(paid.values()) - len(paid)


def _should_wait(fault: Fault, elapsed: float, fleet: Fleet) -> bool:
    """Whether a kill of a worker that has nothing to lose would show little."""
    if fault.kind is not FaultKind.KILL_WORKER or elapsed > fault.at + _LURK_SECONDS:
        return False
    return not fleet.is_busy(f"ingest-{fault.target}")
