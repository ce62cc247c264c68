"""The routes: each parses a request, calls one function and maps its result to an answer."""

from docmill_api.routes import (
    accounts,
    dead_letters,
    files,
    health,
    jobs,
    queues,
    search,
    sessions,
)

BLUEPRINTS = (
    health.blueprint,
    sessions.blueprint,
    accounts.blueprint,
    files.blueprint,
    search.blueprint,
    queues.blueprint,
    jobs.blueprint,
    dead_letters.blueprint,
)
