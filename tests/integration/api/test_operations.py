"""The operators' API: who may use it, and what it shows and does."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from dramatiq import Message as Envelope

from docmill_api.resources import Resources
from docmill_api.routes.blueprints import ADMIN_PREFIX
from docmill_shared import accounts
from docmill_shared.broker import QueueUnavailable, send
from docmill_shared.messages import INGEST_QUEUE, JANITOR_QUEUE, MAIL_QUEUE, QUEUES, RunJob
from tests.integration.api.driver import Account, Api, problem, settings_from
from tests.integration.api.history import body, ran


def admin_requests(api: Api) -> list[tuple[str, str]]:
    """Method and path of every route of the operators' API, whatever there is."""
    samples = {"queue": "ingest", "job": "x", "run_id": uuid4(), "dead_id": "x"}
    adapter = api.app.url_map.bind("localhost")
    found = []
    for rule in api.app.url_map.iter_rules():
        if rule.rule.startswith(ADMIN_PREFIX):
            path = adapter.build(rule.endpoint, {name: samples[name] for name in rule.arguments})
            found += [(each, path) for each in (rule.methods or set()) - {"HEAD", "OPTIONS"}]
    return found


def bury(api: Api, data: bytes | None = None, **options: object) -> str:
    """A dead letter of the mail queue."""
    dead_id = str(uuid4())
    message: Envelope[object] = Envelope(
        queue_name=MAIL_QUEUE,
        actor_name="send_welcome",
        args=(),
        kwargs={"user_id": dead_id},
        options={"redis_message_id": dead_id, "retries": 3, **options},
    )
    client = api.resources.broker.client
    client.zadd(f"dramatiq:{MAIL_QUEUE}.XQ", {dead_id: time.time() * 1000})
    client.hset(f"dramatiq:{MAIL_QUEUE}.XQ.msgs", dead_id, data or message.encode())
    return dead_id


def queue(admin: Account, name: str) -> Any:
    (found,) = [
        each for each in body(admin.get("/v1/admin/queues"))["items"] if each["name"] == name
    ]
    return found


# --- Who may ---


@pytest.mark.parametrize("role", ["user", "contributor"])
def test_every_route_refuses_whoever_is_no_admin(api: Api, role: str) -> None:
    requests = admin_requests(api)
    assert len(requests) >= 15
    account = api.account(role)
    for method, path in requests:
        problem(account.call(method, path), 403, "forbidden")
        # Nobody learns from a refusal what a body would have to look like.
        problem(account.call(method, path, {"wrong": 1}), 403, "forbidden")


def test_every_route_asks_for_a_token(api: Api) -> None:
    for method, path in admin_requests(api):
        problem(api.call(method, path), 401, "unauthenticated")


def test_no_route_refuses_an_admin(api: Api, admin: Account) -> None:
    for method, path in admin_requests(api):
        assert admin.call(method, path).status_code not in {401, 403, 405, 500}, path


def test_a_role_that_is_taken_away_counts_at_once(api: Api, admin: Account) -> None:
    assert admin.get("/v1/admin/jobs").status_code == 200
    with api.owner.begin() as connection:
        accounts.set_role(connection, admin.email, "user")
    problem(admin.get("/v1/admin/jobs"), 403, "forbidden")


# --- Queues and workers ---


def test_queues_show_messages_and_the_files_that_wait_in_postgres(api: Api, admin: Account) -> None:
    names = [each["name"] for each in body(admin.get("/v1/admin/queues"))["items"]]
    assert names == list(QUEUES)
    before = queue(admin, INGEST_QUEUE)
    assert (before["waiting"], before["oldest_seconds"], before["paused_at"]) == (0, None, None)

    file_id = admin.confirmed()
    bulk = admin.confirmed(b"other", bulk=True)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    api.set_file(file_id, queued_at=an_hour_ago)
    assert admin.post(f"/v1/files/{bulk}/cancel").status_code == 200

    found = queue(admin, INGEST_QUEUE)
    assert found["waiting"] == 1
    assert 0 <= found["oldest_seconds"] < 60
    assert found["files"]["count"] == before["files"]["count"] + 1
    assert 3_600 <= found["files"]["oldest_seconds"] < 3_700
    # A file that is not QUEUED is none that waits; and only ingestion has files.
    assert queue(admin, "ingest_bulk")["files"] == {"count": 0, "oldest_seconds": None}
    assert queue(admin, MAIL_QUEUE)["files"] is None


