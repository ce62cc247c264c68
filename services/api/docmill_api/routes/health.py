"""Probes: is the process alive, and should requests come to it?"""

from typing import Literal

from flask import Response
from pydantic import BaseModel, Field

from docmill_api.answers import answer
from docmill_api.current import resources
from docmill_api.routes.blueprints import public

blueprint = public("health", "/", "Probes.")


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Dependencies(BaseModel):
    """`ok`, or what is wrong."""

    database: str = Field(examples=["ok"])
    storage: str = Field(examples=["ok"])
    queue: str = Field(examples=["cannot be reached"])


class Ready(BaseModel):
    """Whether requests should come here, and how each dependency is."""

    ready: bool = Field(
        description="The database decides alone: without storage or queue most requests still work."
    )
    dependencies: Dependencies


@blueprint.get("/healthz", responses={200: Alive})
def alive() -> Response:
    """Liveness: looks at nothing but this process."""
    return answer(Alive())


@blueprint.get("/readyz", responses={200: Ready, 503: Ready})
def ready() -> Response:
    """Readiness: 200 while the database is there with a current schema, else 503."""
    found = resources().health.readiness()
    dependencies = Dependencies(
        database=found.database or "ok", storage=found.storage or "ok", queue=found.queue or "ok"
    )
    return answer(Ready(ready=found.ready, dependencies=dependencies), 200 if found.ready else 503)
