"""The routes: each parses a request, calls one function and maps its result to an answer."""

from docmill_api.routes import accounts, files, health, search, sessions

BLUEPRINTS = (
    health.blueprint,
    sessions.blueprint,
    accounts.blueprint,
    files.blueprint,
    search.blueprint,
)
