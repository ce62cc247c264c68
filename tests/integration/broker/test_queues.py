"""What operators see of queues and workers, and a queue that is paused, with real workers."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from docmill_dev.processes import Processes
from docmill_dev.stack import Stack
from docmill_shared.broker import HardenedRedisBroker, QueueUnavailable, queues
from docmill_shared.broker.queues import Figures, WorkerFigures
from docmill_shared.messages import QUEUES
from tests.fakes.broker_worker import make_broker
from tests.integration.broker.conftest import Start

Wait = Callable[..., None]


@pytest.fixture
def broker(sender: Callable[[str], RedisBroker]) -> HardenedRedisBroker:
    """A broker that sends and looks."""
    made = sender("hardened")
    assert isinstance(made, HardenedRedisBroker)
    return made


def send(broker: RedisBroker, actor: str, *args: object, **options: Any) -> None:
    broker.get_actor(actor).send_with_options(args=args, **options)


def figures(broker: HardenedRedisBroker, queue: str = "default") -> Figures:
    (found,) = [each for each in queues.figures(broker) if each.queue == queue]
    return found


def counted(broker: HardenedRedisBroker) -> tuple[int, int, int, int]:
    """Waiting, in progress, delayed, dead."""
    found = figures(broker)
    return found.waiting, found.in_progress, found.delayed, found.dead


def lines(events: Path) -> list[str]:
    return events.read_text().splitlines()


def wait_for_turns(broker: HardenedRedisBroker, wait: Wait, turns: int = 2) -> None:
    """Until every worker has asked for messages again, this often."""
    for _ in range(turns):
        before = heartbeats(broker)
        wait(lambda before=before: all(heartbeats(broker)[each] > before[each] for each in before))


def heartbeats(broker: HardenedRedisBroker) -> dict[bytes, float]:
    found: Any = broker.client.zrange("dramatiq:__heartbeats__", 0, -1, withscores=True)
    return dict(found)


def test_every_queue_of_docmill_is_listed_before_anyone_used_it(
    broker: HardenedRedisBroker,
) -> None:
    found = queues.figures(broker)

    assert [each.queue for each in found] == list(QUEUES)
    assert found[0] == Figures("ingest", 0, 0, 0, 0, None, None)


def test_figures_tell_what_waits_runs_is_delayed_and_is_dead(
    broker: HardenedRedisBroker, start: Start, events: Path, tmp_path: Path, eventually: Wait
) -> None:
    start("worker", "hardened")
    # Given one that has died, one that runs, two that wait behind it, and three for later
    go = tmp_path / "go"
    go.touch()
    send(broker, "fail_once", "x", str(go), max_retries=0)
    eventually(lambda: counted(broker) == (0, 0, 0, 1))
    send(broker, "slow", "y", 600)
    eventually(lambda: "begin y" in lines(events))
    for name in "ab":
        send(broker, "note", name)
    for name in "cde":
        send(broker, "note", name, delay=600_000)
    # Then each is counted where it is, also when the worker has taken the delayed ones in
    assert counted(broker) == (2, 1, 3, 1)
    eventually(lambda: broker.client.llen("dramatiq:default.DQ") < 3)
    assert counted(broker) == (2, 1, 3, 1)
    # and the age is that of the one whose turn is next.
    first = figures(broker).oldest_seconds
    assert first is not None
    eventually(lambda: (figures(broker).oldest_seconds or 0) > first)


def test_workers_are_listed_with_what_they_hold(
    url: str, broker: HardenedRedisBroker, start: Start, events: Path, eventually: Wait
) -> None:
    start("worker", "hardened")
    send(broker, "slow", "x", 600)
    eventually(lambda: lines(events) == ["begin x"])

    (worker,) = queues.workers(broker)
    assert worker.alive
    assert worker.holds == {"default": 1}
    eventually(lambda: queues.workers(broker)[0].silent_seconds < 1, what="it says that it lives")

    # One that falls silent is told from those that live.
    silent = make_broker("hardened", url, heartbeat_timeout=1)
    assert isinstance(silent, HardenedRedisBroker)
    silent.broker_id = "silent"
    silent.heartbeat_timeout = 60_000  # it finds nobody dead
    silent.fetch("default", 0)

    def found_by(heartbeat_timeout: int) -> dict[str, WorkerFigures]:
        looking = make_broker("hardened", url, heartbeat_timeout=heartbeat_timeout)
        assert isinstance(looking, HardenedRedisBroker)
        return {each.id: each for each in queues.workers(looking)}

    assert found_by(15_000)["silent"].alive
    eventually(lambda: not found_by(100)["silent"].alive)


def test_a_paused_queue_hands_nothing_out_and_what_runs_goes_on(
    broker: HardenedRedisBroker, start: Start, events: Path, tmp_path: Path, eventually: Wait
) -> None:
    for name in ("one", "other"):
        start(name, "hardened")
    go = tmp_path / "go"
    send(broker, "fail_once", "x", str(go), min_backoff=50, max_backoff=60)
    eventually(lambda: lines(events) == ["run x"])
    # When the queue is paused while a job runs
    assert queues.pause(broker, "default")
    paused_at = figures(broker).paused_at
    assert paused_at is not None
    send(broker, "note", "a")
    # Then the job goes on to its end, and its retry, which is delayed, joins the queue when due
    go.touch()
    eventually(lambda: counted(broker) == (2, 0, 0, 0), what="both wait")
    # and nothing is handed out, however often workers ask,
    wait_for_turns(broker, eventually)
    assert lines(events) == ["run x"]
    assert counted(broker) == (2, 0, 0, 0)
    # also when it is paused again, which changes nothing.
    assert queues.pause(broker, "default")
    assert figures(broker).paused_at == paused_at
    # When it is resumed, everything runs.
    assert queues.resume(broker, "default")
    eventually(lambda: sorted(lines(events)) == ["a", "done x", "run x", "run x"])
    assert figures(broker).paused_at is None


def test_resuming_wakes_as_many_consumers_as_there_is_work_for(
    broker: HardenedRedisBroker,
) -> None:
    broker.fetch("default", 0)
    assert queues.pause(broker, "default")
    for number in range(40):
        send(broker, "note", str(number))
    broker.fetch("default", 1)
    assert broker.client.llen("dramatiq:default.wake") == 0, "nobody is woken in vain"

    assert queues.resume(broker, "default")

    assert broker.client.llen("dramatiq:default.wake") == 32
    assert queues.resume(broker, "default")
    assert broker.client.llen("dramatiq:default.wake") == 32, "resuming twice wakes nobody twice"


def test_consumers_of_a_paused_queue_wait_instead_of_asking_again_and_again(
    broker: HardenedRedisBroker, start: Start, eventually: Wait
) -> None:
    start("worker", "hardened")
    assert queues.pause(broker, "default")
    for number in range(100):
        send(broker, "note", str(number))
    wait_for_turns(broker, eventually)

    before, began = scripts_run(broker), time.monotonic()
    wait_for_turns(broker, eventually, turns=4)
    per_second = (scripts_run(broker) - before) / (time.monotonic() - began)

    # Its two consumers (of the queue and of its delayed messages) ask twice a second each.
    assert per_second < 10


def test_a_dead_worker_is_noticed_while_the_queue_is_paused(
    broker: HardenedRedisBroker,
    start: Start,
    processes: Processes,
    events: Path,
    eventually: Wait,
) -> None:
    start("victim", "hardened", heartbeat_timeout=2_000)
    send(broker, "slow", "x", 600)
    eventually(lambda: lines(events) == ["begin x"])
    assert queues.pause(broker, "default")
    processes.kill("victim")
    start("survivor", "hardened", heartbeat_timeout=2_000)

    eventually(lambda: counted(broker)[:2] == (1, 0), what="what it held is back")
    wait_for_turns(broker, eventually)
    assert lines(events) == ["begin x"]

    queues.resume(broker, "default")
    eventually(lambda: lines(events) == ["begin x"] * 2)


@pytest.mark.parametrize("name", ["no such queue", "default.DQ", "__heartbeats__"])
def test_only_a_queue_can_be_paused(broker: HardenedRedisBroker, name: str) -> None:
    broker.fetch("default", 0)
    broker.fetch("default.DQ", 0)

    assert not queues.pause(broker, name)
    assert not queues.resume(broker, name)
    assert queues.pause(broker, "default")


def test_without_redis_every_question_ends_soon(valkey: Stack, broker: HardenedRedisBroker) -> None:
    valkey.valkey.stop()
    began = time.monotonic()
    for ask in (queues.figures, queues.workers, queues.clock):
        with pytest.raises(QueueUnavailable):
            ask(broker)
    for change in (queues.pause, queues.resume):
        with pytest.raises(QueueUnavailable):
            change(broker, "ingest")
    assert time.monotonic() - began < 30


def scripts_run(broker: HardenedRedisBroker) -> int:
    """How many scripts Redis was asked to run, by anyone."""
    client: redis.Redis = broker.client
    stats = client.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])
