"""Indexes of large owners: a partial HNSW index on ``chunks`` for each (docs/adr/0003).

Below some 50,000 passages the exact search inside an owner's rows is quick. Above, the owner is
*promoted*: an index that holds their passages only, which costs nobody else's ingestion anything.
The indexes are named by their owner, and the catalogue is where they are looked up.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

#: Postgres cuts names at 63 bytes; this and 32 hexadecimal digits are less.
_PREFIX = "chunks_embedding_of_"

_SIZES = text("""
select owner_id, sum(chunk_count)::bigint as chunks from files
where status = 'COMPLETED' group by owner_id having sum(chunk_count) > :more_than
""")
_INDEXES = text("""
select relname, indisvalid from pg_index join pg_class on pg_class.oid = indexrelid
where indrelid = 'chunks'::regclass and starts_with(relname, :prefix)
""")


@dataclass(frozen=True, slots=True)
class OwnerIndex:
    """An index that exists; one that is not valid is of a build that broke off."""

    owner_id: UUID
    valid: bool


def large_owners(connection: Connection, *, more_than: int) -> dict[UUID, int]:
    """Owners with more passages than this, and how many they have."""
    return {
        row.owner_id: row.chunks for row in connection.execute(_SIZES, {"more_than": more_than})
    }


def existing(connection: Connection) -> list[OwnerIndex]:
    """Every index of an owner."""
    rows = connection.execute(_INDEXES, {"prefix": _PREFIX})
    return [OwnerIndex(UUID(row.relname.removeprefix(_PREFIX)), row.indisvalid) for row in rows]


def build(connection: Connection, owner_id: UUID) -> None:
    """Build the owner's index while others read and write; needs autocommit, takes minutes."""
    connection.execute(
        text(
            f"create index concurrently if not exists {_name(owner_id)} on chunks"
            f" using hnsw (embedding halfvec_cosine_ops) where owner_id = '{UUID(str(owner_id))}'"
        )
    )


def drop(connection: Connection, owner_id: UUID) -> None:
    """Drop the owner's index; needs autocommit."""
    connection.execute(text(f"drop index concurrently if exists {_name(owner_id)}"))


def _name(owner_id: UUID) -> str:
    return f"{_PREFIX}{UUID(str(owner_id)).hex}"
