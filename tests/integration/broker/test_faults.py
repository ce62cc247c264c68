"""The faults that were measured in the stock Redis broker: ours survives each, and stock does not.

Each test runs the same scenario on both. The stock half is there so that nobody takes the hardened
broker for superstition, and so that it can go when Dramatiq no longer needs it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from docmill_dev.processes import Process, Processes
from docmill_dev.stack import Stack
from docmill_shared.broker import HardenedRedisBroker
from tests.fakes.broker_worker import make_broker
from tests.integration.broker.conftest import Start

Wait = Callable[..., None]
Sender = Callable[[str], RedisBroker]
KINDS = pytest.mark.parametrize("kind", ["hardened", "stock"])
#: How long the stock broker is given to do what it does not do.
NEVER_SECONDS = 8
#: In seconds, for what ours does and stock does not.
PATIENCE = {"hardened": 60, "stock": NEVER_SECONDS}


def lines(events: Path) -> list[str]:
    return events.read_text().splitlines()


def happens(wait: Wait, condition: Callable[[], object], timeout: float) -> bool:
    """Whether it does within ``timeout`` seconds."""
    try:
        wait(condition, timeout=timeout)
    except AssertionError:
        return False
    return True


def send(broker: RedisBroker, actor: str, *args: object, delay: int | None = None) -> None:
    broker.get_actor(actor).send_with_options(args=args, delay=delay)


@KINDS
def test_a_retry_while_redis_is_down_is_not_lost(
    kind: str,
    valkey: Stack,
    sender: Sender,
    start: Start,
    events: Path,
    tmp_path: Path,
    eventually: Wait,
) -> None:
    worker = start("worker", kind)
    go = tmp_path / "go"
    send(sender(kind), "fail_once", "x", str(go))
    eventually(lambda: lines(events) == ["run x"])

    valkey.valkey.stop()
    go.touch()  # the job raises now, and its retry cannot be enqueued
    eventually(lambda: "Unexpected failure in after_process_message" in worker.log.read_text())
    valkey.valkey.start()

    survived = happens(eventually, lambda: "done x" in lines(events), PATIENCE[kind])
    assert survived == (kind == "hardened")


@KINDS
def test_delayed_messages_survive_a_restart_of_redis(
    kind: str,
    valkey: Stack,
    url: str,
    sender: Sender,
    start: Start,
    events: Path,
    eventually: Wait,
) -> None:
    worker = start("worker", kind)
    send(sender(kind), "note", "x", delay=6_000)
    client = redis.Redis.from_url(url)
    eventually(lambda: held(client, "default.DQ") == 1, what="the worker holds it until it is due")
    valkey.valkey.stop()
    eventually(lambda: has_noticed(worker))
    valkey.valkey.start()

    survived = happens(eventually, lambda: lines(events) == ["x"], PATIENCE[kind])
    assert survived == (kind == "hardened")


@KINDS
def test_delayed_messages_that_fall_due_while_redis_is_down(
    kind: str, valkey: Stack, url: str, sender: Sender, start: Start, events: Path, eventually: Wait
) -> None:
    worker = start("worker", kind)
    broker = sender(kind)
    due = time.monotonic() + 4
    send(broker, "note", "x", delay=4_000)
    client = redis.Redis.from_url(url)
    eventually(lambda: held(client, "default.DQ") == 1)
    valkey.valkey.stop()
    eventually(lambda: has_noticed(worker) and time.monotonic() > due + 1)
    valkey.valkey.start()
    send(broker, "note", "y", delay=500)

    survived = happens(eventually, lambda: sorted(lines(events)) == ["x", "y"], PATIENCE[kind])
    assert survived == (kind == "hardened")


@KINDS
def test_messages_whose_fetch_was_answered_into_the_void(
    kind: str, url: str, sender: Sender, start: Start, events: Path, eventually: Wait
) -> None:
    broker = sender(kind)
    for name in "abc":
        send(broker, "note", name)
    # Another client fetches in the worker's name: to Redis, an answer that never arrived.
    worker_id = lost_fetch(kind, broker, 3)
    client = redis.Redis.from_url(url)
    assert client.scard(f"dramatiq:__acks__.{worker_id}.default") == 3
    broker.broker_id = worker_id
    worker = in_this_process(broker)
    try:
        survived = happens(
            eventually, lambda: sorted(lines(events)) == ["a", "b", "c"], PATIENCE[kind]
        )
    finally:
        worker.stop()
    assert survived == (kind == "hardened")


@KINDS
def test_an_idle_survivor_takes_over_from_a_killed_worker(
    kind: str,
    processes: Processes,
    url: str,
    sender: Sender,
    start: Start,
    events: Path,
    eventually: Wait,
) -> None:
    """Stock looks for dead workers at one command in a thousand; this is the usual case, in which
    it does not within a test's patience."""
    never = 0
    start("victim", kind, heartbeat_timeout=2_000, maintenance_chance=never)
    send(sender(kind), "slow", "x", 600)
    eventually(lambda: lines(events) == ["begin x"])
    processes.kill("victim")
    start("survivor", kind, heartbeat_timeout=2_000, maintenance_chance=never)

    survived = happens(eventually, lambda: lines(events) == ["begin x"] * 2, PATIENCE[kind])
    processes.kill("survivor")
    assert survived == (kind == "hardened")


