"""The api's reads of chunks: one file's passages, and the statement behind a search.

A search is one statement: legs that each find at most :data:`CANDIDATES` chunks, fused by
reciprocal rank. Why it has its form (docs/adr/0003, and the measurements in the design):

- owner and visibility are literals, because a plan with parameters cannot prove that a partial
  index applies; both are values of types that cannot hold a quote. Everything a client typed is a
  bind parameter.
- the access rule stands in every leg, so that no leg ever reads a chunk its caller may not see.
- a leg is either the caller's own or public, never "own or public": the first is exact through
  the owner's B-tree (or a promoted owner's partial HNSW index), the second goes through the
  partial HNSW index of public chunks.
"""

# ruff: noqa: S608 - what is formatted into the SQL is literals of this module's own, see above

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, TextClause, select, text

from docmill_shared.schema import DIMENSIONS, TEXT_SEARCH_CONFIG, Chunk
from docmill_shared.states import Visibility

#: Chunks that a leg hands on. More than any ``limit``, since fusion may lift the 60th of one leg.
CANDIDATES = 100
#: Chunks that match one word at least and are ranked by how many they match. Words that occur in
#: more chunks than this tell them apart so little that the other leg decides.
RANKED_MATCHES = 1_000
#: Reciprocal rank fusion's constant (Cormack, Clarke, Buettcher, SIGIR 2009).
RRF_K = 60
#: Per connection: an HNSW scan returns no more rows than this, and the default is 40.
SESSION_SETTINGS = (f"set hnsw.ef_search = {CANDIDATES}",)


class Scope(StrEnum):
    """Whose passages are searched."""

    ALL = "all"
    MINE = "mine"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for; ``vector`` None leaves out the semantic legs, ``words`` None the text.

    ``precise`` says that the caller used quotes or a minus: then every word counts as typed.
    """

    caller_id: UUID
    scope: Scope
    vector: Sequence[float] | None
    words: str | None
    precise: bool
    file_ids: Sequence[UUID] | None
    limit: int


def of_file(
    connection: Connection, file_id: UUID, owner_id: UUID, *, limit: int, after: int | None
) -> list[Row[Any]]:
    """The passages of the owner's file in order, at most ``limit``, from behind ``after``."""
    query = (
        select(
            Chunk.id,
            Chunk.ordinal,
            Chunk.text,
            Chunk.token_count,
            Chunk.page_start,
            Chunk.page_end,
            Chunk.heading_path,
            Chunk.char_start,
            Chunk.char_end,
        )
        .where(Chunk.file_id == file_id, Chunk.owner_id == owner_id)
        .order_by(Chunk.ordinal)
        .limit(limit)
    )
    if after is not None:
        query = query.where(Chunk.ordinal > after)
    return list(connection.execute(query))


def search(connection: Connection, question: Question) -> list[Row[Any]]:
    """The best passages, best first, with ``score`` and ``similarity`` (None without a vector).

    ``score`` is the sum of reciprocal ranks as a part of the best possible: 1 for a passage that
    comes first by meaning and by words.
    """
    statement, parameters = search_statement(question)
    return list(connection.execute(statement, parameters))


def search_statement(question: Question) -> tuple[TextClause, dict[str, Any]]:
    """The statement of :func:`search` and its parameters."""
    legs: list[str] = []
    parameters: dict[str, Any] = {"limit": question.limit}
    similarity = "null::float8"
    if question.vector is not None:
        legs.append(_semantic_leg(question))
        similarity = f"1 - (c.embedding <=> {_VECTOR})"
        parameters["vector"] = "[" + ",".join(format(x, ".6g") for x in question.vector) + "]"
    if question.words is not None:
        legs.append(_text_leg(question))
        parameters["words"] = question.words
    if question.file_ids is not None:
        parameters["file_ids"] = list(question.file_ids)
    statement = _FUSED.format(
        legs=" union all ".join(legs), best=len(legs) / (RRF_K + 1), similarity=similarity
    )
    return text(statement), parameters


_VECTOR = f"cast(:vector as halfvec({DIMENSIONS}))"

_FUSED = f"""
with legs as materialized ({{legs}}),
fused as (
    select id, sum(1.0 / ({RRF_K} + place))::float8 / {{best}} as score, min(leg) as leg
    from legs group by id order by score desc, leg, id limit :limit
)
select c.id, c.file_id, f.name as file_name, c.page_start, c.page_end, c.heading_path, c.text,
    fused.score, ({{similarity}})::float8 as similarity
from fused join visible_chunks c on c.id = fused.id join visible_files f on f.id = c.file_id
order by fused.score desc, fused.leg, c.id
"""


def _semantic_leg(question: Question) -> str:
    """Nearest first. A chunk that is both the caller's and public is found twice, counted once."""
    distance = f"embedding <=> {_VECTOR}"
    # Within named files the search is exact: an index that is filtered after the fact would come
    # back with too few (pgvector's README, "Filtering"), and adding zero keeps it out.
    order = distance if question.file_ids is None else f"({distance}) + 0"
    nearest = " union ".join(
        f"(select id, {distance} as distance from visible_chunks where {condition}"
        f" order by {order} limit {CANDIDATES})"
        for condition in _access(question)
    )
    return f"""(
        select 1 as leg, id, row_number() over (order by distance, id) as place
        from ({nearest}) nearest order by place limit {CANDIDATES}
    )"""


def _text_leg(question: Question) -> str:
    """Chunks with all words first, then by how many of the words they have.

    A question in a sentence seldom finds all its words in one passage, so one is enough to match.
    ``ts_rank`` and not ``ts_rank_cd``: of alternatives the latter counts every occurrence, so that
    a passage which repeats one word would win over one that has them all.
    """
    every = f"websearch_to_tsquery('{TEXT_SEARCH_CONFIG}', :words)"
    plain = f"plainto_tsquery('{TEXT_SEARCH_CONFIG}', :words)"
    some = every if question.precise else f"replace({plain}::text, ' & ', ' | ')::tsquery"
    rank = f"tsv @@ {every} as complete, ts_rank(tsv, {some}) as rank"
    matches = " union ".join(
        f"(select id, {rank} from visible_chunks where {condition} and tsv @@ {query}"
        f" limit {RANKED_MATCHES})"
        for condition in _access(question)
        for query in dict.fromkeys((every, some))
    )
    return f"""(
        select 2 as leg, id, row_number() over (order by complete desc, rank desc, id) as place
        from ({matches}) matches order by place limit {CANDIDATES}
    )"""


def _access(question: Question) -> list[str]:
    """The conditions of the legs: which chunks this caller may see, within what was asked for."""
    conditions = {
        Scope.MINE: [f"owner_id = '{UUID(str(question.caller_id))}'"],
        Scope.PUBLIC: [f"visibility = '{Visibility.PUBLIC.value}'"],
    }
    conditions[Scope.ALL] = conditions[Scope.MINE] + conditions[Scope.PUBLIC]
    within = "" if question.file_ids is None else " and file_id = any(:file_ids)"
    return [condition + within for condition in conditions[question.scope]]
