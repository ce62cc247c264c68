"""A janitor with one job, every few seconds: ``python -m tests.fakes.scheduler_replica scheduler``.

``worker`` in place of ``scheduler`` runs what the replicas fire. Everything but the job is real.
"""

import signal
import sys
import threading
from datetime import datetime, timedelta

import dramatiq

from docmill_janitor import actors, scheduler
from docmill_janitor.resources import Resources, build
from docmill_janitor.schedule import ScheduledJob
from docmill_janitor.settings import JanitorSettings
from docmill_janitor.swept import Swept
from docmill_shared.startup import prepare

JOB = "every_few_seconds"
#: A slot that nobody looked at before the next one came is passed over, so a machine may stand
#: still for this long.
PERIOD = timedelta(seconds=3)
#: Counts runs: the history has one row for a slot, however often it was run.
TICKS = "ticks"


def _run(resources: Resources, *, now: datetime, limit: int, dry_run: bool) -> Swept:
    resources.broker.client.incr(TICKS)
    return Swept({"ticks": 1})


def main() -> None:
    """Run until SIGTERM."""
    role = sys.argv[1]
    resources = build(prepare(f"replica-{role}", JanitorSettings))
    cron = f"*/{PERIOD.seconds} * * * * *"
    jobs = [ScheduledJob(JOB, cron, _run, "A test.")]
    if role == "scheduler":
        scheduler.run(resources, jobs)
        return
    actors.declare(resources.broker, resources, jobs)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    worker = dramatiq.Worker(resources.broker, worker_threads=2)
    worker.start()
    stop.wait()
    worker.stop()


if __name__ == "__main__":
    main()
