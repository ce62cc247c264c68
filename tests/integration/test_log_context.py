"""Log lines: one request is found through every process, and no secret is found in any."""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from docmill_dev import roles
from docmill_ingest.in_flight import in_flight
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.integration.fleet import COMMANDS, Caller, Fleet, fleet, wait

Wait = Callable[..., None]
Line = dict[str, Any]
EMAIL = "quiet.person@example.org"
PASSAGE = b"The heliotrope umbrella of the harbour master was never found."
QUESTION = "Who lost the umbrella?"
#: A client's own, which is kept.
REQUEST = "trace-me-through.everything"
JOB_REQUEST = "somebody-asked-for-a-job"


def lines_of(running: Fleet, name: str) -> list[Line]:
    """Every line of a process's log, parsed; not what is just being written."""
    written, _, _ = running[name].log.read_text().rpartition("\n")
    return [json.loads(line) for line in written.splitlines()]


@dataclass
class Flow:
    fleet: Fleet
    emulator: GeminiEmulator
    caller: Caller
    file_id: str
    #: Files that the dispatcher sent, with the requests that queued them.
    dispatched: dict[str, str]


@pytest.fixture(scope="module")
def flow(
    service_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flow]:
    """Register, log in, upload with a request id, search, refresh; all at LOG_LEVEL=DEBUG."""
    with GeminiEmulator() as emulator:
        environment = {
            **service_environment,
            "REDIS_URL": service_environment["REDIS_URL"].rpartition("/")[0] + "/5",
            "GEMINI_API_KEY": "a-key-that-is-nowhere-else",
            "GEMINI_BASE_URL": emulator.base_url,
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "DEBUG",
            "DISPATCH_SECONDS": "1",
            "RETRY_SECONDS": "0.1",
            # Once, by hand; the schedule's turn would come between 4:15 and 5:15
            "PRUNE_HISTORY_CRON": "0 0 29 2 *",
        }
        emulator.api_key = environment["GEMINI_API_KEY"]
        with fleet(environment, tmp_path_factory.mktemp("logs")) as running:
            running.start(*COMMANDS)
            caller = Caller(running, EMAIL).register()
            done = Flow(running, emulator, caller, *_use(caller, emulator))
            # The outcome is written first, and a line about it after that
            wait(lambda: _events(done, "ingest").count("completed") == 3, "files in the log")
            wait(
                lambda: any(
                    each["event"] == "ran" and each.get("job") == "prune_history"
                    for each in lines_of(running, "janitor")
                ),
                "the job in the log",
            )
            yield done


def _events(flow: Flow, name: str) -> list[str]:
    return [each["event"] for each in lines_of(flow.fleet, name)]


def _use(caller: Caller, emulator: GeminiEmulator) -> tuple[str, dict[str, str]]:
    file_id = caller.upload(PASSAGE, "notes.txt", request_id=REQUEST)
    wait(lambda: caller.ended(file_id), "the file")
    assert caller.file(file_id)["status"] == "COMPLETED"
    # Errors are what is likeliest to quote what it should not
    emulator.control(fail_next=1, fail_status=503)
    again, many = "of-a-file-that-is-tried-again", "of-one-of-many-files"
    second = caller.upload(PASSAGE + b" Nor was it looked for.", "more.txt", request_id=again)
    wait(lambda: caller.ended(second), "the file that failed once")
    third = caller.upload(PASSAGE + b" Or was it?", "third.txt", bulk=True, request_id=many)
    wait(lambda: caller.ended(third), "the file that came in bulk")
    emulator.control(fail_next=1, fail_status=503)
    for mode in ("hybrid", "semantic", "text"):
        caller.call("POST", "/v1/search", {"query": QUESTION, "mode": mode})
    wrong = {"email": EMAIL, "password": "the wrong password of somebody"}
    assert caller.fleet.call("POST", "/v1/auth/login", wrong).status == 401
    assert caller.fleet.call("POST", "/v1/auth/register", wrong | {"email": "no"}).status == 422
    roles.grant(caller.fleet.environment["DATABASE_URL"], EMAIL, "admin")
    asked = caller.call(
        "POST", "/v1/admin/jobs/prune_history/runs", {}, **{"X-Request-ID": JOB_REQUEST}
    )
    assert asked.status == 202
    used = {"refresh_token": caller.tokens["refresh_token"]}
    assert caller.fleet.call("POST", "/v1/auth/refresh", used).status == 200
    assert caller.fleet.call("POST", "/v1/auth/refresh", used).status == 401
    return file_id, {second: again, third: many}


