"""An operator's day with the command line alone: jobs, dead letters, queues, roles."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis
from dramatiq import Message

from docmill_dev import roles
from docmill_shared.broker import HardenedRedisBroker
from docmill_shared.messages import JANITOR_QUEUE, RunJob
from tests.e2e.command import CONTROL_CODE, Running, run

DEMO = "demo@docmill.example"
CLEANUP = "clean_demo_public_files"
READY = "Stop everything"


def said(*arguments: object, data: Path, code: int = 0) -> str:
    """What a command prints; it ends with this code, in a pipe without any colour."""
    answer = run(*arguments, data=data)
    assert answer.returncode == code, answer.stdout + answer.stderr
    text = answer.stdout + answer.stderr
    assert not CONTROL_CODE.search(text)
    assert "Traceback (most recent call last):\n  File" not in answer.stderr
    return text


def told(*arguments: object, data: Path) -> Any:
    """The same for a program."""
    return json.loads(said(*arguments, "--json", data=data))


def job(data: Path, name: str) -> Any:
    (found,) = [each for each in told("jobs", data=data) if each["name"] == name]
    return found


def janitor(data: Path) -> HardenedRedisBroker:
    """A broker on the Redis that runs there."""
    port = json.loads((data / "ports.json").read_text())["valkey"]
    client = redis.Redis.from_url(f"redis://127.0.0.1:{port}/0")
    return HardenedRedisBroker(client=client, middleware=[])


def message(job_name: str, **options: object) -> Message[object]:
    fields = RunJob(job=job_name, run_id=str(uuid4())).to_fields()
    return Message(JANITOR_QUEUE, RunJob.actor, (), fields, options)


@pytest.mark.timeout(1_500)
def test_an_operators_day(tmp_path: Path, eventually: Callable[..., None]) -> None:
    data = tmp_path / "data"
    with Running("up", data=data, output=tmp_path / "output") as up:
        up.wait_for(READY)
        wait = partial(eventually, timeout=120)  # each look is a process of its own
        wait(lambda: told("jobs", data=data), what="the schedule is published")
        stops_a_cleanup_and_reads_its_result(data)
        runs_a_job(data)
        reads_and_retries_dead_letters(data, wait)
        pauses_a_queue(data, wait)
        loses_and_regains_the_role(data)


def stops_a_cleanup_and_reads_its_result(data: Path) -> None:
    # Given only the help
    assert "jobs" in said("--help", data=data)
    assert "pause" in said("jobs", "--help", data=data)
    # When the demo cleanup is stopped, then the schedule shows it.
    assert "paused" in said("jobs", "pause", CLEANUP, data=data)
    assert job(data, CLEANUP)["paused_at"] is not None
    (line,) = [each for each in said("jobs", data=data).splitlines() if CLEANUP in each]
    assert line.split()[1] == "paused"
    # When it is run dry all the same, then it says why it does nothing where there is no demo,
    refusal = said("jobs", "run", CLEANUP, "--dry-run", data=data, code=1)
    assert "dry run refused" in refusal
    assert "DEMO_MODE" in refusal
    # and that is its last result.
    page = said("jobs", "show", CLEANUP, data=data)
    assert "dry run refused" in page
    assert "DEMO_MODE" in page
    failed = told("jobs", "history", CLEANUP, "--failed", data=data)
    assert (failed[0]["status"], failed[0]["dry_run"]) == ("refused", True)
    # When it is resumed, it has a next time again.
    said("jobs", "resume", CLEANUP, data=data)
    assert job(data, CLEANUP)["paused_at"] is None


def runs_a_job(data: Path) -> None:
    # Given that its hour does not come meanwhile; what was sent before is done with the first run
    said("jobs", "pause", "clean_expired_tokens", data=data)
    said("jobs", "run", "clean_expired_tokens", data=data)
    with psycopg.connect(database(data)) as connection:
        connection.execute(
            "insert into revoked_tokens select gen_random_uuid(), now() - interval '1 hour'"
            " from generate_series(1, 3)"
        )
    # When it is run dry, it tells the same as when it is run, but only once.
    dry = said("jobs", "run", "clean_expired_tokens", "--dry-run", data=data)
    assert "Nothing was changed." in dry
    assert "revoked tokens: 3" in dry
    real = said("jobs", "run", "clean_expired_tokens", data=data)
    assert "revoked tokens: 3" in real
    assert "Nothing was changed." not in real
    assert "nothing to do" in said("jobs", "run", "clean_expired_tokens", data=data)
    shown = said("jobs", "history", "clean_expired_tokens", data=data)
    assert "(dry) " in shown
    assert "revoked tokens 3" in shown
    wrong = said("jobs", "run", "clean_expired_token", data=data, code=1)
    assert "Did you mean clean_expired_tokens?" in wrong
    said("jobs", "resume", "clean_expired_tokens", data=data)


def reads_and_retries_dead_letters(data: Path, wait: Callable[..., None]) -> None:
    assert "No message has failed for good." in said("dead", data=data)
    # Given a message that fails in the janitor for good
    broker = janitor(data)
    broker.enqueue(message("no_such_job", max_retries=0))
    wait(lambda: told("dead", data=data), what="it is dead")
    # Then it is found and read,
    (letter,) = told("dead", data=data)
    short = letter["id"][:8]
    assert short in said("dead", data=data)
    page = said("dead", "show", short, data=data)
    for words in ("KeyError: 'no_such_job'", "no_such_job", "run_job", "actors.py"):
        assert words in page
    # and retried; as it fails again, there is a new one, which is deleted.
    said("dead", "retry", short, data=data)
    wait(lambda: [each["id"] for each in told("dead", data=data)] not in ([], [letter["id"]]))
    (again,) = told("dead", data=data)
    said("dead", "delete", again["id"], data=data)
    assert told("dead", data=data) == []
    # Given some that would not fail now
    good = [message("clean_expired_tokens") for _ in range(2)]
    bury(broker, good)
    (queue,) = [each for each in told("queues", data=data)["queues"] if each["dead"]]
    assert (queue["name"], queue["dead"]) == (JANITOR_QUEUE, 2)
    # When all are retried, they run and are gone.
    assert "2 messages sent again." in said("dead", "retry", "--all", data=data)
    ids = {each.kwargs["run_id"] for each in good}
    history = ("jobs", "history", "clean_expired_tokens")
    wait(lambda: ids <= {each["id"] for each in told(*history, data=data)}, what="both ran")
    assert told("dead", data=data) == []


def pauses_a_queue(data: Path, wait: Callable[..., None]) -> None:
    said("queues", "pause", JANITOR_QUEUE, data=data)
    (line,) = [each for each in said("queues", data=data).splitlines() if JANITOR_QUEUE in each]
    assert line.split()[-1] == "paused"
    wait(
        lambda: any(
            each["waiting"] and each["name"] == JANITOR_QUEUE
            for each in told("queues", data=data)["queues"]
        ),
        what="the schedule goes on sending",
    )
    said("queues", "resume", JANITOR_QUEUE, data=data)
    assert "succeeded" in said("jobs", "run", "clean_expired_tokens", data=data)
    assert "no queue nothing" in said("queues", "pause", "nothing", data=data, code=1)


def loses_and_regains_the_role(data: Path) -> None:
    said("grant", DEMO, "user", data=data)
    for arguments in (("jobs",), ("queues",), ("dead",), ("jobs", "run", CLEANUP)):
        refused = said(*arguments, data=data, code=1)
        assert f"docmill grant {DEMO} admin" in " ".join(refused.split())
    said("grant", DEMO, "admin", data=data)
    said("jobs", data=data)
    assert "no account" in said("grant", "nobody@example.org", "admin", data=data, code=1)


def test_without_a_server_operators_are_told_so(tmp_path: Path) -> None:
    for arguments in (("jobs",), ("queues",), ("dead",), ("grant", DEMO, "admin")):
        assert "docmill is not running here" in said(*arguments, data=tmp_path, code=2)


def database(data: Path) -> str:
    return roles.database_url({}, data).replace("+psycopg", "")


def bury(broker: HardenedRedisBroker, messages: list[Message[object]]) -> None:
    """Let them die as the broker would; one that died a week ago would be forgotten."""
    for each in messages:
        dead_id = str(uuid4())
        broker.client.zadd(f"dramatiq:{JANITOR_QUEUE}.XQ", {dead_id: time.time() * 1000})
        data = each.copy(options={"redis_message_id": dead_id}).encode()
        broker.client.hset(f"dramatiq:{JANITOR_QUEUE}.XQ.msgs", dead_id, data)