def test_a_queue_is_paused_and_resumed(api: Api, admin: Account) -> None:
    broker = api.resources.broker
    assert admin.post(f"/v1/admin/queues/{JANITOR_QUEUE}/pause").status_code == 204
    send(broker, RunJob(job="x"))
    assert broker.fetch(JANITOR_QUEUE, 5) == []
    paused = queue(admin, JANITOR_QUEUE)
    assert paused["paused_at"] is not None
    assert paused["waiting"] == 1

    assert admin.post(f"/v1/admin/queues/{JANITOR_QUEUE}/resume").status_code == 204
    assert queue(admin, JANITOR_QUEUE)["paused_at"] is None
    assert len(broker.fetch(JANITOR_QUEUE, 5)) == 1
    # The worker that has it is listed with it.
    (worker,) = body(admin.get("/v1/admin/workers"))["items"]
    assert worker["id"] == broker.broker_id
    assert worker["alive"] is True
    assert worker["holds"] == {JANITOR_QUEUE: 1}
    assert 0 <= worker["silent_seconds"] < 60


@pytest.mark.parametrize("what", ["pause", "resume"])
def test_there_is_no_such_queue(admin: Account, what: str) -> None:
    problem(admin.post(f"/v1/admin/queues/nothing/{what}"), 404, "queue_not_found")


# --- Dead letters ---


def test_a_dead_letter_is_found_read_retried_and_gone(api: Api, admin: Account) -> None:
    traceback = 'Traceback (most recent call last):\n  File "a", line 1\nOSError: no mail\nmore'
    dead_id = bury(api, traceback=traceback)
    assert queue(admin, MAIL_QUEUE)["dead"] == 1

    (found,) = body(admin.get("/v1/admin/dead-letters"))["items"]
    assert (found["id"], found["queue"], found["actor"]) == (dead_id, MAIL_QUEUE, "send_welcome")
    assert found["error"] == "OSError: no mail"
    path = f"/v1/admin/dead-letters/{MAIL_QUEUE}/{dead_id}"
    read = body(admin.get(path))
    assert read["arguments"] == {"user_id": dead_id}
    assert (read["retries"], read["traceback"], read["raw"]) == (3, traceback, None)

    assert admin.post(f"{path}/retry").status_code == 204
    after = queue(admin, MAIL_QUEUE)
    assert (after["waiting"], after["dead"]) == (1, 0)
    for method, gone in (("GET", path), ("POST", f"{path}/retry"), ("DELETE", path)):
        problem(admin.call(method, gone), 404, "dead_letter_not_found")
    assert queue(admin, MAIL_QUEUE)["waiting"] == 1


def test_one_that_cannot_be_read_can_only_be_deleted(api: Api, admin: Account) -> None:
    dead_id = bury(api, data=b"\xff{not json")
    path = f"/v1/admin/dead-letters/{MAIL_QUEUE}/{dead_id}"

    (found,) = body(admin.get("/v1/admin/dead-letters?queue=mail"))["items"]
    assert (found["id"], found["actor"]) == (dead_id, None)
    assert "{not json" in body(admin.get(path))["raw"]
    problem(admin.post(f"{path}/retry"), 409, "unreadable")
    assert admin.delete(path).status_code == 204
    assert body(admin.get("/v1/admin/dead-letters"))["items"] == []