@KINDS
def test_a_clock_that_is_ahead_steals_nothing(
    kind: str,
    url: str,
    sender: Sender,
    start: Start,
    events: Path,
    tmp_path: Path,
    eventually: Wait,
) -> None:
    always = 1_000_000
    go = tmp_path / "go"
    start("runner", kind, maintenance_chance=always)
    send(sender(kind), "held", "x", str(go))
    eventually(lambda: lines(events) == ["begin x"])
    start("ahead", kind, ahead=90, maintenance_chance=always)
    if kind == "stock":
        eventually(lambda: lines(events) == ["begin x"] * 2, what="it is stolen while it runs")
        go.touch()
        return
    client = redis.Redis.from_url(url)
    eventually(lambda: len(heartbeats(client)) == 2, what="the other has said that it lives")
    for _ in range(4):  # each looks for dead workers whenever it does so
        before = heartbeats(client)
        assert len(before) == 2
        eventually(lambda before=before: all_later(heartbeats(client), before))
    go.touch()
    eventually(lambda: "end x" in lines(events))
    assert lines(events) == ["begin x", "end x"]


@KINDS
def test_a_worker_that_ends_holds_nothing_hostage(
    kind: str,
    url: str,
    sender: Sender,
    start: Start,
    events: Path,
    tmp_path: Path,
    eventually: Wait,
) -> None:
    dying = start("dying", kind)
    broker = sender(kind)
    go = tmp_path / "go"
    send(broker, "held", "x", str(go))
    eventually(lambda: lines(events) == ["begin x"])
    send(broker, "note", "before")
    if kind == "stock":
        client = redis.Redis.from_url(url)
        eventually(lambda: held(client, "default") == 2, what="prefetched behind the long job")
    dying.send(15)
    wait_a_moment(eventually)
    for name in ("1", "2"):
        send(broker, "note", name)
    start("other", kind)

    served = happens(eventually, lambda: {"before", "1", "2"} <= set(lines(events)), PATIENCE[kind])
    assert "end x" not in lines(events)
    go.touch()
    assert served == (kind == "hardened")


@KINDS
def test_a_message_that_kills_its_worker_becomes_a_dead_letter(
    kind: str,
    processes: Processes,
    url: str,
    sender: Sender,
    start: Start,
    events: Path,
    eventually: Wait,
) -> None:
    client = redis.Redis.from_url(url)
    send(sender(kind), "suicide", "x")
    for life in range(1, 7):
        start(f"life-{life}", kind, heartbeat_timeout=500, maintenance_chance=1_000_000, wait=False)
        eventually(
            lambda life=life: len(lines(events)) == life or client.zcard("dramatiq:default.XQ")
        )
        if client.zcard("dramatiq:default.XQ"):
            break
    killed = len(lines(events))
    if kind == "hardened":
        assert killed == 5
        assert client.hlen("dramatiq:default.XQ.msgs") == 1
    else:
        assert killed == 6
        assert client.hlen("dramatiq:default.XQ.msgs") == 0


