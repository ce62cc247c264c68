"""Search."""

import time
from typing import Annotated, Any, Self
from uuid import UUID

from flask import Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import Row

from docmill_api import search as searching
from docmill_api.answers import WRONG_BODY, answer
from docmill_api.client_input import STORABLE, WHOLE, Requested
from docmill_api.current import caller, resources
from docmill_api.passages import Scope
from docmill_api.routes.blueprints import protected
from docmill_api.search import Mode

blueprint = protected("search", "/v1/search", "Passages that answer a query.", scope="search")


Query = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000), STORABLE
]


class SearchRequest(Requested):
    """What is looked for, and where."""

    query: Query = Field(
        description='A question or words. `"a phrase"` and `-word` are taken literally.',
        examples=["What did the committee decide about the budget?"],
    )
    mode: Mode = Field(
        Mode.HYBRID, description="`semantic` goes by meaning, `text` by words, `hybrid` by both."
    )
    scope: Scope = Field(
        Scope.ALL, description="`all`: your files and public ones; `mine`; `public`."
    )
    file_ids: list[UUID] | None = Field(
        None, min_length=1, max_length=100, description="Only in these files."
    )
    limit: Annotated[int, Field(ge=1, le=50), WHOLE] = 5


class FoundFile(BaseModel):
    """The file that a passage is from."""

    id: UUID
    name: str


class FoundPassage(BaseModel):
    """A passage and where it stands."""

    chunk_id: UUID
    file: FoundFile
    page_start: int | None
    page_end: int | None
    heading_path: list[str]
    text: str = Field(description="The whole passage.")

    @classmethod
    def of(cls, row: Row[Any], **more: Any) -> Self:
        """From a row of a search; ``more``: what a subclass has besides."""
        return cls(
            chunk_id=row.id,
            file=FoundFile(id=row.file_id, name=row.file_name),
            page_start=row.page_start,
            page_end=row.page_end,
            heading_path=row.heading_path,
            text=row.text,
            **more,
        )


class Result(FoundPassage):
    """A passage, and how well it fits."""

    score: float = Field(
        description="From 0 to 1: by reciprocal rank; 1 is first by meaning and by words."
    )
    similarity: float | None = Field(
        description="The cosine of query and passage; null where the search had no meaning to go by"
    )


class SearchAnswer(BaseModel):
    """The passages, best first."""

    query: str
    mode: Mode
    degraded: bool = Field(
        description="The query could not be embedded, so that a hybrid search went by words alone."
    )
    results: list[Result]
    took_ms: float


@blueprint.post(
    "",
    responses={
        200: SearchAnswer,
        **WRONG_BODY,
    },
)
def search(body: SearchRequest) -> Response:
    """Find passages in your files and in public ones."""
    started = time.perf_counter()
    found = searching.search(
        resources(),
        caller().id,
        query=body.query,
        mode=body.mode,
        scope=body.scope,
        file_ids=body.file_ids,
        limit=body.limit,
    )
    results = [Result.of(row, score=row.score, similarity=row.similarity) for row in found.rows]
    return answer(
        SearchAnswer(
            query=body.query,
            mode=body.mode,
            degraded=found.degraded,
            results=results,
            took_ms=round((time.perf_counter() - started) * 1000, 1),
        )
    )