def test_dead_letters_have_pages_and_all_are_retried(api: Api, admin: Account) -> None:
    made = {bury(api) for _ in range(5)}
    bury(api, data=b"?")

    seen, cursor = [], ""
    while cursor is not None:
        page = body(admin.get(f"/v1/admin/dead-letters?limit=2{cursor}"))
        assert len(page["items"]) <= 2
        seen += [each["id"] for each in page["items"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert len(seen) == 6
    assert made < set(seen)
    assert body(admin.get("/v1/admin/dead-letters?queue=ingest"))["items"] == []

    retried = body(admin.post("/v1/admin/dead-letters/retry", {"queue": MAIL_QUEUE}))
    assert (retried["retried"], retried["unreadable"], retried["more"]) == (5, 1, False)
    again = {"queue": MAIL_QUEUE, "died_before": retried["died_before"]}
    assert body(admin.post("/v1/admin/dead-letters/retry", again))["retried"] == 0
    found = queue(admin, MAIL_QUEUE)
    assert (found["waiting"], found["dead"]) == (5, 1)
    wrong = admin.post("/v1/admin/dead-letters/retry", {"queue": "nothing"})
    problem(wrong, 404, "queue_not_found")


# --- Outages ---


@pytest.fixture
def without_redis(api: Api, api_environment: dict[str, str]) -> Iterator[Callable[[str], Api]]:
    """``without_redis(url)``: the same api with another Redis."""
    made: list[Resources] = []

    def make(url: str) -> Api:
        made.append(Resources.from_settings(settings_from({**api_environment, "REDIS_URL": url})))
        return Api(made[-1], api.owner)

    yield make
    for resources in made:
        resources.close()


def test_without_redis_there_is_a_problem_at_once(
    api: Api, admin: Account, job: str, without_redis: Callable[[str], Api]
) -> None:
    away = without_redis("redis://127.0.0.1:1/0")
    headers = {"Authorization": f"Bearer {admin.access}"}
    needs_redis = [
        ("GET", "queues", None),
        ("POST", "queues/ingest/pause", None),
        ("POST", "queues/ingest/resume", None),
        ("GET", "workers", None),
        ("POST", f"jobs/{job}/runs", {}),
        ("GET", f"runs/{uuid4()}", None),
        ("GET", "dead-letters", None),
        ("GET", "dead-letters/mail/x", None),
        ("POST", "dead-letters/mail/x/retry", None),
        ("POST", "dead-letters/retry", {"queue": "mail"}),
        ("DELETE", "dead-letters/mail/x", None),
    ]
    began = time.monotonic()
    for method, path, sent in needs_redis:
        answer = away.call(method, f"/v1/admin/{path}", sent, headers=headers)
        problem(answer, 503, "queue_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    # Whoever tried again and again would need seconds for each of them
    assert time.monotonic() - began < 15
    # What Postgres knows is shown all the same.
    run_id = ran(api, job)
    for path in ("jobs", "runs", f"runs/{run_id}"):
        assert away.call("GET", f"/v1/admin/{path}", headers=headers).status_code == 200
    for path in (f"jobs/{job}/pause", f"jobs/{job}/resume"):
        assert away.call("POST", f"/v1/admin/{path}", headers=headers).status_code == 204


def test_a_redis_that_hangs_does_not_take_the_request_with_it(
    admin: Account, without_redis: Callable[[str], Api]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        away = without_redis(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        began = time.monotonic()
        answer = away.call(
            "GET", "/v1/admin/queues", headers={"Authorization": f"Bearer {admin.access}"}
        )
        problem(answer, 503, "queue_unavailable")
        # One answer is waited for, 5 s; a second attempt would take as long again, and a third
        assert time.monotonic() - began < 15


def test_a_run_whose_message_was_not_taken_is_not_said_to_wait(
    api: Api, admin: Account, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise QueueUnavailable("gone")

    monkeypatch.setattr("docmill_shared.broker.send", refuse)
    problem(admin.post(f"/v1/admin/jobs/{job}/runs", {}), 503, "queue_unavailable")
    assert api.resources.broker.client.keys("dramatiq:__runs__.*") == []


def test_the_operators_api_is_described(api: Api) -> None:
    document = json.loads(api.call("GET", "/openapi.json").text)
    for path, methods in document["paths"].items():
        if path.startswith(ADMIN_PREFIX):
            for described in methods.values():
                assert {"401", "403", "503"} <= described["responses"].keys(), path
                assert described["security"] == [{"bearer": []}]
