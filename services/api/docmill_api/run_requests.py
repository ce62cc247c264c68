"""Runs that somebody asked for: sent to the janitor, and known from the moment they were.

The history has a run only once a worker began it. Until then a mark in Redis stands for it: beside
the message and lost only together with it.
"""

import json
from dataclasses import dataclass
from uuid import UUID, uuid4

import redis

from docmill_api.problems import Problem
from docmill_api.resources import Resources
from docmill_shared import broker as queue
from docmill_shared.broker import QueueUnavailable
from docmill_shared.broker.queues import redis_answers
from docmill_shared.database import autocommit
from docmill_shared.job_schedule import listed
from docmill_shared.messages import RunJob
from docmill_shared.observability import get_logger

_KEPT_SECONDS = 86_400

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Requested:
    """A run that was asked for and that no worker has begun."""

    id: UUID
    job: str
    dry_run: bool
    requested_by: UUID


def request(resources: Resources, caller_id: UUID, job: str, *, dry_run: bool) -> Requested:
    """Ask for a run of this job; a :class:`Problem` when there is no such job.

    Raises:
        QueueUnavailable: Redis did not take the message.
    """
    with autocommit(resources.engine) as connection:
        if job not in {row.job for row in listed(connection)}:
            raise no_such_job(job)
    asked = Requested(uuid4(), job, dry_run, caller_id)
    message = RunJob(job=job, run_id=str(asked.id), requested_by=str(caller_id), dry_run=dry_run)
    mark = json.dumps({"job": job, "dry_run": dry_run, "requested_by": str(caller_id)})
    client = resources.broker.client
    # The mark comes first, so whoever was given the id can always ask for it.
    with redis_answers():
        client.set(_key(resources, asked.id), mark, ex=_KEPT_SECONDS)
    try:
        queue.send(resources.broker, message)
    except QueueUnavailable:
        try:
            client.delete(_key(resources, asked.id))
        except redis.RedisError:
            log.warning("a mark stays behind", run_id=str(asked.id))
        raise
    log.info("a run was asked for", job=job, run_id=str(asked.id), dry_run=dry_run)
    return asked


def find(resources: Resources, run_id: UUID) -> Requested | None:
    """The request for this run, if there was one within a day.

    Raises:
        QueueUnavailable: Redis did not answer.
    """
    with redis_answers():
        mark = resources.broker.client.get(_key(resources, run_id))
    if mark is None:
        return None
    known = json.loads(mark)
    return Requested(run_id, known["job"], known["dry_run"], UUID(known["requested_by"]))


def no_such_job(job: str) -> Problem:
    """404."""
    return Problem(404, "job_not_found", f"The schedule has no job {job}.")


def _key(resources: Resources, run_id: UUID) -> str:
    return f"{resources.broker.namespace}:__runs__.{run_id}"
