"""Both jobs of docs/extending.md at work; run in a copy of the tree that has them, as a test.

It goes by names alone, since nothing that the guide adds can be imported from the tree as it is.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import dramatiq

import docmill_janitor
from docmill_api.resources import Resources as ApiResources
from docmill_janitor import actors
from docmill_janitor.resources import Resources
from docmill_janitor.schedule import schedule
from docmill_shared import job_runs, messages
from docmill_shared.broker import depth, send
from docmill_shared.messages import JANITOR_QUEUE, RunJob
from tests.integration.api.driver import Api, settings_from

Eventually = Callable[..., None]
RECURRING, EVENT_DRIVEN = "forget_attempts", "limit_sessions"


def test_these_are_the_packages_of_the_copy() -> None:
    tree = Path(__file__).parents[3]
    for package in (docmill_janitor, messages):
        assert Path(str(package.__file__)).is_relative_to(tree)


def test_the_schedule_has_the_job_and_a_worker_runs_it_dry_and_for_real(
    resources: Resources, eventually: Eventually
) -> None:
    jobs = schedule(resources.settings)
    [job] = [job for job in jobs if job.name == RECURRING]
    assert job.trigger.get_next_fire_time(None, resources.now())
    runs = {uuid4(): True, uuid4(): False}
    for run_id, dry_run in runs.items():
        send(resources.broker, RunJob(job=RECURRING, run_id=str(run_id), dry_run=dry_run))
    actors.declare(resources.broker, resources, jobs)
    worker = dramatiq.Worker(resources.broker, worker_threads=1)
    worker.start()
    try:
        eventually(lambda: depth(resources.broker, JANITOR_QUEUE) == 0, timeout=90)
    finally:
        worker.stop()
    with resources.engine.connect() as connection:
        for run_id, dry_run in runs.items():
            row: Any = job_runs.find(connection, run_id)
            assert (row.dry_run, row.error) == (dry_run, None)
            assert row.finished_at is not None


def test_a_login_sends_the_message(
    resources: Resources, service_environment: dict[str, str]
) -> None:
    api_resources = ApiResources.from_settings(settings_from(service_environment))
    account = Api(api_resources, resources.engine).account()
    waiting: Any = resources.broker.client.hvals(f"dramatiq:{JANITOR_QUEUE}.msgs")
    api_resources.close()
    [sent] = [json.loads(each) for each in waiting]
    assert sent["actor_name"] == EVENT_DRIVEN
    assert sent["kwargs"] == {"user_id": str(account.id)}
