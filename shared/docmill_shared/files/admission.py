"""The way in: new files of an owner, within the owner's quota, once for each Idempotency-Key."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, Connection, LargeBinary, Row, Text, and_, any_, bindparam, or_, select
from sqlalchemy import text as sql

from docmill_shared.schema import File
from docmill_shared.states import FileStatus, Visibility
from docmill_shared.usage import Limits, Usage

#: ``used`` waits for whoever admits files of this owner at the same time, and then counts theirs.
_ADMIT = sql("""
with used as (
    select files, bytes,
        case when tokens_on = (now() at time zone 'utc')::date then tokens else 0 end as tokens
    from owner_usage where owner_id = :owner_id for no key update
), fresh as materialized (
    select wish.* from jsonb_to_recordset(cast(:wishes as jsonb)) as wish(
        id uuid, name text, media_type text, size_bytes bigint, visibility text, object_key text,
        bulk boolean, sha256 text, key text, key_sha256 text)
    where wish.sha256 is null or not exists (
        select from files as twin where twin.owner_id = :owner_id and twin.status = 'COMPLETED'
        and twin.sha256 = decode(wish.sha256, 'hex'))
), admitted as (
    insert into files (id, owner_id, name, media_type, size_bytes, visibility, object_key, bulk,
        declared_sha256, idempotency_key, idempotency_sha256)
    select id, :owner_id, name, media_type, size_bytes, visibility, object_key, bulk,
        decode(sha256, 'hex'), key, decode(key_sha256, 'hex')
    from fresh
    where (cast(:max_files as bigint) is null
            or (select files from used) + (select count(*) from fresh) <= :max_files)
        and (cast(:max_bytes as bigint) is null
            or (select bytes from used) + (select sum(size_bytes) from fresh) <= :max_bytes)
        and not exists (select from fresh join files as other on other.owner_id = :owner_id
            and other.idempotency_key = fresh.key
            and other.idempotency_sha256 <> decode(fresh.key_sha256, 'hex'))
    on conflict (owner_id, idempotency_key) where idempotency_key is not null do nothing
    returning *
)
select used.files as used_files, used.bytes as used_bytes, used.tokens as used_tokens, admitted.*
from used left join admitted on true
""")


@dataclass(frozen=True, slots=True)
class Wish:
    """A file that its owner wants to upload."""

    name: str
    media_type: str
    size_bytes: int
    visibility: Visibility = Visibility.PRIVATE
    bulk: bool = False
    sha256: bytes | None = None  #: as the owner says
    idempotency_key: str | None = None
    idempotency_sha256: bytes | None = None
    file_id: UUID = field(default_factory=uuid4)

    def object_key(self, owner_id: UUID) -> str:
        """Where its bytes will be."""
        return f"uploads/{owner_id}/{self.file_id}"


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of wishes: the rows of those that are files now, and the usage before."""

    files: dict[UUID, Row[Any]]
    usage: Usage


def admit(
    connection: Connection,
    owner_id: UUID,
    wishes: Sequence[Wish],
    limits: Limits,
) -> Admission:
    """Insert PENDING files in one statement: all that have neither a twin nor an earlier.

    A twin is the owner's COMPLETED file with the declared content, an earlier one has the same
    idempotency key; :func:`find_in_the_way` finds both. None is inserted where the others do not
    fit into the limits together, or where a key came with another request before. However many do
    this at the same time, the limits hold.
    """
    rows = connection.execute(
        _ADMIT,
        {
            "owner_id": owner_id,
            "wishes": json.dumps([_plain(wish, owner_id) for wish in wishes]),
            "max_files": limits.files,
            "max_bytes": limits.bytes,
        },
    ).all()
    usage = Usage(rows[0].used_files, rows[0].used_bytes, rows[0].used_tokens)
    files = {row.id: row for row in rows if row.id is not None}
    return Admission(files, usage)


def find_in_the_way(
    connection: Connection, owner_id: UUID, wishes: Sequence[Wish]
) -> list[Row[Any]]:
    """The owner's files with a key of these wishes, and COMPLETED ones with their content."""
    keys = [wish.idempotency_key for wish in wishes if wish.idempotency_key is not None]
    contents = [wish.sha256 for wish in wishes if wish.sha256 is not None]
    same_key = File.idempotency_key == any_(bindparam("keys", keys, type_=ARRAY(Text)))
    same_content = File.sha256 == any_(bindparam("contents", contents, type_=ARRAY(LargeBinary)))
    return list(
        connection.execute(
            select(*File.__table__.columns).where(
                File.owner_id == owner_id,
                or_(
                    and_(same_key, File.status != FileStatus.DELETING),
                    and_(same_content, File.status == FileStatus.COMPLETED),
                ),
            )
        )
    )


def _plain(wish: Wish, owner_id: UUID) -> dict[str, object]:
    return {
        "id": str(wish.file_id),
        "name": wish.name,
        "media_type": wish.media_type,
        "size_bytes": wish.size_bytes,
        "visibility": wish.visibility,
        "object_key": wish.object_key(owner_id),
        "bulk": wish.bulk,
        "sha256": None if wish.sha256 is None else wish.sha256.hex(),
        "key": wish.idempotency_key,
        "key_sha256": (None if wish.idempotency_sha256 is None else wish.idempotency_sha256.hex()),
    }
