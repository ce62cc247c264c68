"""The welcome mail: everybody gets it once, whatever breaks."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import dramatiq
import pytest
import structlog
from sqlalchemy import Engine

from docmill_api.resources import Resources as ApiResources
from docmill_janitor.jobs import welcome_new_users
from docmill_janitor.resources import Resources
from docmill_janitor.welcome import welcome
from docmill_shared import welcomes
from docmill_shared.broker import depth, send
from docmill_shared.database import autocommit
from docmill_shared.messages import MAIL_QUEUE, WelcomeUser
from docmill_shared.welcomes import CLAIM_LASTS, LEAVE_ALONE, ON_ITS_WAY
from tests.fakes.mail_server import MailServer
from tests.integration.api.driver import PASSWORD, Api, settings_from
from tests.integration.janitor.conftest import Build
from tests.integration.janitor.newcomers import (
    age,
    mail_variables,
    new_user,
    user,
    welcome_everybody,
    working,
)

Eventually = Callable[..., None]
#: A hostile address that is a valid one.
HOSTILE = '"<b>tom</b>&co"@example.org'


@pytest.fixture
def resources(build: Build, server: MailServer, engine: Engine) -> Resources:
    """Resources that mail to ``server``."""
    welcome_everybody(engine)
    return build(**mail_variables(server))


def test_everybody_is_welcomed_once_however_often_it_is_delivered(
    resources: Resources, server: MailServer, eventually: Eventually
) -> None:
    users = [new_user(resources.engine, HOSTILE)] + [new_user(resources.engine) for _ in range(4)]
    for _ in range(5):
        for each in users:
            send(resources.broker, WelcomeUser(user_id=str(each)))
    with working(resources):
        eventually(lambda: depth(resources.broker, MAIL_QUEUE) == 0)
    recipients = sorted(taken.recipients[0] for taken in server.taken)
    assert recipients == sorted([HOSTILE, *(f"{each}@example.org" for each in users[1:])])
    assert all(user(resources.engine, each).welcomed_at for each in users)


def test_two_workers_at_the_same_moment_send_one(
    resources: Resources, server: MailServer, eventually: Eventually
) -> None:
    user_id = new_user(resources.engine)
    # Given a mail server that is still thinking about the first mail when the second worker comes
    server.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(welcome, user_id, resources) for _ in range(8)]
        try:
            assert server.arrived.wait(60)
            eventually(lambda: sum(each.done() for each in running) == 7)
        finally:
            server.gate.set()
    assert [each.exception() for each in running] == [None] * 8
    assert len(server.taken) == 1


def test_a_worker_that_is_killed_before_it_sent_is_made_up_for_once(
    resources: Resources,
    server: MailServer,
    service_environment: dict[str, str],
    eventually: Eventually,
    tmp_path: Path,
) -> None:
    # Given a worker that is killed while the mail server thinks
    user_id = new_user(resources.engine)
    server.gate.clear()
    command = ["dramatiq", "docmill_janitor.worker", "--processes", "1", "--threads", "1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env={**service_environment, **mail_variables(server)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            send(resources.broker, WelcomeUser(user_id=str(user_id)))
            assert server.arrived.wait(60), (tmp_path / "log").read_text()
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    # And a mail server that has noticed that nobody is there any more
    server.data_answer = "451 4.4.2 gone"
    server.gate.set()
    eventually(lambda: server.finished == 1)
    assert user(resources.engine, user_id).welcome_claimed_at is not None
    resources.broker.client.flushdb()
    server.data_answer = "250 OK"

    # Then nobody else sends while the claim lasts
    welcome(user_id, resources)
    assert server.taken == []
    assert user(resources.engine, user_id).welcomed_at is None
    # And when it has expired the job finds the user, and one mail goes out
    age(resources.engine, user_id, LEAVE_ALONE)
    with working(resources):
        for _ in range(3):
            welcome_new_users.run(resources, now=resources.now(), limit=10)
        eventually(lambda: server.taken and depth(resources.broker, MAIL_QUEUE) == 0)
    assert len(server.taken) == 1
    assert user(resources.engine, user_id).welcomed_at is not None


@pytest.fixture
def api(resources: Resources, service_environment: dict[str, str]) -> Iterator[Api]:
    api = ApiResources.from_settings(settings_from(service_environment))
    yield Api(api, resources.engine)
    api.close()


def register(api: Api) -> tuple[UUID, float]:
    """A new account by the API, and the seconds that it took."""
    began = time.monotonic()
    answer = api.call(
        "POST",
        "/v1/auth/register",
        {"email": f"{uuid4()}@example.org", "password": PASSWORD},
    )
    assert answer.status_code == 201, answer.text
    assert answer.json is not None
    return UUID(answer.json["id"]), time.monotonic() - began


def test_registration_does_not_wait_for_mail_and_the_mail_comes_when_it_can(
    api: Api, resources: Resources, server: MailServer, eventually: Eventually
) -> None:
    # Given a mail server that is down
    server.stop()
    with working(resources, min_backoff=50, max_backoff=100):
        # When somebody registers, Then that works at once
        user_id, took = register(api)
        assert took < 30
        client = resources.broker.client
        eventually(lambda: client.hlen(f"dramatiq:{MAIL_QUEUE}.DQ.msgs"), what="a retry waits")
        assert user(resources.engine, user_id).welcomed_at is None
        # And the mail comes when the server is back, once
        server.start()
        eventually(lambda: user(resources.engine, user_id).welcomed_at is not None)
    assert [taken.recipients for taken in server.taken] == [[email_of(resources, user_id)]]


def email_of(resources: Resources, user_id: UUID) -> str:
    return str(user(resources.engine, user_id).email)


def test_registration_works_without_redis_and_the_job_sends_the_mail(
    api: Api, resources: Resources, server: MailServer, eventually: Eventually
) -> None:
    broker = api.resources.broker
    there = broker.client.connection_pool
    broker.client.connection_pool = type(there).from_url("redis://127.0.0.1:1/0")
    user_id, took = register(api)
    broker.client.connection_pool = there
    assert took < 30
    age(resources.engine, user_id, ON_ITS_WAY)
    with working(resources):
        swept = welcome_new_users.run(resources, now=resources.now(), limit=10)
        assert swept.counts == {"sent": 1}
        eventually(lambda: user(resources.engine, user_id).welcomed_at is not None)
    assert len(server.taken) == 1


def test_an_address_that_refuses_mail_is_given_up(resources: Resources, server: MailServer) -> None:
    server.recipient_answer = "550 5.1.1 no such user"
    user_id = new_user(resources.engine, "nobody.at.all@example.org")
    with structlog.testing.capture_logs() as lines:
        welcome(user_id, resources)
    [line] = [each for each in lines if each["log_level"] == "warning"]
    assert line["address"] == "n…@example.org"
    assert "550 5.1.1" in line["why"]
    assert "nobody.at.all" not in str(lines)
    row = user(resources.engine, user_id)
    assert row.welcomed_at is not None, "the question is settled"
    assert row.welcome_claimed_at is None, "without a mail"
    # And it is not tried again, also if the server changed its mind
    server.recipient_answer = "250 OK"
    welcome(user_id, resources)
    age(resources.engine, user_id, LEAVE_ALONE)
    assert welcome_new_users.run(resources, now=resources.now(), limit=10).counts == {"sent": 0}
    assert server.taken == []


def test_an_account_without_an_address_of_mail_is_given_up(
    resources: Resources, server: MailServer
) -> None:
    user_id = new_user(resources.engine, "ada,eve@example.org")
    welcome(user_id, resources)
    assert user(resources.engine, user_id).welcomed_at is not None
    assert server.taken == []


def test_a_refusal_for_now_ends_as_a_dead_letter_that_says_why(
    resources: Resources, server: MailServer, eventually: Eventually
) -> None:
    server.data_answer = "451 4.7.1 try later"
    user_id = new_user(resources.engine)
    send(resources.broker, WelcomeUser(user_id=str(user_id)))
    dead = f"dramatiq:{MAIL_QUEUE}.XQ.msgs"
    client: Any = resources.broker.client
    with working(resources, min_backoff=10, max_backoff=20, max_retries=2):
        eventually(lambda: client.hlen(dead) == 1)
    [encoded] = client.hvals(dead)
    letter = dramatiq.Message.decode(encoded)
    assert "The mail server refused the mail (451 4.7.1)." in letter.options["traceback"]
    assert str(user_id) not in letter.options["traceback"], "no address"
    # And the next attempt is free to send
    server.data_answer = "250 OK"
    welcome(user_id, resources)
    assert len(server.taken) == 1


def test_whose_claim_expired_can_settle_nothing(resources: Resources) -> None:
    user_id = new_user(resources.engine)
    with autocommit(resources.engine) as connection:
        slow = welcomes.claim(connection, user_id)
        assert slow is not None
        assert welcomes.claim(connection, user_id) is None
    age(resources.engine, user_id, CLAIM_LASTS)
    with autocommit(resources.engine) as connection:
        quick = welcomes.claim(connection, user_id)
        assert quick is not None
        for settle in (welcomes.sent, welcomes.give_up, welcomes.release):
            assert not settle(connection, slow)
        assert welcomes.sent(connection, quick)


def test_the_mark_outlasts_a_short_absence_of_the_database(
    resources: Resources, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mail is out: not to write that down would send a second one."""
    from sqlalchemy.exc import OperationalError

    real, failures = welcomes.sent, [2]

    def flaky(*arguments: Any) -> bool:
        if failures[0]:
            failures[0] -= 1
            raise OperationalError("update", {}, Exception("the database restarts"))
        return real(*arguments)

    monkeypatch.setattr(welcomes, "sent", flaky)
    user_id = new_user(resources.engine)
    welcome(user_id, resources)
    assert user(resources.engine, user_id).welcomed_at is not None
    assert len(server.taken) == 1


def test_no_password_in_the_log(
    build: Build, server: MailServer, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    server.stop()
    server.accounts = True
    server.start()
    wrong = "hunter2-hunter2"
    resources = build(**mail_variables(server), SMTP_USERNAME="docmill", SMTP_PASSWORD=wrong)
    send(resources.broker, WelcomeUser(user_id=str(new_user(resources.engine))))
    client: Any = resources.broker.client
    with caplog.at_level(logging.DEBUG), working(resources, max_retries=0):
        eventually(lambda: client.hlen(f"dramatiq:{MAIL_QUEUE}.XQ.msgs") == 1)
    assert "did not accept SMTP_USERNAME and SMTP_PASSWORD" in caplog.text
    assert wrong not in caplog.text + repr(resources.settings)
    assert wrong.encode() not in client.hvals(f"dramatiq:{MAIL_QUEUE}.XQ.msgs")[0]
