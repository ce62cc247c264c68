"""The job that looks for new users whose welcome mail did not go out."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from docmill_janitor.jobs import welcome_new_users
from docmill_janitor.mail import MailUnavailable
from docmill_janitor.resources import Resources
from docmill_janitor.welcome import welcome
from docmill_shared.broker import depth, send
from docmill_shared.messages import MAIL_QUEUE, WelcomeUser
from docmill_shared.welcomes import CLAIM_LASTS, LEAVE_ALONE, ON_ITS_WAY, STALE
from tests.fakes.mail_server import MailServer
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


@pytest.fixture
def resources(build: Build, server: MailServer, engine: Engine) -> Resources:
    """Resources that mail to ``server``."""
    welcome_everybody(engine)
    return build(**mail_variables(server))


def test_a_retry_finds_the_claim_released_but_the_job_leaves_it_alone(
    resources: Resources, server: MailServer
) -> None:
    server.stop()
    user_id = new_user(resources.engine, created_at=resources.now() - timedelta(hours=1))
    for _ in range(2):
        with pytest.raises(MailUnavailable):
            welcome(user_id, resources)
        assert welcome_new_users.run(resources, now=resources.now(), limit=10).counts == {"sent": 0}
    later = resources.now() + LEAVE_ALONE - CLAIM_LASTS
    assert welcome_new_users.run(resources, now=later, limit=10).counts == {"sent": 1}


def test_the_job_looks_at_new_users_only(resources: Resources) -> None:
    now = resources.now()
    second = timedelta(seconds=1)
    expected = {
        new_user(resources.engine, created_at=now - ON_ITS_WAY - second),
        new_user(resources.engine, created_at=now - STALE + second),
    }
    hour = timedelta(hours=1)
    spared: tuple[dict[str, Any], ...] = (
        {"created_at": now - ON_ITS_WAY},  # the boundary second: its message is on its way
        {"created_at": now - STALE},
        {"created_at": now - hour, "welcomed_at": now},
        {"created_at": now - hour, "welcome_claimed_at": now - LEAVE_ALONE + second},
    )
    for values in spared:
        new_user(resources.engine, **values)
    swept = welcome_new_users.run(resources, now=now, limit=10, dry_run=True)
    assert {line.rpartition(" ")[2] for line in swept.findings} == {str(each) for each in expected}
    assert depth(resources.broker, MAIL_QUEUE) == 0, "a dry run sends nothing"
    assert welcome_new_users.run(resources, now=now, limit=10).counts == {"sent": 2}
    assert depth(resources.broker, MAIL_QUEUE) == 2


def test_the_job_does_not_fill_a_queue_that_nobody_empties(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(welcome_new_users, "QUEUE_CAP", 3)
    for _ in range(5):
        new_user(resources.engine, created_at=resources.now() - timedelta(hours=1))
    sent = [
        welcome_new_users.run(resources, now=resources.now(), limit=10).counts["sent"]
        for _ in range(2)
    ]
    assert sent == [3, 0]


def test_without_a_mail_server_nothing_is_sent_and_nothing_is_owed(
    resources: Resources, server: MailServer, eventually: Eventually
) -> None:
    without = replace(resources, mailer=None)
    user_id = new_user(resources.engine, created_at=resources.now() - timedelta(hours=1))
    send(resources.broker, WelcomeUser(user_id=str(user_id)))
    with working(without):
        eventually(lambda: depth(resources.broker, MAIL_QUEUE) == 0)
    swept = welcome_new_users.run(without, now=resources.now(), limit=10)
    assert swept.refused == "SMTP_HOST is not set, so no mail is sent."
    assert depth(resources.broker, MAIL_QUEUE) == 0
    assert user(resources.engine, user_id).welcomed_at is None
    # And months later, with a mail server, nobody of then is greeted
    age(resources.engine, user_id, timedelta(days=60))
    assert welcome_new_users.run(resources, now=resources.now(), limit=10).counts == {"sent": 0}
    assert server.taken == []
