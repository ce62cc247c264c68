"""The operators' commands: their lines, and their client against a server told what to answer."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from rich.console import RenderableType
from typer.testing import CliRunner

from docmill_client import Client, DocmillError
from docmill_client.retries import Retries
from docmill_dev import operator_client, operator_lines, terminal
from docmill_dev.cli import app
from docmill_dev.operator_answers import DeadLetterDetails, Job, Queue, RunDetails, Worker
from docmill_dev.operator_client import NotAdmin, Operator
from tests.fakes.stub_api import StubApi, problem, stub_api

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def before(**ago: float) -> str:
    return (NOW - timedelta(**ago)).isoformat()


def run(**changes: object) -> RunDetails:
    values: dict[str, object] = {
        "id": "r1",
        "job": "clean_demo_private_files",
        "status": "succeeded",
        "dry_run": False,
        "slot": None,
        "requested_by": None,
        "started_at": before(minutes=5),
        "finished_at": before(minutes=5, seconds=-200),
        "counts": {"files_deleted": 1_234, "spared": 0},
        "error": None,
        "host": "h",
        "findings": [],
    }
    return cast("RunDetails", {**values, **changes})


def job(**changes: object) -> Job:
    values: dict[str, object] = {
        "name": "clean_demo_private_files",
        "cron": "*/30 * * * *",
        "what": "Deletes everybody's private files, with DEMO_MODE=true only; " * 2,
        "next_at": (NOW + timedelta(minutes=12)).isoformat(),
        "paused_at": None,
        "published_at": before(seconds=5),
        "last_run": run(),
    }
    return cast("Job", {**values, **changes})


def letter(**changes: object) -> DeadLetterDetails:
    values: dict[str, object] = {
        "id": "0123456789abcdef",
        "queue": "mail",
        "actor": "welcome_user",
        "died_at": before(hours=3),
        "error": "OSError: " + "no " * 60,
        "arguments": {"user_id": "u1", "number": 7},
        "positional": [],
        "sent_at": before(hours=4),
        "retries": 3,
        "traceback": "Traceback:\n  the end",
        "raw": None,
    }
    return cast("DeadLetterDetails", {**values, **changes})


def printed(what: RenderableType) -> str:
    console = terminal.output()
    with console.capture() as capture:
        console.print(what)
    text = capture.get()
    assert all(len(line) <= 80 for line in text.splitlines()), text
    return text


def test_the_schedule_fits_a_terminal() -> None:
    jobs = [
        job(),
        job(name="dispatch_due", cron="*/2 * * * * *", next_at=None, last_run=None),
        job(name="paused", paused_at=before(days=1), last_run=run(status="failed", error="E" * 99)),
        job(name="j" * 90, last_run=run(dry_run=True, counts={"x": 0})),
        job(name="running", last_run=run(status="running", finished_at=None)),
    ]

    heading, first, second, third, fourth, fifth = printed(
        operator_lines.job_table(jobs, NOW)
    ).splitlines()

    assert heading.split() == ["Job", "Next", "run", "Last", "run", "Result"]
    assert first.split()[:7] == ["clean_demo_private_files", "in", "12", "min", "5", "min", "ago"]
    assert "✓ files deleted 1,234" in first
    assert second.split() == ["dispatch_due", "every", "2", "s"]
    assert third.split()[1] == "paused"
    assert "✗ failed: EEE" in third
    assert third.rstrip().endswith("…")
    assert "✓ (dry) nothing to do" in fourth
    assert "· running" in fifth


def test_a_run_shows_counts_findings_and_whether_it_was_real() -> None:
    dry = printed(operator_lines.run_page(run(dry_run=True, findings=["delete file f1", "x" * 99])))
    assert "Nothing was changed." in dry
    assert "files deleted: 1,234" in dry
    assert "delete file f1" in dry
    assert "dry run succeeded in 3 min 20 s" in dry

    assert "There was nothing to do." in printed(operator_lines.run_page(run(counts={})))

    refused = printed(operator_lines.run_page(run(status="refused", error="Not here.", counts={})))
    assert "refused" in refused
    assert "Not here." in refused
    assert "nothing to do" not in refused


def test_a_job_is_shown_with_its_last_result() -> None:
    runs = [run(), run(dry_run=True)]
    page = printed(operator_lines.job_page(job(paused_at=before(hours=2)), run(), runs, NOW))
    for words in ("*/30 * * * *", "paused", "2 h ago", "files deleted: 1,234", "Latest runs"):
        assert words in page

    assert "none" in printed(operator_lines.job_page(job(last_run=None), None, [], NOW))


def test_the_history_names_the_job_unless_all_are_of_one() -> None:
    assert "clean_demo_private_files" in printed(operator_lines.run_table([run()], NOW))
    assert "clean" not in printed(operator_lines.run_table([run()], NOW, of_one=True))


def test_queues_fit_a_terminal_and_tell_what_is_wrong() -> None:
    queue: Queue = {
        "name": "ingest_bulk",
        "waiting": 1_000_000,
        "in_progress": 1_000,
        "delayed": 12,
        "dead": 3,
        "oldest_seconds": 7_300,
        "paused_at": before(minutes=59),
        "files": {"count": 2_000_000, "oldest_seconds": 200_000},
    }

    shown = printed(operator_lines.queue_table([queue], []))

    for words in ("1,000,000", "2,000,000", "2 days", "paused", "No worker is alive"):
        assert words in shown
    worker: Worker = {"id": "w", "alive": True, "silent_seconds": 0.1, "holds": {}}
    silent: Worker = {"id": "x", "alive": False, "silent_seconds": 99.0, "holds": {"mail": 1}}
    alive = operator_lines.queue_table([queue], [worker, silent])
    assert "1 worker alive, 1 silent." in printed(alive)


def test_dead_letters_are_listed_and_read() -> None:
    listed = printed(operator_lines.dead_table([letter(), letter(actor=None)], NOW))
    assert listed.splitlines()[1].startswith("01234567  3 h ago")
    assert "?" in listed.splitlines()[2]

    page = printed(operator_lines.dead_page(letter(), NOW))
    for words in ("0123456789abcdef", "u1", "7", "3 times", "the end"):
        assert words in page


def test_nothing_that_died_can_steer_the_terminal() -> None:
    evil = "\x1b]0;owned\x07\x1b[2J"
    died = letter(error=evil, traceback=evil, arguments={"a": evil, evil: [evil]})
    for shown in (
        operator_lines.dead_page(died, NOW),
        operator_lines.dead_table([died], NOW),
        operator_lines.run_page(run(error=evil, findings=[evil])),
        operator_lines.run_table([run(error=evil)], NOW),
    ):
        assert "\x1b" not in printed(shown)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "now"), (40, "in 40 s"), (125, "in 2 min"), (7_300, "in 2 h"), (400_000, "in 4 days")],
)
def test_how_soon(seconds: int, words: str) -> None:
    assert operator_lines.ahead(NOW + timedelta(seconds=seconds), NOW) == words


# --- The client ---


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubApi]:
    monkeypatch.setattr(operator_client, "sleep", lambda seconds: None)
    with stub_api() as server:
        yield server


@pytest.fixture
def operator(stub: StubApi) -> Iterator[Operator]:
    retries = Retries(first_pause=0.0)
    with Client(stub.url, email="ada@example.org", password="hers", retries=retries) as client:
        yield Operator(client)


def dead(*ids: str) -> tuple[int, object]:
    return 200, {"items": [letter(id=each) for each in ids], "next_cursor": None}


def test_whoever_is_no_admin_is_told_how_to_become_one(stub: StubApi, operator: Operator) -> None:
    stub.tell("GET /v1/admin/jobs", problem(403, "forbidden"))
    stub.tell("GET /v1/admin/dead-letters", problem(403, "forbidden"))

    for ask in (operator.jobs, lambda: list(operator.dead_letters())):
        with pytest.raises(NotAdmin, match=r"docmill grant ada@example\.org admin"):
            ask()


def test_the_beginning_of_an_id_names_one_letter(stub: StubApi, operator: Operator) -> None:
    stub.tell("GET /v1/admin/dead-letters", dead("abc", "abd", "ab", "xyz/1"))
    for name in ("abc", "ab", "xyz%2F1"):
        stub.tell(f"GET /v1/admin/dead-letters/mail/{name}", (200, letter(id=name)))

    assert operator.dead_letter("abc")["id"] == "abc"
    assert operator.dead_letter("x")["id"] == "xyz%2F1"
    assert operator.dead_letter("ab")["id"] == "ab", "a whole id is no mere beginning"
    with pytest.raises(DocmillError, match="4 dead letters"):
        operator.dead_letter("")
    with pytest.raises(DocmillError, match="begins with nope"):
        operator.dead_letter("nope")


def test_all_are_retried_in_steps_that_meet_none_twice(stub: StubApi, operator: Operator) -> None:
    done = {"retried": 1_000, "unreadable": 1, "more": True, "died_before": "then"}
    stub.tell(
        "POST /v1/admin/dead-letters/retry", (200, done), (200, {**done, "retried": 5, "more": 0})
    )

    assert operator.retry_all("mail") == (1_005, 1)

    asked = [each.body for each in stub.requests if each.what.endswith("/retry")]
    assert b"died_before" not in asked[0]
    assert b'"died_before":"then"' in asked[1].replace(b" ", b"")


def test_a_run_is_waited_for_to_its_end(stub: StubApi, operator: Operator) -> None:
    queued = run(status="queued", started_at=None, finished_at=None)
    running = run(status="running", finished_at=None)
    stub.tell("GET /v1/admin/runs/r1", (200, queued), (200, running), (200, run()))
    looks: list[str] = []

    ended = operator.wait_for_run("r1", 60, lambda each: looks.append(each["status"]))

    assert looks == ["queued", "running", "succeeded"]
    assert ended["counts"]["files_deleted"] == 1_234
    stub.tell("GET /v1/admin/runs/r1", (200, running))
    with pytest.raises(TimeoutError, match="still running"):
        operator.wait_for_run("r1", 0, lambda each: None)


def test_a_job_that_is_misspelt_is_guessed(stub: StubApi, operator: Operator) -> None:
    stub.tell("GET /v1/admin/jobs", (200, {"items": [job()]}))

    with pytest.raises(DocmillError, match=r"Did you mean clean_demo_private_files\?"):
        operator.pause_job("clean_demo_private_file")
    with pytest.raises(DocmillError, match="See: docmill jobs"):
        operator.run_job("x", dry_run=True)
    assert stub.came("POST /v1/admin/jobs/x/runs") == 0


def test_help_leads_an_operator_to_every_command() -> None:
    def told(*arguments: str) -> str:
        return CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "80"}).output

    assert "Operate" in told()
    for command in ("jobs", "queues", "dead", "grant"):
        assert f"│ {command} " in told()
    for command in ("show", "run", "pause", "resume", "history"):
        assert f"│ {command} " in told("jobs")
    assert "--dry-run" in told("jobs")
    for command in ("show", "retry", "delete"):
        assert f"│ {command} " in told("dead")
    for command in ("pause", "resume"):
        assert f"│ {command} " in told("queues")


@pytest.mark.parametrize("arguments", [[], ["x", "--all"], ["x", "--queue", "mail"]])
def test_retrying_needs_to_know_what(arguments: list[str]) -> None:
    answer = CliRunner().invoke(app, ["dead", "retry", *arguments])
    assert answer.exit_code == 2
    assert "Traceback" not in answer.output