def test_a_request_is_found_in_the_worker_that_ingests_its_file(flow: Flow) -> None:
    requests = [each for each in lines_of(flow.fleet, "api") if each.get("request_id") == REQUEST]
    assert f"/v1/files/{flow.file_id}/confirm" in {each.get("path") for each in requests}
    found = [each for each in lines_of(flow.fleet, "ingest") if each.get("request_id") == REQUEST]
    assert "completed" in {each["event"] for each in found}


def test_a_request_is_found_in_the_worker_that_got_its_file_from_the_dispatcher(
    flow: Flow,
) -> None:
    completed = {
        each["file_id"]: (each.get("request_id"), each["actor"])
        for each in lines_of(flow.fleet, "ingest")
        if each["event"] == "completed"
    }
    actors = ("ingest_file", "ingest_bulk_file")
    for (file_id, request_id), actor in zip(flow.dispatched.items(), actors, strict=True):
        assert completed[file_id] == (request_id, actor)


def test_every_line_about_a_file_has_all_of_its_ids(flow: Flow) -> None:
    about = [
        each for each in lines_of(flow.fleet, "ingest") if each.get("file_id") and "attempt" in each
    ]
    events = [each["event"] for each in about]
    assert events.count("completed") == 3
    assert "attempt failed, will be retried" in events
    for line in about:
        assert {"message_id", "owner_id", "attempt", "actor"} <= line.keys(), line
    ids = {each["file_id"]: each["owner_id"] for each in about}
    assert len(ids) == 3
    assert len({*ids.values()}) == 1
    attempts = [each["attempt"] for each in about if each["event"] == "completed"]
    assert sorted(attempts) == [1, 1, 2]


def test_one_request_leaves_nothing_to_the_next(flow: Flow) -> None:
    """A thread serves many; what gunicorn says of a request precedes its id."""
    first = [
        each
        for each in lines_of(flow.fleet, "api")
        if each["logger"] == "gunicorn.error" and each["event"].startswith(("GET /", "POST /"))
    ]
    assert len(first) > 10
    assert [each for each in first if "request_id" in each] == []


def test_one_message_leaves_nothing_to_the_next(flow: Flow) -> None:
    """A thread works on many; a line never has the id of a file that its message does not name."""
    by_message: dict[str, set[str]] = {}
    for line in lines_of(flow.fleet, "ingest"):
        if "file_id" in line and "message_id" in line:
            by_message.setdefault(line["message_id"], set()).add(line["file_id"])
    assert by_message
    assert all(len(files) == 1 for files in by_message.values())
    requests = {
        each["file_id"]
        for each in lines_of(flow.fleet, "ingest")
        if each.get("request_id") == REQUEST and "file_id" in each
    }
    assert requests == {flow.file_id}


def test_lines_of_a_job_name_it_and_its_run(flow: Flow) -> None:
    ran = [each for each in lines_of(flow.fleet, "janitor") if each["event"] == "ran"]
    assert "prune_history" in {each.get("job") for each in ran}
    for line in ran:
        assert {"job", "run_id", "message_id", "actor"} <= line.keys()
        # The request of whoever asked for it, and none where nobody did
        asked = JOB_REQUEST if line["job"] == "prune_history" else None
        assert line.get("request_id") == asked


