"""What a Dramatiq worker process says of itself on its health endpoint."""

from collections.abc import Callable

from dramatiq import Broker, Middleware, Worker

from docmill_shared.errors import ConfigurationError
from docmill_shared.health_endpoint import HealthEndpoint, serve_health
from docmill_shared.settings import ServiceSettings
from docmill_shared.startup import refuse


class WorkerHealth(Middleware):
    """Alive while the threads that fetch messages and those that run them are.

    A consumer thread that has ended leaves a worker that looks well and takes nothing more of its
    queue. While Redis is away they live on and try again, so that is no reason to restart.
    """

    def __init__(
        self, service: str, settings: ServiceSettings, metrics: Callable[[], bytes]
    ) -> None:
        self._service = service
        self._settings = settings
        self._metrics = metrics
        self._worker: Worker | None = None
        self._booted = False
        self._stopping = False
        self._endpoint: HealthEndpoint | None = None

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Called by Dramatiq in the worker process, before any thread of the worker."""
        self._worker = worker
        try:
            self._endpoint = serve_health(
                self._settings, alive=self.alive, ready=self.ready, metrics=self._metrics
            )
        except ConfigurationError as error:
            refuse(self._service, error)

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Called by Dramatiq once its threads run."""
        self._booted = True

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Called by Dramatiq within a second of SIGTERM; what runs then has its grace period."""
        self._stopping = True

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Called by Dramatiq when all of its threads have ended."""
        if self._endpoint is not None:
            self._endpoint.close()

    def alive(self) -> str | None:
        """What is wrong with the threads. They are to end in a shutdown, so then nothing is."""
        if self._worker is None or not self._booted or self._stopping:
            return None
        for queue, consumer in list(self._worker.consumers.items()):
            if not consumer.is_alive():
                return f"The consumer thread of the queue {queue} has ended."
        for thread in list(self._worker.workers):
            if not thread.is_alive():
                return "A worker thread has ended."
        return None

    def ready(self) -> str | None:
        """Why it takes no work."""
        if self._stopping:
            return "The worker is shutting down."
        return None if self._booted else "The worker has not started yet."
