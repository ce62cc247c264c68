"""The ingest worker: ``python -m docmill_ingest``, with Dramatiq's options."""

from docmill_ingest.settings import IngestSettings
from docmill_shared.worker_process import run

if __name__ == "__main__":
    run("ingest", IngestSettings, "docmill_ingest.worker")
