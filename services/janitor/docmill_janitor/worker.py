"""The janitor's worker: ``dramatiq docmill_janitor.worker``."""

import dramatiq

from docmill_janitor import actors, resources
from docmill_janitor.schedule import schedule
from docmill_janitor.settings import JanitorSettings
from docmill_shared.startup import prepare

_resources = resources.build(prepare("janitor-worker", JanitorSettings))
broker = _resources.broker
dramatiq.set_broker(broker)
actors.declare(broker, _resources, schedule(_resources.settings))