def test_a_message_that_cannot_be_read_becomes_a_dead_letter(
    url: str, sender: Sender, start: Start, events: Path, eventually: Wait
) -> None:
    client = redis.Redis.from_url(url)
    client.hset("dramatiq:default.msgs", "bad", b"{not json")
    client.rpush("dramatiq:default", "bad")
    start("worker", "hardened")
    send(sender("hardened"), "note", "x")
    eventually(lambda: lines(events) == ["x"])
    assert client.hget("dramatiq:default.XQ.msgs", "bad") == b"{not json"
    eventually(lambda: client.hlen("dramatiq:default.msgs") == 0)


def test_an_actor_that_nobody_knows_becomes_a_dead_letter(
    url: str, sender: Sender, start: Start, eventually: Wait
) -> None:
    from dramatiq import Message

    broker = sender("hardened")
    broker.enqueue(
        Message(queue_name="default", actor_name="of_tomorrow", args=(), kwargs={}, options={})
    )
    start("worker", "hardened")
    client = redis.Redis.from_url(url)
    eventually(lambda: client.zcard("dramatiq:default.XQ") == 1)


def held(client: redis.Redis, queue: str) -> int:
    """How many messages of a queue workers hold."""
    return sum(client.scard(key) for key in client.keys(f"dramatiq:__acks__.*.{queue}"))


def has_noticed(worker: Process) -> bool:
    """Whether the consumer of its delayed messages knows that Redis is away."""
    trouble = "ConsumerThread(default.DQ) CRITICAL Consumer encountered a connection error"
    return trouble in worker.log.read_text()


def heartbeats(client: redis.Redis) -> dict[bytes, float]:
    found: Any = client.zrange("dramatiq:__heartbeats__", 0, -1, withscores=True)
    return dict(found)


def all_later(now: dict[bytes, float], before: dict[bytes, float]) -> bool:
    return all(now[each] > before[each] for each in before)


def lost_fetch(kind: str, broker: RedisBroker, count: int) -> str:
    """Fetch and forget; return the id of the worker that Redis thinks has the messages."""
    if kind == "hardened":
        broker.script("fetch", "default", broker.broker_id, count, 60_000, 60_000, 0, "default")
    else:
        broker.do_fetch("default", count)
    return str(broker.broker_id)


def in_this_process(broker: RedisBroker) -> dramatiq.Worker:
    """A worker thread on this broker."""
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=100)
    worker.start()
    return worker


def wait_a_moment(wait: Wait, seconds: float = 1.0) -> None:
    """Let a thing happen that cannot be seen from outside, such as a failed call."""
    started = time.monotonic()
    wait(lambda: time.monotonic() - started > seconds)


def test_a_worker_of_another_queue_strands_nothing(url: str, eventually: Wait) -> None:
    """The janitor's worker may be the first to notice that an ingest worker is dead."""
    from dramatiq import Message

    client = redis.Redis.from_url(url)
    victim = make_broker("hardened", url, heartbeat_timeout=500)
    assert isinstance(victim, HardenedRedisBroker)
    victim.enqueue(Message(queue_name="files", actor_name="note", args=(), kwargs={}, options={}))
    assert len(victim.fetch("files", 1)) == 1

    other = make_broker("hardened", url, heartbeat_timeout=500)
    assert isinstance(other, HardenedRedisBroker)

    def is_noticed() -> bool:
        other.fetch("jobs", 0)
        return client.zscore("dramatiq:__heartbeats__", victim.broker_id) is None

    eventually(is_noticed)
    assert len(other.fetch("files", 1)) == 1
