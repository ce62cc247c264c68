"""Dead letters on a real Valkey: found, read, sent again exactly once, thrown away."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from docmill_dev.stack import Stack
from docmill_shared.broker import HardenedRedisBroker, QueueUnavailable, dead_letters, queues
from docmill_shared.broker.dead_letters import DeadLetter
from tests.integration.broker.conftest import Start

Wait = Callable[..., None]
KEY = "dramatiq:default.XQ"


@pytest.fixture
def broker(sender: Callable[[str], RedisBroker]) -> HardenedRedisBroker:
    """A broker that sends and looks, of which `default` is a known queue."""
    made = sender("hardened")
    assert isinstance(made, HardenedRedisBroker)
    made.client.sadd("dramatiq:__queues__", "default")
    return made


def bury(
    broker: HardenedRedisBroker,
    *,
    died_ms: float,
    dead_id: str | None = None,
    data: bytes | None = None,
    queue: str = "default",
    **options: Any,
) -> str:
    """A dead letter without a worker."""
    dead_id = dead_id or str(uuid4())
    message: Message[object] = Message(
        queue_name=queue,
        actor_name="note",
        args=(dead_id,),
        kwargs={},
        options={"redis_message_id": dead_id, **options},
    )
    broker.client.zadd(KEY, {dead_id: died_ms})
    broker.client.hset(f"{KEY}.msgs", dead_id, data if data is not None else message.encode())
    return dead_id


def waiting(broker: HardenedRedisBroker) -> list[Message[object]]:
    """The messages of the queue in order, as a consumer would read them."""
    ids: Any = broker.client.lrange("dramatiq:default", 0, -1)
    found: list[Message[object]] = []
    for each in ids:
        data = broker.client.hget("dramatiq:default.msgs", each)
        assert isinstance(data, bytes)
        message: Message[object] = Message.decode(data)
        assert message.options["redis_message_id"] == each.decode()
        found.append(message)
    return found


def walked(broker: HardenedRedisBroker, limit: int) -> list[DeadLetter]:
    """Every page of the list."""
    letters: list[DeadLetter] = []
    while page := dead_letters.listed(
        broker, limit=limit, after=letters[-1].place if letters else None
    ):
        letters += page
    return letters


def test_a_message_that_fails_for_good_is_found_read_retried_and_gone(
    broker: HardenedRedisBroker, start: Start, events: Path, tmp_path: Path, eventually: Wait
) -> None:
    # Given a message that fails at its only attempt
    start("worker", "hardened")
    go = tmp_path / "go"
    go.touch()
    actor = broker.get_actor("fail_once")
    actor.send_with_options(args=("x", str(go)), max_retries=0)
    eventually(lambda: dead_letters.listed(broker, limit=10))
    # When it is looked at
    (letter,) = dead_letters.listed(broker, limit=10)
    # Then there is all that one needs to know
    assert letter.queue == "default"
    assert letter.error == "RuntimeError: on purpose"
    assert letter.retries == 1
    assert letter.traceback is not None
    assert "broker_worker.py" in letter.traceback
    assert letter.message is not None
    assert (letter.message.actor_name, letter.message.args) == ("fail_once", ("x", str(go)))
    assert abs((datetime.now(UTC) - letter.died_at).total_seconds()) < 60
    assert dead_letters.find(broker, "default", letter.id) == letter
    # When it is sent again, it runs, and is no dead letter any more.
    assert dead_letters.revive(broker, letter)
    eventually(lambda: events.read_text().splitlines() == ["run x", "run x", "done x"])
    assert dead_letters.listed(broker, limit=10) == []
    assert dead_letters.find(broker, "default", letter.id) is None
    assert broker.client.hlen(f"{KEY}.msgs") == 0


def test_a_new_life_begins_without_the_past(broker: HardenedRedisBroker) -> None:
    past: dict[str, Any] = {
        "retries": 3,
        "traceback": "Traceback ...",
        "requeue_timestamp": 1,
        "eta": 1,
    }
    # One that died among the delayed messages names their queue.
    dead_id = bury(broker, died_ms=1_000, queue="default.DQ", max_retries=3, **past)
    letter = dead_letters.find(broker, "default", dead_id)
    assert letter is not None

    assert dead_letters.revive(broker, letter)

    (message,) = waiting(broker)
    assert message.queue_name == "default"
    assert message.options.keys() == {"redis_message_id", "max_retries"}
    assert message.options["redis_message_id"] != dead_id
    (figures,) = [each for each in queues.figures(broker) if each.queue == "default"]
    assert figures.oldest_seconds is not None
    assert figures.oldest_seconds < 60
    assert broker.client.llen("dramatiq:default.wake") == 1, "an idle worker is woken"


def test_retried_by_many_at_once_it_runs_once(broker: HardenedRedisBroker) -> None:
    dead_id = bury(broker, died_ms=1_000)
    letter = dead_letters.find(broker, "default", dead_id)
    assert letter is not None

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda _: dead_letters.revive(broker, letter), range(16)))

    assert won.count(True) == 1
    assert len(waiting(broker)) == 1


@pytest.mark.parametrize("data", [b"{not json", b"[]", b'{"args": 1}', b"\xff\x00", b""])
def test_one_that_cannot_be_read_is_listed_and_deleted(
    broker: HardenedRedisBroker, data: bytes
) -> None:
    dead_id = bury(broker, died_ms=1_000, data=data)

    (letter,) = dead_letters.listed(broker, limit=10)
    assert (letter.id, letter.message, letter.error) == (
        dead_id,
        None,
        "The message cannot be read.",
    )
    with pytest.raises(ValueError, match="cannot be read"):
        dead_letters.revive(broker, letter)
    assert dead_letters.delete(broker, "default", dead_id)
    assert not dead_letters.delete(broker, "default", dead_id)
    assert dead_letters.listed(broker, limit=10) == []
    assert broker.client.hlen(f"{KEY}.msgs") == 0


def test_pages_show_each_letter_once_also_those_of_one_millisecond(
    broker: HardenedRedisBroker,
) -> None:
    made = {bury(broker, died_ms=1_000 + number // 10) for number in range(30)}

    for limit in (1, 4, 7, 30, 100):
        found = walked(broker, limit)
        assert {letter.id for letter in found} == made
        assert len(found) == 30
        assert found == sorted(found, key=lambda letter: letter.place, reverse=True)


def test_all_of_a_queue_are_sent_again_in_bounded_steps(broker: HardenedRedisBroker) -> None:
    # Given many, of which the first to have died cannot be read, and one that dies meanwhile
    unreadable = {bury(broker, died_ms=number, data=b"{") for number in range(3)}
    for number in range(250):
        bury(broker, died_ms=1_000 + number)
    began = queues.clock(broker)
    late = bury(broker, died_ms=(began + timedelta(minutes=1)).timestamp() * 1000)

    first = dead_letters.revive_all(broker, "default", died_before=began, limit=120)
    assert (first.revived, first.more) == (120, True)
    rest = dead_letters.revive_all(broker, "default", died_before=began, limit=1_000)
    assert (rest.revived, rest.unreadable, rest.more) == (130, 3, False)

    # Then each waits once, in the order in which they died, and the others stay.
    sent = [message.args[0] for message in waiting(broker)]
    assert len(sent) == len(set(sent)) == 250
    left = {letter.id for letter in dead_letters.listed(broker, limit=100)}
    assert left == {*unreadable, late}


@pytest.mark.parametrize(
    ("traceback", "error"),
    [
        (None, "It was handed out again and again, and no worker came to an end with it."),
        (
            'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n'
            "sqlalchemy.exc.OperationalError: (psycopg) no answer\n[SQL: select 1]\n(Background)",
            "sqlalchemy.exc.OperationalError: (psycopg) no answer",
        ),
        (
            'Traceback (most recent call last):\n  File "a.py", line 1, in f\nKeyError: 1\n\n'
            "During handling of the above exception, another exception occurred:\n\n"
            'Traceback (most recent call last):\n  File "b.py", line 2, in h\n    i()\n'
            "    ~^^\nValueError: two",
            "ValueError: two",
        ),
        ("NoneType: None\n", "NoneType: None"),
        ("", "The error has no text."),
    ],
)
def test_why_it_died_is_one_line(
    broker: HardenedRedisBroker, traceback: str | None, error: str
) -> None:
    options: dict[str, Any] = {} if traceback is None else {"traceback": traceback}
    dead_id = bury(broker, died_ms=1_000, **options)

    letter = dead_letters.find(broker, "default", dead_id)

    assert letter is not None
    assert letter.error == error


def test_the_bytes_of_a_letter_are_what_the_worker_left(broker: HardenedRedisBroker) -> None:
    data = json.dumps({"unknown": "form"}).encode()
    dead_id = bury(broker, died_ms=1_000, data=data)

    letter = dead_letters.find(broker, "default", dead_id)

    assert letter is not None
    assert letter.data == data


def test_without_redis_every_question_ends_in_one_error(
    valkey: Stack, broker: HardenedRedisBroker
) -> None:
    dead_id = bury(broker, died_ms=1_000)
    letter = dead_letters.find(broker, "default", dead_id)
    assert letter is not None
    valkey.valkey.stop()
    for ask in (
        lambda: dead_letters.listed(broker, limit=1),
        lambda: dead_letters.listed(broker, limit=1, queue="default"),
        lambda: dead_letters.find(broker, "default", "x"),
        lambda: dead_letters.revive(broker, letter),
        lambda: dead_letters.delete(broker, "default", "x"),
        lambda: dead_letters.revive_all(broker, "default", died_before=datetime.now(UTC), limit=10),
    ):
        with pytest.raises(QueueUnavailable):
            ask()
