"""What waits in Redis and Postgres, measured when the scheduler is scraped.

By the scheduler alone, so that a scrape of twenty workers does not ask twenty times. It must not be
slow either: an answer is kept for a while, and asked for in a thread that a scrape waits for only
so long; what cannot be had is left out, and ``docmill_collection_up`` says so.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text

from docmill_janitor.resources import Resources
from docmill_shared.broker import queues
from docmill_shared.files import backlog, census
from docmill_shared.observability import get_logger
from docmill_shared.webhooks import deliveries

_log = get_logger(__name__)

#: A scrape waits this long for a new answer, and an answer is new for this long.
WAIT_SECONDS = 2.0
KEPT_SECONDS = 15.0

Families = tuple[GaugeMetricFamily, ...]


class BacklogCollector(Collector):
    """Asks all sources; thread-safe."""

    def __init__(self, resources: Resources) -> None:
        self._sources = (
            _Source("queues", lambda: _queues(resources), _queue_families()),
            _Source("files", lambda: _files(resources), _file_families()),
            _Source("webhooks", lambda: _webhooks(resources), _webhook_families()),
        )

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called by a scrape."""
        up = GaugeMetricFamily(
            "docmill_collection_up",
            "Whether what this source knows could be collected: 1 or 0.",
            labels=("source",),
        )
        for source in self._sources:
            source.begin()
        for source in self._sources:
            families = source.answer()
            up.add_metric((source.name,), families is not None)
            yield from families if families is not None else source.empty
        yield up


class _Source:
    """One question, asked in a thread of its own."""

    def __init__(self, name: str, ask: Callable[[], Families], empty: Families) -> None:
        self.name = name
        self.empty = empty
        self._ask = ask
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"backlog-{name}")
        self._lock = Lock()
        self._asked_at = float("-inf")
        self._asked: Future[Families] | None = None

    def begin(self) -> None:
        """Ask, unless the last answer is new or still awaited."""
        with self._lock:
            awaited = self._asked is not None and not self._asked.done()
            if not awaited and time.monotonic() - self._asked_at > KEPT_SECONDS:
                self._asked_at = time.monotonic()
                self._asked = self._thread.submit(self._ask)

    def answer(self) -> Families | None:
        """What it said; None when it failed, or has not answered in time."""
        asked = self._asked
        assert asked is not None
        left = self._asked_at + WAIT_SECONDS - time.monotonic()
        try:
            return asked.result(timeout=max(0.0, left))
        except Exception as error:  # noqa: BLE001 - a scrape tells of everything else all the same
            _log.warning("not collected", source=self.name, error=type(error).__name__)
            return None


def _queue_families() -> Families:
    return (
        GaugeMetricFamily(
            "docmill_queue_messages",
            "Messages of a queue: `waiting`, `in_progress` (held by workers), `delayed`.",
            labels=("queue", "state"),
        ),
        GaugeMetricFamily(
            "docmill_queue_oldest_seconds",
            "Age of the message whose turn is next; 0 when none waits.",
            labels=("queue",),
        ),
        GaugeMetricFamily(
            "docmill_queue_dead_letters", "Messages that failed for good.", labels=("queue",)
        ),
        GaugeMetricFamily(
            "docmill_queue_paused", "Whether an operator has paused it: 1 or 0.", labels=("queue",)
        ),
        GaugeMetricFamily(
            "docmill_workers", "Worker processes that were heard of lately, of all kinds."
        ),
    )


def _queues(resources: Resources) -> Families:
    messages, oldest, dead, paused, workers = families = _queue_families()
    for each in queues.figures(resources.broker):
        messages.add_metric((each.queue, "waiting"), each.waiting)
        messages.add_metric((each.queue, "in_progress"), each.in_progress)
        messages.add_metric((each.queue, "delayed"), each.delayed)
        oldest.add_metric((each.queue,), each.oldest_seconds or 0.0)
        dead.add_metric((each.queue,), each.dead)
        paused.add_metric((each.queue,), each.paused_at is not None)
    workers.add_metric((), sum(each.alive for each in queues.workers(resources.broker)))
    return families


def _file_families() -> Families:
    return (
        GaugeMetricFamily("docmill_files", "Files by state.", labels=("status",)),
        GaugeMetricFamily(
            "docmill_backlog_files",
            "Files in QUEUED, by how they were uploaded, those that wait for an attempt included.",
            labels=("kind",),
        ),
        GaugeMetricFamily(
            "docmill_backlog_oldest_seconds",
            "How long the file has waited that was queued first; 0 when none waits.",
            labels=("kind",),
        ),
    )


def _files(resources: Resources) -> Families:
    files, waiting, oldest = families = _file_families()
    with resources.engine.begin() as connection:
        connection.execute(text(f"set local statement_timeout = '{WAIT_SECONDS:g}s'"))
        counts = census.by_status(connection)
        found = backlog.backlog(connection)
    for status, count in counts.items():
        files.add_metric((status,), count)
    for bulk, kind in ((False, "single"), (True, "bulk")):
        each = found.get(bulk, backlog.Backlog())
        waiting.add_metric((kind,), each.files)
        oldest.add_metric((kind,), each.oldest_seconds or 0.0)
    return families


def _webhook_families() -> Families:
    return (
        GaugeMetricFamily(
            "docmill_webhook_deliveries_pending",
            "Deliveries of webhooks that wait, those that wait for their next attempt included.",
        ),
        GaugeMetricFamily(
            "docmill_webhook_oldest_due_seconds",
            "How long the delivery has been due that has been so the longest; 0 when none is.",
        ),
    )


def _webhooks(resources: Resources) -> Families:
    pending, oldest = families = _webhook_families()
    with resources.engine.begin() as connection:
        connection.execute(text(f"set local statement_timeout = '{WAIT_SECONDS:g}s'"))
        waiting = deliveries.waiting(connection)
    pending.add_metric((), waiting.pending)
    oldest.add_metric((), float(waiting.oldest_seconds or 0.0))
    return families
