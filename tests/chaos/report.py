"""How a run is told: lines while it runs, and at the end one table with both columns."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from docmill_dev.terminal import seconds
from tests.chaos.corpus import RACING_COPIES
from tests.chaos.docmill_system import LEASE_SECONDS
from tests.chaos.scenario import Outcome
from tests.chaos.schedule import Fault

#: What the design promises for a file whose worker was killed.
RECOVERY_BOUND = LEASE_SECONDS + 10.0
#: Below this many texts one batch is more than 1 %, and the bound is what was under way.
_FEW_TEXTS = 5_000
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that must hold for docmill."""

    what: str
    holds: bool
    docmill: str
    naive: str = ""


class Telling:
    """A :class:`tests.chaos.scenario.Voice`: a bar in a terminal, and a line for each fault."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f} of {task.total:.0f}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, completed=0)
        self._said_at = time.monotonic()

    def __enter__(self) -> "Telling":
        self._bar.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.stop()

    def tell(self, elapsed: float, what: str) -> None:
        """A line."""
        minutes, rest = divmod(int(elapsed), 60)
        self._console.print(f"  {minutes}:{rest:02d}  {what}")
        self._said_at = time.monotonic()

    def show(self, what: str, done: int, total: int) -> None:
        """The bar; where there is none, a line when nothing was said for long."""
        self._bar.update(self._task, description=what, completed=done, total=total)
        if not self._console.is_terminal and time.monotonic() - self._said_at > 15:
            self._console.print(f"        {what}: {done} of {total}")
            self._said_at = time.monotonic()


def proofs(docmill: Outcome, naive: Outcome | None = None) -> list[Proof]:
    """Everything that must hold, with what was counted for either."""

    def none(what: str, number: Callable[[Outcome], int]) -> Proof:
        shown = f"{number(naive):,}" if naive else ""
        return Proof(what, number(docmill) == 0, f"{number(docmill):,}", shown)

    return [
        none("Files lost: nothing will ever start them", lambda o: o.findings.lost),
        none("Files stuck in PROCESSING for ever", lambda o: o.findings.stuck),
        none("Files not final yet", lambda o: o.findings.unfinished),
        none("Files whose row is gone", lambda o: o.findings.gone),
        none("Good files that FAILED, or the reverse", lambda o: o.findings.wrong_end),
        none("Contents of an owner not COMPLETED just once", lambda o: o.findings.unresolved),
        none("COMPLETED with other passages than undisturbed", lambda o: o.findings.differing),
        none("Passages stored twice", lambda o: o.findings.doubled),
        none("Searchable passages of unfinished files", lambda o: o.findings.half),
        none("Objects without a row", lambda o: o.findings.objects_without_row),
        none("Rows without their object", lambda o: o.findings.rows_without_object),
        _paid(docmill, naive),
        _recovered(docmill, naive),
        none("Processes that ended by themselves", lambda o: o.died.total()),
        Proof(
            "Messages that nobody will ever take",
            not docmill.left_behind,
            f"{docmill.left_behind}",
            "-",
        ),
        Proof(
            "Left to reconcile after random deletes",
            docmill.unreconciled == [],
            f"{len(docmill.unreconciled or ())}",
            "-",
        ),
    ]


def holds(made: Sequence[Proof]) -> bool:
    """Whether all do."""
    return all(each.holds for each in made)


def table(made: Sequence[Proof], docmill: Outcome, naive: Outcome | None) -> Table:
    """Both columns; the marks say what holds for docmill."""
    shown = Table(box=None, padding=(0, 1), expand=True)
    shown.add_column("")
    shown.add_column("docmill", justify="right")
    if naive is not None:
        shown.add_column("naive", justify="right")
    shown.add_column("", width=1)

    def row(what: str, of: Callable[[Outcome], str], mark: Text | str = "") -> None:
        cells = [of(docmill)] + ([of(naive)] if naive is not None else [])
        shown.add_row(Text(what), *cells, mark)

    row("Files uploaded", lambda o: f"{len(o.uploads):,}")
    row("- COMPLETED, DUPLICATE, FAILED", _ends)
    row("Passages stored", lambda o: f"{o.findings.chunks:,}")
    row("Texts embedded", lambda o: f"{o.texts:,}")
    row("Duration, until the last of them was final", lambda o: seconds(o.seconds))
    row("Last file final, after everything was repaired", _settled)
    row("Claimed again after a kill, p50", _p50)
    shown.add_section()
    for each in made:
        mark = Text("✓", "green") if each.holds else Text("✗", "bold red")
        cells = [each.docmill] + ([each.naive] if naive is not None else [])
        shown.add_row(Text(each.what), *cells, mark)
    return shown


def summary(docmill: Outcome, faults: Sequence[Fault]) -> list[str]:
    """How many of each fault, what they met, and the first of whatever is wrong."""
    counted = Counter(str(each.kind) for each in faults)
    shown = ", ".join(f"{number} x {what}" for what, number in counted.most_common())
    refused = ", ".join(f"{number} x {code}" for code, number in docmill.refused.items()) or "none"
    return [
        f"\nFaults: {shown}.",
        f"{docmill.kills} kills of docmill's workers met {len(docmill.recoveries)} claims, and"
        f" {docmill.lost_otherwise} claims ran out for another reason. {docmill.in_flight} calls"
        f" were with the provider when something was struck; it refused: {refused}.",
        *(f"  {example}" for example in docmill.findings.examples),
        *(f"  {finding}" for finding in docmill.unreconciled or ()),
    ]


def _paid(docmill: Outcome, naive: Outcome | None) -> Proof:
    if docmill.texts >= _FEW_TEXTS:
        what = "Texts paid for twice (under 1 %)"
        good = docmill.paid_again < docmill.texts / 100
    else:
        what = "Texts paid for twice (only what was under way)"
        good = docmill.paid_again <= (docmill.in_flight + RACING_COPIES) * _BATCH
    return Proof(what, good, _share(docmill), _share(naive) if naive else "")


def _recovered(docmill: Outcome, naive: Outcome | None) -> Proof:
    what = f"Claimed again after a kill, most ({RECOVERY_BOUND:g} s)"
    good = max(docmill.recoveries, default=0.0) <= RECOVERY_BOUND
    stuck = "never" if naive and naive.findings.stuck else "-"
    return Proof(what, good, _worst(docmill), stuck)


def _share(outcome: Outcome) -> str:
    return f"{outcome.paid_again:,} = {outcome.paid_again / max(outcome.texts, 1):.2%}"


def _ends(outcome: Outcome) -> str:
    count = outcome.findings.by_status
    return ", ".join(f"{count[status]}" for status in ("COMPLETED", "DUPLICATE", "FAILED"))


def _settled(outcome: Outcome) -> str:
    return "never" if outcome.settled_after is None else seconds(outcome.settled_after)


def _p50(outcome: Outcome) -> str:
    return f"{median(outcome.recoveries):.1f} s" if outcome.recoveries else "-"


def _worst(outcome: Outcome) -> str:
    if not outcome.recoveries:
        return "none held"
    return f"{max(outcome.recoveries):.1f} s ({len(outcome.recoveries)})"
