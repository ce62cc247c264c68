"""The audit log: what happened that matters for security."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Response
from pydantic import BaseModel, Field

from docmill_api import cursors
from docmill_api.answers import answer, problems
from docmill_api.client_input import Requested
from docmill_api.current import resources
from docmill_api.routes.blueprints import operators
from docmill_shared import audit
from docmill_shared.audit import Event
from docmill_shared.database import autocommit

blueprint = operators("audit", "What happened that matters for security.")


class AuditQuery(Requested):
    """Which part of the log."""

    user_id: UUID | None = Field(None, description="Only what is about this account.")
    event: Event | None = Field(None, description="Only events of this kind.")
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=512, description="`next_cursor` of the page before")


class AuditEventView(BaseModel):
    """Something that happened."""

    id: UUID
    at: datetime
    event: str
    user_id: UUID | None = Field(
        description="The account that it is about, which may be gone by now; null: not known."
    )
    address: str | None = Field(description="From where; null: by a command of an operator.")
    request_id: str | None
    detail: dict[str, Any]


class AuditLog(BaseModel):
    """Events, newest first."""

    items: list[AuditEventView]
    next_cursor: str | None = Field(description="Null on the last page.")


@blueprint.get("/audit", responses={200: AuditLog, **problems(_422="A parameter is wrong.")})
def list_events(query: AuditQuery) -> Response:
    """Security events, newest first."""
    before = None if query.cursor is None else cursors.decode_place(query.cursor)
    with autocommit(resources().engine) as connection:
        rows = audit.newest(
            connection,
            limit=query.limit + 1,
            user_id=query.user_id,
            event=query.event,
            before=before,
        )
    page = rows[: query.limit]
    more = len(rows) > len(page)
    return answer(
        AuditLog(
            items=[AuditEventView.model_validate(row, from_attributes=True) for row in page],
            next_cursor=cursors.encode_place(page[-1].at, page[-1].id) if more else None,
        )
    )
