"""The operators' commands: ``docmill jobs``, ``queues``, ``dead`` and ``grant``."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from docmill_client import DocmillError
from docmill_dev import operator_lines as lines
from docmill_dev import roles, session, terminal
from docmill_dev.invocation import FAILED, Data, answering, directory_of
from docmill_dev.operator_answers import RunDetails
from docmill_dev.operator_client import Operator
from docmill_dev.terminal import count

_LATEST_RUNS = 5
_RUN_SECONDS = 900.0
#: A run that waits this long gets a word of explanation.
_LONG_IN_QUEUE_SECONDS = 5.0

jobs_app = typer.Typer(add_completion=False)
queues_app = typer.Typer(add_completion=False)
dead_app = typer.Typer(add_completion=False)

AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
JobName = Annotated[str, typer.Argument(metavar="JOB", help="As in: docmill jobs")]
QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="As in: docmill queues")]
LetterId = Annotated[
    str, typer.Argument(metavar="ID", help="Or its beginning, as in: docmill dead")
]


@jobs_app.callback(invoke_without_command=True)
def jobs(context: typer.Context, as_json: AsJson = False, data: Data = None) -> None:
    """List recurring jobs, their last results; run or pause one."""
    if context.invoked_subcommand is not None:
        return
    with _operator(data) as operator:
        found = operator.jobs()
        if as_json:
            _print_json(found)
        elif not found:
            _say("No job is known yet; the janitor's scheduler publishes them when it starts.")
        else:
            console = terminal.output()
            console.print(lines.job_table(found, _now()))
            _say("\nMore of one: docmill jobs show JOB")


@jobs_app.command("show")
def show_job(job: JobName, as_json: AsJson = False, data: Data = None) -> None:
    """Show what a job does, when it runs and how its last runs ended."""
    with _operator(data) as operator:
        found = operator.job(job)
        runs = list(islice(operator.runs(job=job), _LATEST_RUNS))
        last = operator.run(runs[0]["id"]) if runs else None
        if as_json:
            _print_json({**found, "last_run": last, "runs": runs})
        else:
            terminal.output().print(lines.job_page(found, last, runs, _now()))


@jobs_app.command("run")
def run_job(
    job: JobName,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what there is to do.")
    ] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Run a job now, paused or not; with --dry-run it only looks."""
    with _operator(data) as operator:
        asked = operator.run_job(job, dry_run=dry_run)
        run = operator.wait_for_run(asked["id"], _RUN_SECONDS, _Patience())
        if as_json:
            _print_json(run)
        else:
            terminal.output().print(lines.run_page(run))
        if run["status"] != "succeeded":
            raise typer.Exit(FAILED)


@jobs_app.command("pause")
def pause_job(job: JobName, data: Data = None) -> None:
    """Stop a job: its times pass by until it is resumed."""
    with _operator(data) as operator:
        operator.pause_job(job)
        _say(f"{job} is paused. Go on with: docmill jobs resume {job}")


@jobs_app.command("resume")
def resume_job(job: JobName, data: Data = None) -> None:
    """Let a paused job run again, from its next time on."""
    with _operator(data) as operator:
        operator.resume_job(job)
        _say(f"{job} runs again.")


