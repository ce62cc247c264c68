"""Queues, jobs, runs and dead letters in the terminal: tables that fit 80 columns."""

import json
import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from docmill_dev.operator_answers import (
    DeadLetter,
    DeadLetterDetails,
    Job,
    LastRun,
    Queue,
    Run,
    RunDetails,
    Worker,
)
from docmill_dev.terminal import WIDTH, ago, count, harmless, seconds

#: So much of an id is shown in a list; enough of it to name one of many.
SHORT_ID = 8

_LOOK = {
    "queued": ("·", "cyan"),
    "running": ("·", "cyan"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "refused": ("–", "yellow"),
}


def queue_table(queues: Sequence[Queue], workers: Sequence[Worker]) -> Group:
    """Every queue in a line; files are those that wait in the database."""
    table = _table()
    _fixed(table, "Queue", _widest((queue["name"] for queue in queues), 16))
    for heading in ("Files", "Waiting", "Running", "Delayed", "Dead"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Oldest", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for queue in queues:
        files, oldest = queue["files"], queue["oldest_seconds"]
        ages = [age for age in (oldest, files and files["oldest_seconds"]) if age is not None]
        table.add_row(
            queue["name"],
            _number(files["count"]) if files else "",
            _number(queue["waiting"]),
            _number(queue["in_progress"]),
            _number(queue["delayed"]),
            Text(_number(queue["dead"]), "red" if queue["dead"] else ""),
            age_of(max(ages)) if ages else "",
            Text("paused", "yellow") if queue["paused_at"] else "",
        )
    return Group(table, Text(), _workers(workers))


def job_table(jobs: Sequence[Job], now: datetime) -> Table:
    """The schedule: each job in a line, with its next and its last run."""
    table = _table()
    _fixed(table, "Job", _widest(job["name"] for job in jobs))
    _fixed(table, "Next run", 10)
    _fixed(table, "Last run", 11)
    _rest(table, "Result")
    for job in jobs:
        last = job["last_run"]
        when = "" if last is None else _when(last, now)
        table.add_row(job["name"], _next(job, now), when, "" if last is None else _result(last))
    return table


def job_page(job: Job, last: RunDetails | None, runs: Sequence[Run], now: datetime) -> Group:
    """One job: what it does, when it runs, how its last run ended, and what those before did."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    facts.add_row("Does", job["what"])
    facts.add_row("Schedule", f"{job['cron']}  (UTC)")
    facts.add_row("Next run", _next(job, now))
    if job["paused_at"]:
        facts.add_row("Paused", Text(ago(_time(job["paused_at"]), now), "yellow"))
    facts.add_row("Last run", "none" if last is None else _when(last, now))
    parts: list[RenderableType] = [Text(job["name"], "bold"), facts]
    if last is not None:
        parts += [Text(), run_page(last)]
    if len(runs) > 1:
        parts += [Text("\nLatest runs", "bold"), run_table(runs, now, of_one=True)]
    return Group(*parts)


def run_table(runs: Sequence[Run], now: datetime, *, of_one: bool = False) -> Table:
    """The history, a run a line; ``of_one``: all are of the same job."""
    table = _table()
    _fixed(table, "Began", 11)
    if not of_one:
        _fixed(table, "Job", _widest(run["job"] for run in runs))
    _fixed(table, "Took", 7)
    _rest(table, "Result")
    for run in runs:
        names = () if of_one else (run["job"],)
        took = _took(run)
        shown = "" if took is None else age_of(took)
        table.add_row(_when(run, now), *names, shown, _result(run))
    return table


def run_page(run: RunDetails) -> Group:
    """How a run ended: counts, findings, or why not."""
    mark, style = _LOOK[run["status"]]
    kind = "dry run" if run["dry_run"] else "run"
    took = _took(run)
    heading = f" {run['job']}: {kind} {run['status']}"
    if took is not None:
        heading += f" in {seconds(took)}"
    lines: list[RenderableType] = [Text.assemble((mark, style), (heading, "bold"))]
    if run["error"]:
        lines.append(_indented(run["error"].strip(), style))
    elif run["status"] == "succeeded" and not any(run["counts"].values()):
        lines.append(_indented("There was nothing to do."))
    elif run["dry_run"]:
        lines.append(_indented("Nothing was changed. A real run would count:"))
    done = [f"{name.replace('_', ' ')}: {number:,}" for name, number in run["counts"].items()]
    lines += [_indented(each, level=2) for each in done]
    lines += [_indented(each, "dim", level=2) for each in run["findings"]]
    return Group(*lines)


def dead_table(letters: Sequence[DeadLetter], now: datetime) -> Table:
    """Dead letters, each in a line that names it."""
    table = _table()
    _fixed(table, "ID", SHORT_ID)
    _fixed(table, "Died", 11)
    _fixed(table, "Queue", _widest((letter["queue"] for letter in letters), 12))
    _fixed(table, "Message", _widest((letter["actor"] or "?" for letter in letters), 17))
    _rest(table, "Error")
    for letter in letters:
        table.add_row(
            letter["id"][:SHORT_ID],
            ago(_time(letter["died_at"]), now),
            letter["queue"],
            letter["actor"] or "?",
            Text(harmless(letter["error"]), "red"),
        )
    return table


def dead_page(letter: DeadLetterDetails, now: datetime) -> Group:
    """One dead letter: what it was about, and why it died."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("ID", letter["id"])
    facts.add_row("Queue", letter["queue"])
    facts.add_row("Message", letter["actor"] or "cannot be read")
    for name, value in letter["arguments"].items():
        facts.add_row(f"  {harmless(name)}", _value(value))
    for value in letter["positional"]:
        facts.add_row("  -", _value(value))
    if letter["sent_at"]:
        facts.add_row("Sent", ago(_time(letter["sent_at"]), now))
    facts.add_row(
        "Died", f"{ago(_time(letter['died_at']), now)}, tried {count(letter['retries'], 'time')}"
    )
    facts.add_row("Error", Text(harmless(letter["error"]), "red"))
    rest = letter["traceback"] or letter["raw"]
    if not rest:
        return Group(facts)
    return Group(facts, Text(), Text(harmless(rest.strip()), "dim", overflow="fold"))


def age_of(age: float) -> str:
    """How old: ``4.2 s``, ``3 min``, ``5 h``, ``2 days``."""
    if age < 100:
        return seconds(age)
    if age < 100 * 60:
        return f"{age / 60:.0f} min"
    return f"{age / 3600:.0f} h" if age < 48 * 3600 else count(int(age // 86_400), "day")


def ahead(then: datetime, now: datetime) -> str:
    """How soon: ``now``, ``in 40 s``, ``in 12 min``, ``in 5 h``, ``in 3 days``."""
    left = then - now
    return "now" if left < timedelta(seconds=1) else f"in {age_of(round(left.total_seconds()))}"


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")


def _fixed(table: Table, heading: str, width: int) -> None:
    """A column that keeps its width where rich must save room."""
    table.add_column(heading, no_wrap=True, min_width=width, max_width=width, overflow="ellipsis")


def _rest(table: Table, heading: str) -> None:
    """The last column: it has the room that the others leave."""
    table.expand = True
    table.add_column(heading, no_wrap=True, overflow="ellipsis", ratio=1)


def _widest(texts: Iterable[str], most: int = 28) -> int:
    return min(max(map(len, texts), default=1), most)


def _workers(workers: Sequence[Worker]) -> Text:
    alive = sum(worker["alive"] for worker in workers)
    if not alive:
        return Text("No worker is alive: nothing is taken from the queues.", "yellow")
    lost = len(workers) - alive
    return Text(f"{count(alive, 'worker')} alive" + (f", {lost} silent." if lost else "."), "dim")


def _next(job: Job, now: datetime) -> Text:
    if job["paused_at"]:
        return Text("paused", "yellow")
    return Text(ahead(_time(job["next_at"]), now) if job["next_at"] else _rhythm(job["cron"]))


def _rhythm(cron: str) -> str:
    """Of a job that runs so often that its next time means nothing."""
    seconds = cron.split()[0].removeprefix("*/")
    return "every min" if seconds == "0" else f"every {seconds} s"


def _when(run: LastRun, now: datetime) -> str:
    return ago(_time(run["started_at"]), now) if run["started_at"] else "queued"


def _took(run: LastRun) -> float | None:
    if not run["started_at"] or not run["finished_at"]:
        return None
    passed = _time(run["finished_at"]) - _time(run["started_at"])
    return max(0.0, passed.total_seconds())


def _result(run: LastRun) -> Text:
    mark, style = _LOOK[run["status"]]
    said = run["status"]
    if run["error"]:
        said = f"{said}: {harmless(run['error'].strip()).partition(chr(10))[0]}"
    elif run["status"] == "succeeded":
        done = [
            f"{name.replace('_', ' ')} {number:,}"
            for name, number in run["counts"].items()
            if number
        ]
        said = ", ".join(done) or "nothing to do"
    if run["dry_run"]:
        said = f"(dry) {said}"
    return Text.assemble((mark, style), f" {said}")


def _indented(sentence: str, style: str = "", level: int = 1) -> Text:
    # The terminal's width is the console's business, but a hanging indent is ours.
    indent = "  " * level
    wrapped = textwrap.fill(
        harmless(sentence),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    return Text(wrapped, style)


def _value(value: object) -> str:
    return harmless(value) if isinstance(value, str) else json.dumps(value)


def _number(number: int) -> str:
    return f"{number:,}"


def _time(moment: str | None) -> datetime:
    assert moment is not None
    return datetime.fromisoformat(moment)
