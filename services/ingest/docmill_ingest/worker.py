"""The ingest worker: ``dramatiq docmill_ingest.worker``."""

import dramatiq

from docmill_ingest import actors, resources
from docmill_ingest.settings import IngestSettings
from docmill_shared.broker import create_broker
from docmill_shared.startup import prepare

settings = prepare("ingest", IngestSettings)
broker = create_broker(settings)
dramatiq.set_broker(broker)
actors.declare(broker, resources.build(settings))