@jobs_app.command("history")
def history(
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="Only this one.")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only runs that failed or refused.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List runs and how they ended, newest first."""
    with _operator(data) as operator:
        name = operator.job(job)["name"] if job else None
        found = list(islice(operator.runs(job=name, failed=failed), limit))
        if as_json:
            _print_json(found)
        elif not found:
            _say("No run failed." if failed else "No run yet.")
        else:
            terminal.output().print(lines.run_table(found, _now(), of_one=name is not None))


@queues_app.callback(invoke_without_command=True)
def queues(context: typer.Context, as_json: AsJson = False, data: Data = None) -> None:
    """Show what waits, runs and failed for good; pause a queue."""
    if context.invoked_subcommand is not None:
        return
    with _operator(data) as operator:
        found, workers = operator.queues(), operator.workers()
        if as_json:
            _print_json({"queues": found, "workers": workers})
            return
        terminal.output().print(lines.queue_table(found, workers))
        if any(queue["dead"] for queue in found):
            _say("Dead letters: docmill dead")


@queues_app.command("pause")
def pause_queue(queue: QueueName, data: Data = None) -> None:
    """Hand out nothing more of a queue; what runs goes on."""
    with _operator(data) as operator:
        operator.pause_queue(queue)
        _say(f"{queue} is paused. Go on with: docmill queues resume {queue}")


@queues_app.command("resume")
def resume_queue(queue: QueueName, data: Data = None) -> None:
    """Hand out what waits in a paused queue."""
    with _operator(data) as operator:
        operator.resume_queue(queue)
        _say(f"{queue} goes on.")


@dead_app.callback(invoke_without_command=True)
def dead(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many, latest first.")] = 50,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List messages that failed for good; read or retry one."""
    if context.invoked_subcommand is not None:
        return
    with _operator(data) as operator:
        found = list(islice(operator.dead_letters(), limit + 1))
        if as_json:
            _print_json(found[:limit])
        elif not found:
            _say("No message has failed for good.")
        else:
            terminal.output().print(lines.dead_table(found[:limit], _now()))
            if len(found) > limit:
                _say(f"\nThere are more: docmill dead --limit {limit * 2}")
            _say("\nWhy one died: docmill dead show ID")


@dead_app.command("show")
def show_dead(letter_id: LetterId, as_json: AsJson = False, data: Data = None) -> None:
    """Show a dead letter's arguments and traceback."""
    with _operator(data) as operator:
        letter = operator.dead_letter(letter_id)
        if as_json:
            _print_json(letter)
        else:
            terminal.output().print(lines.dead_page(letter, _now()))


@dead_app.command("retry")
def retry_dead(
    letter_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Or its beginning; or --all.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    queue: Annotated[
        str | None, typer.Option(metavar="QUEUE", help="With --all: only of this queue.")
    ] = None,
    data: Data = None,
) -> None:
    """Send a dead letter again, with all its attempts before it."""
    if (letter_id is None) == (not every) or (queue and not every):
        raise typer.BadParameter("give an ID, or --all with or without --queue.")
    with _operator(data) as operator:
        if letter_id is not None:
            letter = operator.dead_letter(letter_id)
            operator.retry(letter)
            _say(f"{letter['actor']} is in the queue {letter['queue']} again.")
            return
        names = [queue] if queue else [each["name"] for each in operator.queues() if each["dead"]]
        done = [operator.retry_all(name) for name in names]
        retried, unreadable = (sum(each[place] for each in done) for place in (0, 1))
        _say(f"{count(retried, 'message')} sent again.")
        if unreadable:
            raise DocmillError(f"{count(unreadable, 'dead letter')} cannot be read and stayed.")


@dead_app.command("delete")
def delete_dead(letter_id: LetterId, data: Data = None) -> None:
    """Throw a dead letter away."""
    with _operator(data) as operator:
        letter = operator.dead_letter(letter_id)
        operator.delete(letter)
        _say(f"{letter['id']} is deleted.")


def grant(
    email: Annotated[str, typer.Argument(metavar="EMAIL", show_default=False)],
    role: Annotated[roles.Role, typer.Argument(show_default=False)],
    data: Data = None,
) -> None:
    """Make an account an admin, or take that back."""
    with answering():
        roles.grant(roles.database_url(os.environ, directory_of(data)), email, role.value)
        _say(f"{email} is {role.value} from now on.")


class _Patience:
    """Says once why a run does not begin, if it does not."""

    def __init__(self) -> None:
        self._asked_at = _now()
        self._told = False

    def __call__(self, run: RunDetails) -> None:
        waited = (_now() - self._asked_at).total_seconds()
        if run["status"] == "queued" and waited > _LONG_IN_QUEUE_SECONDS and not self._told:
            self._told = True
            terminal.complain(
                "no worker of the janitor has begun it yet. Is its queue paused, or are they busy?"
                " See: docmill queues"
            )


@contextmanager
def _operator(data: Path | None) -> Iterator[Operator]:
    """Logged in where docmill runs, or where the environment says."""
    with answering(), session.connect(os.environ, directory_of(data)) as client:
        yield Operator(client)


def _now() -> datetime:
    return datetime.now(UTC)


def _say(sentence: str) -> None:
    terminal.output().print(sentence, soft_wrap=True)


def _print_json(answer: Any) -> None:
    print(json.dumps(answer, indent=2))
