"""The routes: each parses a request, calls one function and maps its result to an answer."""

from docmill_api.routes import (
    accounts,
    api_keys,
    audit,
    chat,
    dead_letters,
    events,
    files,
    health,
    jobs,
    queues,
    search,
    sessions,
    uploads,
    usage,
    webhooks,
)

BLUEPRINTS = (
    health.blueprint,
    sessions.blueprint,
    accounts.blueprint,
    api_keys.blueprint,
    audit.blueprint,
    uploads.blueprint,
    files.blueprint,
    events.blueprint,
    usage.blueprint,
    search.blueprint,
    chat.blueprint,
    webhooks.blueprint,
    queues.blueprint,
    jobs.blueprint,
    dead_letters.blueprint,
)
