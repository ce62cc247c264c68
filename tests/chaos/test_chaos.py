"""The chaos suite in short: a fixed seed, most kinds of faults, every proof."""

from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.chaos import corpus, report, scenario, schedule
from tests.chaos.docmill_system import DocmillSystem
from tests.chaos.expectations import undisturbed
from tests.chaos.ground import Ground
from tests.chaos.scenario import Plan
from tests.chaos.schedule import FaultKind as K

SEED = 1
FILES = 60
SECONDS = 24.0
#: Those that take longest to be noticed are in, those that have a twin here are not.
KINDS = (
    *(K.KILL_WORKER, K.KILL_WORKER, K.TERM_WORKER, K.KILL_JANITOR),
    *(K.POSTGRES_RESTART, K.VALKEY_KILL, K.FLUSHALL, K.S3_OUTAGE),
    *(K.PROVIDER_429, K.PROVIDER_503, K.PROVIDER_DROP),
)


class Silence:
    """A voice that pytest does not need."""

    def tell(self, elapsed: float, what: str) -> None:
        print(f"{elapsed:.1f} s: {what}")

    def show(self, what: str, done: int, total: int) -> None: ...


@pytest.mark.timeout(900)
def test_whatever_breaks_nothing_is_lost_doubled_or_left_behind(tmp_path: Path) -> None:
    faults = schedule.draw(SEED, SECONDS, every=SECONDS / len(KINDS), kinds=KINDS)
    plan = Plan(corpus.build(FILES, SEED), faults, SECONDS, settle_seconds=90)
    with Ground(tmp_path) as ground, closing(DocmillSystem(ground, "chaos")) as system:
        expect = partial(undisturbed, system, voice=Silence())
        outcome = scenario.run(ground, system, plan, expect, Silence())

    assert {each.kind for each in faults} == set(KINDS)
    broken = [each for each in report.proofs(outcome) if not each.holds]
    assert broken == [], outcome.findings.examples
    assert outcome.findings.by_status["COMPLETED"] > FILES / 2
    assert outcome.findings.by_status["FAILED"] == 1, "the locked PDF"
