"""Queues and workers: figures, and the pausing of a queue."""

from collections.abc import Callable
from datetime import datetime

from flask import Response
from pydantic import BaseModel, Field

from docmill_api.answers import answer, nothing, problems
from docmill_api.current import caller, resources
from docmill_api.problems import Problem
from docmill_api.routes.blueprints import operators
from docmill_shared.broker import HardenedRedisBroker, queues
from docmill_shared.database import autocommit
from docmill_shared.files.backlog import Backlog, backlog
from docmill_shared.messages import BULK_QUEUE, INGEST_QUEUE
from docmill_shared.observability import get_logger

blueprint = operators("queues", "Queues and the workers that take from them.")

log = get_logger(__name__)

_BULK_OF = {INGEST_QUEUE: False, BULK_QUEUE: True}


class WaitingFiles(BaseModel):
    """QUEUED files: Postgres is the queue of record, and the messages are only a part of it."""

    count: int
    oldest_seconds: float | None = Field(description="Since when the oldest of them is queued.")


class QueueView(BaseModel):
    """What a queue holds."""

    name: str
    waiting: int
    in_progress: int = Field(description="Held by workers.")
    delayed: int = Field(description="Retries that are due later.")
    dead: int = Field(description="Dead letters.")
    oldest_seconds: float | None = Field(
        description="The age of the message whose turn is next; null when none waits."
    )
    paused_at: datetime | None = Field(description="Since when nothing is handed out.")
    files: WaitingFiles | None = Field(description="Of the ingest queues only.")

    @classmethod
    def of(cls, found: queues.Figures, waiting: dict[bool, Backlog]) -> "QueueView":
        """From Redis' figures and the files table's."""
        files = None
        if found.queue in _BULK_OF:
            known = waiting.get(_BULK_OF[found.queue], Backlog())
            files = WaitingFiles(count=known.files, oldest_seconds=known.oldest_seconds)
        return cls(
            name=found.queue,
            waiting=found.waiting,
            in_progress=found.in_progress,
            delayed=found.delayed,
            dead=found.dead,
            oldest_seconds=found.oldest_seconds,
            paused_at=found.paused_at,
            files=files,
        )


class QueueList(BaseModel):
    """Every queue."""

    items: list[QueueView]


class WorkerView(BaseModel):
    """A worker process."""

    id: str
    alive: bool = Field(description="False: it is dead, and what it holds goes back in a moment.")
    silent_seconds: float = Field(description="Since its last heartbeat.")
    holds: dict[str, int] = Field(description="Messages that it has, by queue.")


class WorkerList(BaseModel):
    """Every worker process that Redis knows."""

    items: list[WorkerView]


class QueueName(BaseModel):
    """Which queue."""

    queue: str


_NO_SUCH_QUEUE = problems(_404="`queue_not_found`")


@blueprint.get("/queues", responses={200: QueueList})
def list_queues() -> Response:
    """Every queue with what waits, runs, is delayed and has died."""
    found = queues.figures(resources().broker)
    with autocommit(resources().engine) as connection:
        waiting = backlog(connection)
    return answer(QueueList(items=[QueueView.of(each, waiting) for each in found]))


@blueprint.post("/queues/<queue>/pause", responses={204: None, **_NO_SUCH_QUEUE})
def pause(path: QueueName) -> Response:
    """Hand out nothing more of this queue; what runs goes on, and what is sent waits.

    Only Redis knows that a queue is paused: if it loses its data, the queue is not.
    """
    return _set(queues.pause, path.queue, "a queue was paused")


@blueprint.post("/queues/<queue>/resume", responses={204: None, **_NO_SUCH_QUEUE})
def resume(path: QueueName) -> Response:
    """Hand out what waits, at once."""
    return _set(queues.resume, path.queue, "a queue was resumed")


@blueprint.get("/workers", responses={200: WorkerList})
def list_workers() -> Response:
    """The worker processes, and how much each of them holds."""
    return answer(
        WorkerList(
            items=[
                WorkerView.model_validate(each, from_attributes=True)
                for each in queues.workers(resources().broker)
            ]
        )
    )


def _set(change: Callable[[HardenedRedisBroker, str], bool], queue: str, done: str) -> Response:
    if not change(resources().broker, queue):
        raise Problem(404, "queue_not_found", f"There is no queue {queue}.")
    log.info(done, queue=queue, by=str(caller().id))
    return nothing()
