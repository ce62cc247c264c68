"""What is kept of deliveries, for how long, and how many wait; the clock is in the test's hand."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from docmill_janitor.jobs import trim_webhook_deliveries
from docmill_janitor.resources import Resources
from docmill_janitor.webhook_attempts import MOST_ATTEMPTS
from docmill_shared.database import autocommit
from docmill_shared.schema import Webhook
from docmill_shared.webhooks import attempts, deliveries
from docmill_shared.webhooks.attempts import Claim
from tests.integration.janitor.hooks import Hook, add_hook, ago
from tests.owners import Owner


@pytest.fixture
def hook(resources: Resources, owner: Owner) -> Hook:
    """The only webhook that there is."""
    with resources.engine.begin() as connection:
        connection.execute(delete(Webhook))
    return add_hook(owner, "https://hooks.example.org/")


@pytest.fixture
def now(resources: Resources) -> datetime:
    """In the future, so that nothing that this test makes is later."""
    return resources.now() + timedelta(seconds=1)


def test_old_deliveries_go_and_those_without_a_turn_are_given_up(
    resources: Resources, hook: Hook, now: datetime
) -> None:
    old, new = ago(now, days=30, seconds=1), ago(now, days=29)
    gone = hook.queue(status="DELIVERED", created_at=old, next_attempt_at=old, finished_at=old)
    kept = hook.queue(status="FAILED", created_at=new, next_attempt_at=new, finished_at=new)
    overdue = hook.queue(created_at=ago(now, days=4), next_attempt_at=ago(now, days=3, seconds=1))
    waits = hook.queue(created_at=ago(now, days=4), next_attempt_at=ago(now, days=2))
    counts = {"given_up": 1, "deleted": 1}
    dry = trim_webhook_deliveries.run(resources, now=now, limit=100, dry_run=True)
    assert dry.counts == counts
    assert len(hook.deliveries()) == 4
    assert trim_webhook_deliveries.run(resources, now=now, limit=100).counts == counts
    assert {each.id for each in hook.deliveries()} == {kept, overdue, waits}
    assert gone not in {each.id for each in hook.deliveries()}
    found = hook.delivery(overdue)
    assert found.status == "FAILED"
    assert "without its turn" in found.attempts[0]["error"]
    assert hook.delivery(waits).status == "PENDING"


def test_what_waits_is_known(resources: Resources, hook: Hook, now: datetime) -> None:
    def waiting() -> tuple[int, float]:
        with autocommit(resources.engine) as connection:
            found = deliveries.waiting(connection)
        return found.pending, float(found.oldest_seconds or 0)

    before, _ = waiting()
    hook.queue(next_attempt_at=ago(now, days=50))
    hook.queue(next_attempt_at=now + timedelta(hours=1))
    pending, oldest = waiting()
    assert pending == before + 2
    assert 49 * 86_400 < oldest < 51 * 86_400


def claim(resources: Resources, hook: Hook, now: datetime) -> Claim:
    with autocommit(resources.engine) as connection:
        (held,) = attempts.claim(connection, {hook.id: 10}, now=now)
    return held


def test_the_log_of_a_delivery_has_an_end(resources: Resources, hook: Hook, now: datetime) -> None:
    entries: list[dict[str, Any]] = [
        {"at": now.isoformat(), "status": 500, "ms": each, "error": "no"} for each in range(48)
    ]
    delivery_id = hook.queue(attempts=entries)
    held = claim(resources, hook, now)
    with autocommit(resources.engine) as connection:
        entry = deliveries.log_entry(now, None, status=204, ms=3)
        assert attempts.delivered(connection, held, entry, now=now)
    found = hook.delivery(delivery_id)
    assert len(found.attempts) == 48
    assert [each["status"] for each in found.attempts[-2:]] == [500, 204]
    assert found.attempts[0]["ms"] == 1


def test_sent_again_on_demand_it_keeps_its_id_and_has_all_attempts_before_it(
    resources: Resources, hook: Hook, now: datetime
) -> None:
    delivery_id = hook.queue(attempt=MOST_ATTEMPTS, status="FAILED", finished_at=now)
    with resources.engine.begin() as connection:
        again = deliveries.redeliver(connection, delivery_id, hook.id, hook.owner.id)
    assert again is not None
    assert (again.status, again.attempt, again.finished_at) == ("PENDING", 0, None)
    held = claim(resources, hook, now)
    assert (held.id, held.attempt) == (delivery_id, 1)


def test_one_that_waits_is_due_at_once_and_its_attempts_go_on(
    resources: Resources, hook: Hook, now: datetime
) -> None:
    delivery_id = hook.queue(attempt=5, next_attempt_at=now + timedelta(hours=6))
    with resources.engine.begin() as connection:
        deliveries.redeliver(connection, delivery_id, hook.id, hook.owner.id)
    held = claim(resources, hook, now)
    assert (held.id, held.attempt) == (delivery_id, 6)
