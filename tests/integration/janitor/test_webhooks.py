"""Deliveries of webhooks: from a file's change to a receiver, with the clock in the test's hand."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from threading import Barrier
from uuid import uuid4

import pytest

from docmill_client.errors import WebhookRejected
from docmill_client.webhooks import verify_webhook
from docmill_janitor import webhook_attempts
from docmill_janitor.resources import Resources
from docmill_janitor.webhook_attempts import MOST_ATTEMPTS, delay
from docmill_janitor.webhook_calls import WebhookCaller
from docmill_shared.database import autocommit
from docmill_shared.states import FileStatus
from docmill_shared.webhooks import attempts, registrations
from docmill_shared.webhooks.attempts import FAILING_FOR, LEASE, Claim
from docmill_shared.webhooks.events import FileEvent
from tests.fakes.webhook_receiver import Answer, WebhookReceiver
from tests.integration.janitor.hooks import KEY, Hook, add_hook, live
from tests.owners import Owner, new_owner

pytestmark = pytest.mark.usefixtures("no_webhooks")

S = FileStatus
CALLER = WebhookCaller(allow_private=True, seconds=60.0)


@pytest.fixture
def hook(owner: Owner, receiver: WebhookReceiver) -> Hook:
    """A webhook that hears of everything."""
    return add_hook(owner, receiver.url)


@pytest.fixture
def now(resources: Resources) -> datetime:
    """In the future, so that nothing that this test makes is later."""
    return resources.now() + timedelta(seconds=1)


def claim(resources: Resources, hook: Hook, now: datetime, count: int = 10) -> list[Claim]:
    with autocommit(resources.engine) as connection:
        return attempts.claim(connection, {hook.id: count}, now=now)


def deliver(resources: Resources, hook: Hook, now: datetime, caller: WebhookCaller = CALLER) -> int:
    """Send what is due; how much that was."""
    claims = claim(resources, hook, now)
    for each in claims:
        webhook_attempts.attempt(resources.engine, caller, KEY, each, now=now)
    return len(claims)


@pytest.mark.parametrize(
    ("states", "event"),
    [
        ((S.QUEUED, S.PROCESSING, S.COMPLETED), FileEvent.COMPLETED),
        ((S.QUEUED, S.PROCESSING, S.FAILED), FileEvent.FAILED),
        ((S.QUEUED, S.PROCESSING, S.DUPLICATE), FileEvent.DUPLICATE),
        ((S.DELETING,), FileEvent.DELETED),
    ],
)
def test_what_becomes_of_a_file_reaches_the_receiver_signed(
    resources: Resources,
    hook: Hook,
    receiver: WebhookReceiver,
    states: tuple[FileStatus, ...],
    event: FileEvent,
) -> None:
    # Given a file that ends so
    file_id = live(hook.owner, *states, page_count=3)
    # When it is delivered
    at = resources.now()
    assert deliver(resources, hook, at) == 1
    # Then the receiver can be sure of it
    (request,) = receiver.received
    content = verify_webhook(dict(request.headers.items()), request.body, hook.secret())
    assert content["type"] == event
    assert content["data"]["file_id"] == str(file_id)
    assert content["data"]["status"] == states[-1]
    assert content["data"]["name"] == "report.pdf"
    assert content["data"]["page_count"] == 3
    assert request.headers["User-Agent"] == "docmill"
    (delivery,) = hook.deliveries()
    assert (delivery.status, delivery.attempt, delivery.event) == ("DELIVERED", 1, event)
    assert delivery.finished_at is not None
    (logged,) = delivery.attempts
    assert (logged["status"], logged["error"]) == (204, None)
    assert logged["ms"] >= 0
    assert str(delivery.id) == request.id
    # And nothing is due any more
    assert deliver(resources, hook, at + timedelta(days=2)) == 0


def test_a_webhook_hears_only_of_what_it_asked_for_and_of_its_owners_files(
    owner: Owner, receiver: WebhookReceiver, resources: Resources
) -> None:
    other = new_owner(resources.engine, resources.objects)
    hook = add_hook(owner, receiver.url, [FileEvent.FAILED])
    live(owner, S.DELETING)
    live(other, S.QUEUED, S.FAILED)
    assert hook.deliveries() == []
    live(owner, S.QUEUED, S.FAILED)
    (delivery,) = hook.deliveries()
    assert delivery.payload["data"]["failure_reason"] == "corrupt"


def test_while_it_is_disabled_it_hears_nothing(resources: Resources, hook: Hook) -> None:
    waiting = hook.queue()
    with resources.engine.begin() as connection:
        registrations.disable(connection, hook.id, hook.owner.id)
    live(hook.owner, S.DELETING)
    (given_up,) = hook.deliveries()
    assert (given_up.id, given_up.status) == (waiting, "FAILED")
    assert given_up.attempts[0]["error"] == "The webhook was disabled."
    late = hook.queue()
    assert deliver(resources, hook, resources.now()) == 0
    assert hook.delivery(late).status == "PENDING"


def test_a_rotated_secret_signs_beside_the_one_before_for_a_day(
    resources: Resources, hook: Hook, receiver: WebhookReceiver
) -> None:
    with resources.engine.begin() as connection:
        registrations.rotate(connection, hook.id, hook.owner.id)
    hook.queue()
    deliver(resources, hook, resources.now())
    (request,) = receiver.received
    for version in (1, 2):
        verify_webhook(dict(request.headers.items()), request.body, hook.secret(version))
    later = resources.now() + timedelta(hours=24, seconds=1)
    hook.queue()
    deliver(resources, hook, later)
    signature = receiver.received[-1].headers["webhook-signature"]
    assert len(signature.split(" ")) == 1


def test_a_delivery_that_fails_is_tried_again_for_a_day(
    resources: Resources, hook: Hook, receiver: WebhookReceiver, now: datetime
) -> None:
    # Given a target that never takes it
    receiver.answer = Answer(500, body=b"a secret of the receiver")
    delivery_id = hook.queue()
    # When time passes, from one attempt to the next
    began, at, gaps = now, now, []
    while hook.delivery(delivery_id).status == "PENDING":
        assert deliver(resources, hook, at) == 1
        found = hook.delivery(delivery_id)
        if found.status == "PENDING":
            # Nothing happens before its time
            assert deliver(resources, hook, found.next_attempt_at - timedelta(seconds=1)) == 0
            gaps.append((found.next_attempt_at - at).total_seconds())
            at = found.next_attempt_at
    # Then it is given up after about a day, each time later than before
    found = hook.delivery(delivery_id)
    assert (found.status, found.attempt, len(gaps)) == ("FAILED", MOST_ATTEMPTS, MOST_ATTEMPTS - 1)
    assert timedelta(hours=16) < found.finished_at - began < timedelta(hours=30)
    assert gaps[0] < 10
    assert all(later > earlier for earlier, later in pairwise(gaps[:9]))
    # With every attempt in the log, and nothing of what the target said
    assert [each["status"] for each in found.attempts] == [500] * MOST_ATTEMPTS
    assert "secret" not in json.dumps(found.attempts)
    # Each with the same id and body, and its own time and signature
    assert {each.id for each in receiver.received} == {str(delivery_id)}
    assert len({each.body for each in receiver.received}) == 1
    assert len({each.headers["webhook-timestamp"] for each in receiver.received}) == MOST_ATTEMPTS
    assert len({each.headers["webhook-signature"] for each in receiver.received}) == MOST_ATTEMPTS
    # One failure does not disable the webhook
    assert hook.row().disabled_at is None


def test_a_target_that_recovers_gets_it(
    resources: Resources, hook: Hook, receiver: WebhookReceiver, now: datetime
) -> None:
    receiver.answers = [Answer(503), Answer(429)]
    delivery_id = hook.queue()
    at = now
    for _ in range(3):
        assert deliver(resources, hook, at) == 1
        at = hook.delivery(delivery_id).next_attempt_at + timedelta(seconds=1)
    found = hook.delivery(delivery_id)
    assert found.status == "DELIVERED"
    assert [each["status"] for each in found.attempts] == [503, 429, 204]


def test_the_targets_wish_counts_within_bounds() -> None:
    hour, longest = timedelta(hours=1), timedelta(hours=6)
    assert delay(1, hour.total_seconds(), 0.5) == hour
    assert delay(1, 1e12, 0.5) == longest
    # Not sooner than without it
    assert delay(10, 1.0, 0.5) == longest
    assert timedelta(seconds=4) <= delay(1, None, 0.0) < delay(1, None, 1.0)
    # A day in all, whatever chance says
    for spread in (0.0, 1.0):
        total = sum((delay(each, None, spread) for each in range(1, MOST_ATTEMPTS)), timedelta())
        assert timedelta(hours=18) <= total <= timedelta(hours=28)


def test_retry_after_is_obeyed(
    resources: Resources, hook: Hook, receiver: WebhookReceiver, now: datetime
) -> None:
    receiver.answer = Answer(429, {"Retry-After": "3600"})
    delivery_id = hook.queue()
    deliver(resources, hook, now)
    waits = hook.delivery(delivery_id).next_attempt_at - now
    assert timedelta(hours=1) <= waits < timedelta(hours=1, minutes=1)


def test_gone_disables_the_webhook_at_once(
    resources: Resources, hook: Hook, receiver: WebhookReceiver, now: datetime
) -> None:
    receiver.answer = Answer(410)
    first = hook.queue()
    (held,) = claim(resources, hook, now)
    second = hook.queue()
    webhook_attempts.attempt(resources.engine, CALLER, KEY, held, now=now)
    assert hook.row().disabled_at is not None
    assert hook.audited() == [("webhook_disabled", "gone")]
    assert hook.delivery(first).status == hook.delivery(second).status == "FAILED"
    assert hook.delivery(first).attempts[-1]["status"] == 410


@pytest.mark.parametrize(
    ("failed_before", "delivered_before", "disabled"),
    [
        (FAILING_FOR + timedelta(minutes=1), None, True),
        (FAILING_FOR - timedelta(minutes=1), None, False),
        (FAILING_FOR + timedelta(minutes=1), FAILING_FOR - timedelta(minutes=1), False),
        (FAILING_FOR + timedelta(days=2), FAILING_FOR + timedelta(days=1), True),
        (None, None, False),
    ],
)
def test_five_days_of_failures_disable_it(
    resources: Resources,
    hook: Hook,
    receiver: WebhookReceiver,
    now: datetime,
    failed_before: timedelta | None,
    delivered_before: timedelta | None,
    disabled: bool,
) -> None:
    # Given what happened before, and a delivery at its last attempt
    for status, before in (("FAILED", failed_before), ("DELIVERED", delivered_before)):
        if before is not None:
            when = now - before
            hook.queue(status=status, created_at=when, next_attempt_at=when, finished_at=when)
    hook.queue(attempt=MOST_ATTEMPTS - 1)
    receiver.answer = Answer(500)
    # When that fails, too
    assert deliver(resources, hook, now) == 1
    # Then
    assert (hook.row().disabled_at is not None) == disabled
    assert hook.audited() == ([("webhook_disabled", "failing")] if disabled else [])


def test_a_target_inside_is_refused_and_tried_again(
    resources: Resources, hook: Hook, receiver: WebhookReceiver, now: datetime
) -> None:
    caller = WebhookCaller(allow_private=False, resolve=lambda *_: ["127.0.0.1"])
    hook.set(url=f"https://hooks.example.org:{receiver.port}/")
    delivery_id = hook.queue()
    assert deliver(resources, hook, now, caller) == 1
    found = hook.delivery(delivery_id)
    assert found.status == "PENDING"
    assert found.attempts[0]["status"] is None
    assert "public internet" in found.attempts[0]["error"]
    assert "127.0.0.1" not in found.attempts[0]["error"]
    assert receiver.received == []


def test_of_many_at_once_one_gets_a_delivery(
    resources: Resources, hook: Hook, now: datetime
) -> None:
    for _ in range(20):
        hook.queue()
    together = Barrier(4)

    def take(_: int) -> list[Claim]:
        together.wait(60)
        return [each for _ in range(10) for each in claim(resources, hook, now, 3)]

    with ThreadPoolExecutor(4) as threads:
        claims = [each for part in threads.map(take, range(4)) for each in part]
    assert len(claims) == len({each.id for each in claims}) == 20


def test_who_lost_the_lease_settles_nothing(
    resources: Resources, hook: Hook, receiver: WebhookReceiver, now: datetime
) -> None:
    # Given one whose call took longer than its lease, and another who has it now
    delivery_id = hook.queue()
    (late,) = claim(resources, hook, now)
    assert claim(resources, hook, now + LEASE - timedelta(seconds=1)) == []
    (current,) = claim(resources, hook, now + LEASE)
    # When the first comes back
    receiver.answer = Answer(500)
    webhook_attempts.attempt(resources.engine, CALLER, KEY, late, now=now)
    # Then that changes nothing
    assert hook.delivery(delivery_id).attempts == []
    receiver.answer = Answer(204)
    webhook_attempts.attempt(resources.engine, CALLER, KEY, current, now=now + LEASE)
    assert hook.delivery(delivery_id).status == "DELIVERED"
    # And both had the same id, by which the receiver knows it again
    assert [each.id for each in receiver.received] == [str(delivery_id)] * 2


def test_a_signature_that_is_played_back_is_recognised(
    resources: Resources, hook: Hook, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.queue()
    deliver(resources, hook, resources.now())
    (request,) = receiver.received
    headers = dict(request.headers.items())
    verify_webhook(headers, request.body, hook.secret())
    # Played back later, by its time
    later = time.time() + 600
    monkeypatch.setattr("docmill_client.webhooks.time", lambda: later)
    with pytest.raises(WebhookRejected):
        verify_webhook(headers, request.body, hook.secret())
    # With another time or id, by its signature
    for name, value in (("webhook-timestamp", str(int(later))), ("webhook-id", str(uuid4()))):
        with pytest.raises(WebhookRejected):
            verify_webhook({**headers, name: value}, request.body, hook.secret())
