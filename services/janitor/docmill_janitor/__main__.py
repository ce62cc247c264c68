"""The janitor's worker: ``python -m docmill_janitor``, with Dramatiq's options."""

from docmill_janitor.settings import JanitorSettings
from docmill_shared.worker_process import run

if __name__ == "__main__":
    run("janitor-worker", JanitorSettings, "docmill_janitor.worker")
