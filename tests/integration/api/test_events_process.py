"""Event streams of the api as it is deployed: gunicorn, with a real worker behind it."""

import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
import redis
import sqlalchemy

from docmill_api.event_listeners import OWNER_STREAMS
from docmill_dev.stack import Stack
from docmill_shared import migrate
from docmill_shared.progress import FileProgress, ProgressLog, place_of
from docmill_shared.states import FileStatus
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.integration.api.crowd import Crowd
from tests.integration.api.event_reader import Event, stream, told
from tests.integration.fleet import Caller, Fleet, fleet
from tests.owners import prose

Eventually = Callable[..., None]
S = FileStatus
LISTENERS = 500
REQUESTS = 200


@pytest.fixture(scope="module")
def emulator() -> Iterator[GeminiEmulator]:
    with GeminiEmulator() as running:
        yield running


@pytest.fixture(scope="module")
def environment(api_environment: dict[str, str], emulator: GeminiEmulator) -> dict[str, str]:
    """An embedding takes a while, so that there is something to tell of a file under way."""
    return {
        **api_environment,
        "EMBEDDING_PROVIDER": "gemini",
        "GEMINI_API_KEY": emulator.api_key,
        "GEMINI_BASE_URL": emulator.base_url,
        "API_WORKERS": "2",
    }


