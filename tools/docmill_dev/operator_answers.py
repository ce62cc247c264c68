"""What the operators' API answers, as its clients here read it: the JSON itself, typed."""

from typing import TypedDict


class WaitingFiles(TypedDict):
    """Files that wait in Postgres."""

    count: int
    oldest_seconds: float | None


class Queue(TypedDict):
    """What a queue holds."""

    name: str
    waiting: int
    in_progress: int
    delayed: int
    dead: int
    oldest_seconds: float | None
    paused_at: str | None
    files: WaitingFiles | None


class Worker(TypedDict):
    """A worker process."""

    id: str
    alive: bool
    silent_seconds: float
    holds: dict[str, int]


class LastRun(TypedDict):
    """A run of a job, in short. ``started_at`` is None while it is queued."""

    id: str
    status: str
    dry_run: bool
    started_at: str | None
    finished_at: str | None
    counts: dict[str, int]
    error: str | None


class Run(LastRun):
    """A run of the history."""

    job: str
    slot: str | None
    requested_by: str | None
    host: str | None


class RunDetails(Run):
    """A run with what it found."""

    findings: list[str]


class Job(TypedDict):
    """A job of the schedule."""

    name: str
    cron: str
    what: str
    next_at: str | None
    paused_at: str | None
    published_at: str
    last_run: LastRun | None


class DeadLetter(TypedDict):
    """A message that failed for good."""

    id: str
    queue: str
    actor: str | None
    died_at: str
    error: str


class DeadLetterDetails(DeadLetter):
    """A dead letter with all that is known of it."""

    arguments: dict[str, object]
    positional: list[object]
    sent_at: str | None
    retries: int
    traceback: str | None
    raw: str | None
