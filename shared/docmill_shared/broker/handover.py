"""How a worker takes messages, and what it does with those that it will not get round to."""

import contextlib
from queue import Empty

from dramatiq import Broker, Middleware, Worker
from dramatiq.errors import BrokerConnectionError

from docmill_shared.broker.redis_broker import HardenedRedisBroker
from docmill_shared.observability import get_logger

_log = get_logger(__name__)


class PrefetchWhatRuns(Middleware):
    """Fetch no more messages than there are threads.

    Dramatiq would prefetch twice as many, and those would wait behind a long file while another
    pod is idle.
    """

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Called by Dramatiq before its consumers start."""
        worker.queue_prefetch = worker.worker_threads
        # How often an idle thread looks whether it must end; messages wake it anyway.
        worker.worker_timeout = 200

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Called by Dramatiq once its threads run."""
        queues = sorted(broker.get_declared_queues())
        _log.info("ready for messages", queues=queues, threads=worker.worker_threads)


class HandOverOnShutdown(Middleware):
    """On SIGTERM fetch nothing more, and give back at once what was fetched and has not begun.

    Dramatiq's worker goes on fetching while its threads end, and holds what it fetched until the
    last of them has.
    """

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Called by Dramatiq before it stops its threads."""
        assert isinstance(broker, HardenedRedisBroker)
        broker.draining = True
        while True:
            try:
                message = worker.work_queue.get_nowait().message
            except Empty:
                return
            worker.work_queue.task_done()
            # If Redis is away, the next consumer of the queue finds them by our heartbeat.
            with contextlib.suppress(BrokerConnectionError):
                worker.consumers[message.queue_name].requeue_messages([message])
