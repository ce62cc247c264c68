"""An owner who uploads: the API's part of a file's life, without the API."""

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, Row, insert, select

from docmill_shared.files import admission, reservations
from docmill_shared.files.admission import Wish
from docmill_shared.objects import ObjectStore
from docmill_shared.schema import Chunk, File, User
from docmill_shared.states import Visibility
from docmill_shared.usage import Limits

NO_LIMITS = Limits(None, None, None)
_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Owner:
    """A user of the database under test."""

    id: UUID
    engine: Engine
    objects: ObjectStore

    def reserve(
        self,
        name: str,
        size_bytes: int,
        media_type: str = "text/plain",
        visibility: Visibility = Visibility.PRIVATE,
        *,
        bulk: bool = False,
        sha256: bytes | None = None,
    ) -> UUID:
        """A PENDING file."""
        wish = Wish(name, media_type, size_bytes, visibility, bulk, sha256)
        with self.engine.begin() as connection:
            assert admission.admit(connection, self.id, [wish], NO_LIMITS).files
        return wish.file_id

    def put(self, file_id: UUID, content: bytes) -> None:
        """The upload itself, through a presigned URL."""
        url = self.objects.presign_put(
            f"uploads/{self.id}/{file_id}",
            timedelta(minutes=5),
            media_type=_TYPE,
            size_bytes=len(content),
        )
        headers = {"Content-Type": _TYPE}
        request = urllib.request.Request(url, data=content, headers=headers, method="PUT")
        with urllib.request.urlopen(request) as response:
            assert response.status == 200

    def confirm(self, file_id: UUID, *, sent: bool = False) -> None:
        """PENDING to QUEUED; unless ``sent``, it is left to the dispatcher to send."""
        with self.engine.begin() as connection:
            assert reservations.confirm(connection, file_id, self.id)
            if not sent:
                reservations.not_sent_after_all(connection, file_id)

    def upload(
        self,
        content: bytes,
        name: str = "notes.txt",
        media_type: str = "text/plain",
        visibility: Visibility = Visibility.PRIVATE,
    ) -> UUID:
        """Reserve, put and confirm."""
        file_id = self.reserve(name, len(content), media_type, visibility)
        self.put(file_id, content)
        self.confirm(file_id)
        return file_id

    def file(self, file_id: UUID) -> Row[Any] | None:
        """The file's row as it is now."""
        with self.engine.connect() as connection:
            return connection.execute(
                select(*File.__table__.columns).where(File.id == file_id)
            ).one_or_none()

    def chunks(self, file_id: UUID) -> list[Mapping[str, Any]]:
        """The file's chunks in order."""
        with self.engine.connect() as connection:
            return [
                dict(row._mapping)
                for row in connection.execute(
                    select(*Chunk.__table__.columns)
                    .where(Chunk.file_id == file_id)
                    .order_by(Chunk.ordinal)
                )
            ]


def new_owner(engine: Engine, objects: ObjectStore) -> Owner:
    """A fresh user."""
    owner_id = uuid4()
    with engine.begin() as connection:
        connection.execute(
            insert(User).values(id=owner_id, email=f"{owner_id}@example.org", password_hash="-")
        )
    return Owner(owner_id, engine, objects)


def prose(paragraphs: int, seed: int = 0) -> bytes:
    """Text of which no two paragraphs are the same, about 500 characters each."""
    lines = []
    for number in range(paragraphs):
        words = [f"reading{(number * 31 + place * 7 + seed) % 9973}" for place in range(40)]
        lines.append(f"Entry {seed}.{number}. " + " ".join(words) + ".")
    return "\n\n".join(lines).encode()