@pytest.fixture(scope="module")
def running(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """An api and an ingest worker."""
    with fleet(environment, tmp_path_factory.mktemp("logs")) as started:
        started.start("api", "ingest")
        yield started


@pytest.fixture
def log(environment: dict[str, str]) -> Iterator[ProgressLog]:
    """Tells what a worker would tell."""
    with closing(redis.Redis.from_url(environment["REDIS_URL"])) as client:
        yield ProgressLog(client)


def tell(log: ProgressLog, caller: Caller, file_id: str, status: FileStatus, **fields: Any) -> None:
    owner_id = UUID(caller.call("GET", "/v1/me").json()["id"])
    log.tell(owner_id, FileProgress(UUID(file_id), status, **fields))


def progress(events: Iterable[Event]) -> Iterator[Event]:
    """Without what heartbeats tell, if the rows are ahead of what was told just then."""
    return (each for each in events if each.name == "progress")


def reserve(caller: Caller) -> str:
    answer = caller.call("POST", "/v1/files", {"name": "a.txt", "size_bytes": 5})
    return str(answer.json()["file"]["id"])


def followed(caller: Caller, file_id: str, last_event_id: str | None = None) -> list[Event]:
    token = caller.tokens["access_token"]
    path = f"/v1/files/{file_id}/events"
    with stream(caller.fleet.url, path, token, last_event_id) as opened:
        return list(told(opened.events()))


def test_an_ingest_is_told_in_order_and_resumed_without_loss(
    running: Fleet, emulator: GeminiEmulator
) -> None:
    # Given somebody who watches all of their files before there is any
    emulator.control(latency_ms=400)
    ada = Caller(running, "ada@example.org").register()
    heard: list[Event] = []

    def listen() -> None:
        with stream(running.url, "/v1/events", ada.tokens["access_token"]) as opened:
            opened_once.set()
            for event in progress(told(opened.events())):
                heard.append(event)
                if event.status == "COMPLETED":
                    return

    opened_once = threading.Event()
    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert opened_once.wait(60)

    # When a file is ingested
    file_id = ada.upload(prose(1_200, seed=5), "long.txt")
    of_file = followed(ada, file_id)
    listener.join(60)
    assert not listener.is_alive()
    file = ada.file(file_id)

    # Then it is told from its confirmation to its end, in order
    steps = [event.status for event in heard]
    assert steps[:2] == ["QUEUED", "PROCESSING"]
    assert set(steps[1:-1]) == {"PROCESSING"}
    chunks = [event.data["chunks_done"] for event in heard[1:]]
    assert chunks == sorted(chunks)
    assert any(0 < done < chunks[-1] for done in chunks)
    assert heard[-1].data["chunk_count"] == chunks[-1] == file["progress"]["chunk_count"]
    ids = [event.id for event in heard]
    assert all(place_of(str(one)) < place_of(str(two)) for one, two in pairwise(ids))

    # And who watched the file alone heard the same up to its end; only the end itself may have been
    # seen in its row first, by a heartbeat in that very moment
    first, *rest = of_file
    assert first.name == "state"
    later = [event for event in heard if place_of(str(event.id)) > place_of(str(first.id))]
    news = list(progress(rest))
    assert news in (later, later[:-1])
    assert rest[-1].data == later[-1].data

    # And who comes back after any of the events hears exactly the rest
    for number, event in enumerate(heard[:-1], start=1):
        assert followed(ada, file_id, event.id) == heard[number:]
    path = f"/v1/files/{file_id}/events"
    assert ada.call("GET", path, **{"Last-Event-ID": str(ids[-1])}).status == 204
    # And nobody else hears anything
    bob = Caller(running, "bob@example.org").register()
    assert bob.call("GET", path).status == 404


def test_a_client_that_hangs_up_frees_its_place_at_once(
    running: Fleet, eventually: Eventually
) -> None:
    eve = Caller(running, "eve@example.org").register()
    token = eve.tokens["access_token"]

    def is_let_in() -> bool:
        with stream(running.url, "/v1/events", token) as opened:
            return opened.response.status == 200

    def refused() -> bool:
        """Until both processes are full; which one a connection comes to is chance."""
        response = streams.enter_context(stream(running.url, "/v1/events", token)).response
        return response.status == 429

    with ExitStack() as streams:
        for _ in range(2 * OWNER_STREAMS):
            refused()
        assert open_streams(running) >= OWNER_STREAMS
    # Heartbeats would notice one after the other, the last of so many after nearly 15 s
    eventually(lambda: open_streams(running) == 0, timeout=10, what="all places are free")
    assert is_let_in()


def test_a_slow_reader_is_cut_and_goes_on_where_it_was(
    running: Fleet, log: ProgressLog, eventually: Eventually
) -> None:
    # Given a reader that reads the beginning and no more
    sam = Caller(running, "sam@example.org").register()
    file_id = reserve(sam)
    token, path = sam.tokens["access_token"], f"/v1/files/{file_id}/events"
    before = running.scrape("api").value("docmill_event_streams_ended_total", reason="too_slow")
    with stream(running.url, path, token, receive_buffer=4096) as opened:
        events = told(opened.events())
        last_id = next(events).id
        tell(log, sam, file_id, S.PROCESSING, chunks_done=0)
        last_id = next(events).id
        owner_id = UUID(sam.call("GET", "/v1/me").json()["id"])
        # When more is told than the kernel and its inbox hold for it
        count = 600
        for done in range(1, count + 1):
            file = FileProgress(
                UUID(file_id),
                S.PROCESSING,
                chunks_done=done,
                failure_reason="internal",
                failure_detail="x" * 2_000,
            )
            log.tell(owner_id, file)
        # Then it is cut, and its thread is free
        eventually(
            lambda: (
                running.scrape("api").value("docmill_event_streams_ended_total", reason="too_slow")
                > before
            ),
            what="the slow reader is cut",
        )
    # And all that it missed is there when it comes back
    with stream(running.url, path, token, last_id) as opened:
        events = told(opened.events())
        assert [next(events).data["chunks_done"] for _ in range(count)] == [*range(1, count + 1)]


def test_five_hundred_listeners_starve_no_request(
    environment: dict[str, str], log: ProgressLog, tmp_path: Path, eventually: Eventually
) -> None:
    with fleet(environment, tmp_path) as running:
        running.start("api")
        callers = [
            Caller(running, f"listener-{number}@example.org").register()
            for number in range(LISTENERS // OWNER_STREAMS)
        ]
        files = [reserve(caller) for caller in callers]
        # Once for nothing: what follows is neither a first request's cost nor its memory
        latencies(callers[0])
        alone = latencies(callers[0])
        memory_alone = memory_of(running)
        with Crowd(running, callers, LISTENERS) as crowd:
            eventually(lambda: open_streams(running) == LISTENERS, what="all are listening")
            memory_with = memory_of(running)
            crowded = quickest(latencies(callers[0]))
            # Everybody hears of their own file, and of no other
            for caller, file_id in zip(callers, files, strict=True):
                tell(log, caller, file_id, S.PROCESSING, stage="fetch")
            eventually(lambda: crowd.heard() == LISTENERS, what="everybody has heard")
            assert crowd.overheard() == 0
        # Before and after: others may be busy on this machine
        usual = max(quickest(alone), quickest(latencies(callers[0])))
        per_listener = (memory_with - memory_alone) / LISTENERS / 1024
        print(
            f"\n{LISTENERS} listeners: {per_listener:.0f} KiB each; a tenth of {REQUESTS} requests"
            f" within {usual * 1000:.1f} ms without, {crowded * 1000:.1f} ms with them"
        )
        assert crowded < 3 * usual
        assert per_listener < 256
        running.processes.stop("api")
        assert running["api"].exit_code == 0


def test_sigterm_ends_streams_at_once(
    environment: dict[str, str], tmp_path: Path, eventually: Eventually
) -> None:
    with fleet(environment, tmp_path) as running, ExitStack() as streams:
        # Those that are still open when this is over are cut off
        running.start("api", API_GRACEFUL_SECONDS="200")
        ada = Caller(running, "ada-of-sigterm@example.org").register()
        token = ada.tokens["access_token"]
        opened = [
            streams.enter_context(stream(running.url, "/v1/events", token)) for _ in range(10)
        ]
        for each in opened:
            assert next(each.events()).retry is not None
        # When the pod is to end
        started = time.monotonic()
        running["api"].send(signal.SIGTERM)
        # Then every stream ends with a word of when to come back, and so does the process
        for each in opened:
            *_, last = each.events()
            assert last.retry is not None
        # Heartbeats would come one after the other, the last of so many after nearly 15 s
        assert time.monotonic() - started < 10
        for each in opened:
            each.connection.close()
        eventually(lambda: running["api"].exit_code is not None, timeout=90)
        assert running["api"].exit_code == 0
        assert "Traceback" not in running["api"].log.read_text()


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """A stack whose Valkey this test may stop."""
    with (
        tempfile.TemporaryDirectory(prefix="docmill-events-") as directory,
        Stack(Path(directory), environ={}, postgres_settings={"fsync": "off"}) as running,
    ):
        engine = sqlalchemy.create_engine(running.environment()["DATABASE_URL"])
        migrate.upgrade(engine)
        engine.dispose()
        yield running


def test_streams_outlive_redis(
    own_stack: Stack, environment: dict[str, str], tmp_path: Path, eventually: Eventually
) -> None:
    own = {**environment, **own_stack.environment()}
    engine = sqlalchemy.create_engine(own["DATABASE_URL"])
    client = redis.Redis.from_url(own["REDIS_URL"])
    log = ProgressLog(client)
    with fleet(own, tmp_path) as running, closing(client), ExitStack() as streams:
        running.start("api")
        ada = Caller(running, "ada@example.org").register()
        token = ada.tokens["access_token"]
        files = [reserve(ada) for _ in range(2)]
        events = [
            told(
                streams.enter_context(
                    stream(running.url, f"/v1/files/{file_id}/events", token)
                ).events()
            )
            for file_id in files
        ]
        for each in events:
            assert next(each).status == "PENDING"
        # When Redis is restarted, how things stand is told again, and what is told afterwards
        own_stack.valkey.restart()
        eventually(lambda: subscribed(client), what="a process hears what is told again")
        # More than once: the one that has subscribed may be the other stream's process
        was_heard = threading.Event()

        def keep_telling() -> None:
            for _ in range(500):
                tell(log, ada, files[0], S.PROCESSING, chunks_done=1)
                if was_heard.wait(0.1):
                    return

        teller = threading.Thread(target=keep_telling, daemon=True)
        teller.start()
        heard = next(event for event in events[0] if event.name == "progress")
        was_heard.set()
        teller.join()
        assert heard.data["chunks_done"] == 1
        # And when a file ends while Redis is away, its end arrives all the same
        own_stack.valkey.stop()
        with engine.begin() as connection:
            for status in ("QUEUED", "FAILED"):
                reason = "'internal'" if status == "FAILED" else "null"
                connection.execute(
                    sqlalchemy.text(
                        f"update files set status = '{status}', failure_reason = {reason}"
                    )
                )
        for each in events:
            assert [event.status for event in each][-1] == "FAILED"
        # And a stream can be opened
        with stream(running.url, "/v1/events", token) as opened:
            everything = told(opened.events())
            assert {next(everything).status for _ in files} == {"FAILED"}
    engine.dispose()


def subscribed(client: redis.Redis) -> bool:
    try:
        return bool(client.pubsub_numpat())
    except redis.RedisError:
        return False


def open_streams(running: Fleet) -> float:
    return running.scrape("api").value("docmill_event_streams")


def memory_of(running: Fleet) -> int:
    """Of gunicorn's workers, in bytes; what they share counts by its part."""
    master = psutil.Process(running["api"].pid)
    return sum(each.memory_full_info().pss for each in master.children())


def quickest(seconds: list[float]) -> float:
    """What the quickest tenth of requests took at most: the rest may have waited for others on this
    machine, while whoever waits for a thread or a slot waits every time."""
    return statistics.quantiles(seconds, n=10)[0]


def latencies(caller: Caller) -> list[float]:
    """Of many requests, one after the other; all of them succeed."""
    seconds = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        assert caller.call("GET", "/v1/files").status == 200
        seconds.append(time.perf_counter() - started)
    return seconds
