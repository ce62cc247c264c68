"""What Dramatiq imports in a worker process; ``python -m docmill_ingest`` starts it."""

import dramatiq

from docmill_ingest import actors, resources
from docmill_ingest.settings import IngestSettings
from docmill_shared import exposition
from docmill_shared.broker import create_broker
from docmill_shared.errors import ConfigurationError
from docmill_shared.startup import prepare, refuse, require_schema
from docmill_shared.worker_health import WorkerHealth

settings = prepare("ingest", IngestSettings)
require_schema("ingest", settings)
broker = create_broker(settings)
broker.add_middleware(WorkerHealth("ingest", settings, exposition.of_this_process("ingest")))
dramatiq.set_broker(broker)
try:
    actors.declare(broker, resources.build(settings))
except ConfigurationError as error:
    refuse("ingest", error)
