"""The actors of the ingest queues: rebuild the message, call one function."""

from uuid import UUID

import dramatiq
from dramatiq.middleware import Middleware
from sqlalchemy.exc import OperationalError

from docmill_ingest.pipeline import ingest
from docmill_ingest.resources import Resources
from docmill_shared.broker import HardenedRedisBroker
from docmill_shared.errors import TransientError
from docmill_shared.messages import IngestBulkFile, IngestFile
from docmill_shared.observability import get_logger

_log = get_logger(__name__)


def declare(broker: HardenedRedisBroker, resources: Resources) -> None:
    """Register the actors and what must happen when the process ends."""

    def ingest_file(**fields: object) -> None:
        message = IngestFile.from_fields(fields)
        try:
            ingest(UUID(message.file_id), resources)
        except OperationalError:
            # Not a dead letter: the file stays due, or its lease runs out, in the database.
            _log.warning("the database is away, the file waits", file_id=message.file_id)

    for kind, priority in ((IngestFile, 0), (IngestBulkFile, 10)):
        # Of what a worker has fetched from both queues, it takes the smaller number first. No
        # retries by the queue: the file's row says when it is tried again.
        dramatiq.actor(
            broker=broker,
            actor_name=kind.actor,
            queue_name=kind.queue,
            priority=priority,
            max_retries=0,
        )(ingest_file)
    broker.add_middleware(_Lifecycle(resources))


class _Lifecycle(Middleware):
    """Ties the resources to the worker process."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def after_worker_thread_boot(self, broker: dramatiq.Broker, thread: object) -> None:
        try:
            self._resources.warm_up()
        except TransientError as error:
            # The first file tries again, and says so in its row.
            _log.warning("could not warm up", error=str(error))

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self._resources.leases.end_within(self._resources.settings.shutdown_grace_seconds)

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self._resources.close()
