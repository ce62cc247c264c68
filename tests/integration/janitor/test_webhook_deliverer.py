"""The threads that deliver, and the worker process that they live in."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from docmill_janitor.resources import Resources
from docmill_janitor.webhook_calls import WebhookCaller
from docmill_janitor.webhook_deliverer import Deliverer
from docmill_janitor.webhook_slots import UNPROVEN
from docmill_shared.states import FileStatus
from tests.fakes.webhook_receiver import Answer, WebhookReceiver
from tests.integration.fleet import Fleet, fleet
from tests.integration.janitor.hooks import KEY, Hook, add_hook, live
from tests.owners import Owner, new_owner

pytestmark = pytest.mark.usefixtures("no_webhooks")

Wait = Callable[..., None]


@pytest.fixture
def dead() -> Iterator[WebhookReceiver]:
    """A target that takes connections and says nothing."""
    gate = threading.Event()
    with WebhookReceiver() as receiver:
        receiver.answer = Answer(before=lambda: gate.wait(250))
        yield receiver
        gate.set()


@pytest.fixture
def deliverer(resources: Resources) -> Iterator[Deliverer]:
    """One that runs; its calls take longer than any test."""
    caller = WebhookCaller(allow_private=True, resolve=lambda *_: ["127.0.0.1"], seconds=240.0)
    deliverer = Deliverer(resources, caller, KEY)
    deliverer.start()
    yield deliverer
    deliverer.close()


def delivered(hook: Hook) -> int:
    return sum(each.status == "DELIVERED" for each in hook.deliveries())


def test_an_event_arrives_within_seconds(
    owner: Owner, receiver: WebhookReceiver, deliverer: Deliverer, eventually: Wait
) -> None:
    hook = add_hook(owner, receiver.url)
    live(owner, FileStatus.DELETING)
    eventually(lambda: delivered(hook) == 1)
    (delivery,) = hook.deliveries()
    assert delivery.finished_at - delivery.created_at < timedelta(seconds=30)


def test_targets_that_do_not_answer_delay_nobody(
    resources: Resources,
    receiver: WebhookReceiver,
    deliverer: Deliverer,
    dead: WebhookReceiver,  # after the deliverer, so that its calls end before that is closed
    eventually: Wait,
) -> None:
    # Given a webhook that has been called before
    hook = add_hook(new_owner(resources.engine, resources.objects), receiver.url)
    hook.queue()
    eventually(lambda: delivered(hook) == 1)
    # And many of others at targets that hang, each with more to send than it will ever take
    owners = [new_owner(resources.engine, resources.objects) for _ in range(2)]
    hanging = [
        add_hook(owner, dead.url.replace("127.0.0.1", f"dead-{number}.example.org"))
        for owner in owners
        for number in range(10)
    ]
    for each in hanging:
        for _ in range(10):
            each.queue()
    eventually(lambda: len(dead.received) >= UNPROVEN, what="the dead targets are called")
    # When there are events for the first
    for _ in range(30):
        hook.queue()
    # Then they arrive while the others still hang
    eventually(lambda: delivered(hook) == 31, what="they arrive meanwhile")
    assert sum(delivered(each) for each in hanging) == 0
    assert not any(each.attempts for hanger in hanging for each in hanger.deliveries())


def test_what_is_being_sent_at_the_end_is_sent_to_its_end(
    resources: Resources, owner: Owner, receiver: WebhookReceiver, eventually: Wait
) -> None:
    gate = threading.Event()
    receiver.answer = Answer(before=lambda: gate.wait(250))
    hook = add_hook(owner, receiver.url)
    deliverer = Deliverer(resources, WebhookCaller(allow_private=True, seconds=240.0), KEY)
    hook.queue()
    assert deliverer.turn() == 1
    eventually(lambda: receiver.received, what="the call has begun")
    # When the worker is told to end, and the target answers only then
    closing = threading.Thread(target=deliverer.close)
    closing.start()
    gate.set()
    closing.join(60)
    assert not closing.is_alive()
    assert delivered(hook) == 1


@pytest.fixture
def workers(service_environment: dict[str, str], tmp_path: Path) -> Iterator[Fleet]:
    """Processes as in production, for whom loopback may be called."""
    environment = {**service_environment, "WEBHOOK_ALLOW_PRIVATE_TARGETS": "true"}
    with fleet(environment, tmp_path) as running:
        yield running


def test_a_worker_that_is_killed_while_it_sends_is_made_up_for(
    workers: Fleet, owner: Owner, receiver: WebhookReceiver, eventually: Wait
) -> None:
    # Given a worker in the middle of a call
    gate = threading.Event()
    receiver.answers = [Answer(before=lambda: gate.wait(60))]
    hook = add_hook(owner, receiver.url)
    delivery_id = hook.queue()
    workers.start("janitor")
    eventually(lambda: receiver.received, what="the call has begun")
    # When it is killed
    workers.processes.kill("janitor")
    gate.set()
    held = hook.delivery(delivery_id)
    assert (held.status, held.attempt, held.attempts) == ("PENDING", 1, [])
    # Then another sends it once the lease has ended
    workers.start("janitor")
    hook.move(delivery_id, next_attempt_at=held.next_attempt_at - timedelta(minutes=10))
    eventually(lambda: delivered(hook) == 1)
    assert [each.id for each in receiver.received] == [str(delivery_id)] * 2
    assert hook.delivery(delivery_id).attempt == 2
    # Counted and logged after it was settled
    path = workers["janitor"].log
    eventually(lambda: "webhook attempted" in path.read_text())
    scrape = workers.scrape("janitor")
    assert scrape.value("docmill_webhook_deliveries_total", outcome="delivered") == 1
    assert scrape.value("docmill_webhook_attempt_duration_seconds_count") == 1
    # And no secret is in the log
    log = path.read_text()
    assert hook.secret().removeprefix("whsec_") not in log
    assert KEY.decode() not in log
    assert receiver.url not in log


def test_without_a_key_a_worker_delivers_nothing(
    workers: Fleet, owner: Owner, receiver: WebhookReceiver, eventually: Wait
) -> None:
    hook = add_hook(owner, receiver.url)
    hook.queue()
    workers.start("janitor", WEBHOOK_KEY="")
    log = workers["janitor"].log
    eventually(lambda: "WEBHOOK_KEY is not set" in log.read_text())
    assert receiver.received == []
    assert hook.deliveries()[0].attempt == 0
