"""What Dramatiq imports in a worker process; ``python -m docmill_janitor`` starts it."""

import dramatiq

from docmill_janitor import actors, resources
from docmill_janitor.schedule import schedule
from docmill_janitor.settings import JanitorSettings
from docmill_janitor.webhook_deliverer import WebhookDelivery
from docmill_shared import exposition
from docmill_shared.startup import prepare, require_schema
from docmill_shared.worker_health import WorkerHealth

_SERVICE = "janitor-worker"
_settings = prepare(_SERVICE, JanitorSettings)
require_schema(_SERVICE, _settings)
_resources = resources.build(_settings)
broker = _resources.broker
broker.add_middleware(WebhookDelivery(_resources))
broker.add_middleware(WorkerHealth(_SERVICE, _settings, exposition.of_this_process(_SERVICE)))
dramatiq.set_broker(broker)
actors.declare(broker, _resources, schedule(_settings))