def test_calls_to_a_provider_are_made_in_the_context_of_their_file() -> None:
    """They run in threads that all files share."""
    results: dict[str, list[str]] = {}

    def seen(_: int) -> str:
        time.sleep(0.001)
        return str(get_contextvars()["file_id"])

    def ingest(file_id: str) -> None:
        with bound_contextvars(file_id=file_id):
            results[file_id] = list(in_flight(pool, seen, range(50), window=4))

    with ThreadPoolExecutor(3) as pool, ThreadPoolExecutor(4) as threads:
        list(threads.map(ingest, "abcd"))
    assert results == {name: [name] * 50 for name in "abcd"}


def test_no_log_has_a_secret_or_content(flow: Flow) -> None:
    environment = flow.fleet.environment
    database = environment["DATABASE_URL"]
    signatures = [url.partition("X-Amz-Signature=")[2][:64] for url in flow.caller.signed]
    secrets = {
        "password": flow.caller.password,
        "wrong password": "the wrong password of somebody",
        "access token": flow.caller.tokens["access_token"],
        "signature of the access token": flow.caller.tokens["access_token"].rpartition(".")[2],
        "refresh token": flow.caller.tokens["refresh_token"],
        "provider's key": environment["GEMINI_API_KEY"],
        "S3 secret": environment["S3_SECRET_KEY"],
        "JWT secret": environment["JWT_SECRET"],
        "database's password": re.sub(r".*://[^:/@]*:?([^@/]*)@.*", r"\1", database),
        "e-mail": EMAIL,
        "passage": "heliotrope umbrella",
        "question": QUESTION,
        **{f"signature {number}": each for number, each in enumerate(signatures)},
    }
    assert all(len(secret) >= 8 for secret in secrets.values()), secrets
    for name in COMMANDS:
        log = flow.fleet[name].log.read_text()
        assert '"level": "debug"' in log or name == "api"
        assert [what for what, secret in secrets.items() if secret in log] == [], name
        assert "X-Amz-Signature" not in log


def test_every_line_is_json_from_the_start_to_the_end(
    service_environment: dict[str, str], tmp_path: Path, eventually: Wait
) -> None:
    environment = {
        **service_environment,
        "REDIS_URL": service_environment["REDIS_URL"].rpartition("/")[0] + "/5",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "DEBUG",
        "EMBEDDING_PROVIDER": "local",
    }
    with fleet(environment, tmp_path / "logs") as running:
        # Given all processes, of which one dies in the middle
        running.start(*COMMANDS)
        children = psutil.Process(running["ingest"].pid).children()
        min(children, key=psutil.Process.create_time).kill()  # the first to be started
        eventually(lambda: running["ingest"].exit_code == 1)
        # When the others are told to end
        for name in COMMANDS.keys() - {"ingest"}:
            running.processes.stop(name)
            assert running[name].exit_code == 0
        # Then nobody has said anything in another form
        services = {"scheduler": "janitor-scheduler", "janitor": "janitor-worker"}
        for name in COMMANDS:
            lines = lines_of(running, name)
            assert lines
            for line in lines:
                assert line["service"] == services.get(name, name)
                assert {"level", "event", "timestamp", "logger"} <= line.keys()
        (last,) = [each for each in lines_of(running, "ingest") if each["level"] == "critical"]
        assert "exited unexpectedly" in last["event"]


def test_lines_of_a_terminal_carry_the_same(
    service_environment: dict[str, str], tmp_path: Path, eventually: Wait
) -> None:
    with fleet({**service_environment, "EMBEDDING_PROVIDER": "local"}, tmp_path / "l") as running:
        running.start("api")
        running.call("GET", "/v1/files", **{"X-Request-ID": "seen-by-a-person"})
        log = running["api"].log
        eventually(lambda: "request_id=seen-by-a-person" in log.read_text())
