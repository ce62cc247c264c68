"""The chunks table: how passages get in, all at once.

Rows are written to a spool on disk as they are embedded, already in the binary form of COPY, so a
worker's memory does not grow with the file and the final transaction is no longer than the COPY
itself. Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"; a halfvec
is sent as int16 dimension, int16 zero, then IEEE half floats (pgvector, ``halfvec_recv``).
"""

import hashlib
import struct
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, update

from docmill_shared.database import allow_minutes
from docmill_shared.schema import Chunk
from docmill_shared.states import Visibility

_COLUMNS = (
    "id, file_id, owner_id, visibility, ordinal, text, token_count, page_start, page_end,"
    " heading_path, char_start, char_end, embedding"
)
_COPY = f"copy chunks ({_COLUMNS}) from stdin (format binary)"
_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_TRAILER = struct.pack("!h", -1)
_NULL = struct.pack("!i", -1)
_TEXT_OID = 25
_READ_BYTES = 256 * 1024

#: A COPY of this many chunks may outlast the usual statement time-out.
_MANY_CHUNKS = 20_000


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk before it has an embedding; see :class:`docmill_shared.schema.Chunk`."""

    ordinal: int
    text: str
    token_count: int
    page_start: int | None
    page_end: int | None
    heading_path: tuple[str, ...]
    char_start: int
    char_end: int


def chunk_id(file_id: UUID, ordinal: int, passage: str) -> UUID:
    """A UUIDv5 of (file, ordinal, SHA-256 of the text): the same input, the same id."""
    digest = hashlib.sha256(passage.encode()).hexdigest()
    return uuid5(file_id, f"{ordinal}:{digest}")


class ChunkSpool:
    """The embedded passages of one file, on disk, in the form in which Postgres takes them."""

    def __init__(
        self, file_id: UUID, owner_id: UUID, visibility: Visibility, directory: Path
    ) -> None:
        self.file_id = file_id
        self.visibility = visibility
        self.count = 0
        self._constant = (
            _field(file_id.bytes) + _field(owner_id.bytes) + _field(visibility.encode())
        )
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed by __exit__
        self._file.write(_HEADER)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, passages: Sequence[Passage], vectors: NDArray[np.float32]) -> None:
        """Append passages with their embeddings, shape (len(passages), 768)."""
        halves = vectors.astype(">f2")
        dimensions = struct.pack("!hh", vectors.shape[1], 0)
        for passage, half in zip(passages, halves, strict=True):
            self._file.write(self._row(passage, dimensions + half.tobytes()))
        self.count += len(passages)

    def blocks(self) -> Iterator[bytes]:
        """The spool as the input of ``COPY ... FROM STDIN (FORMAT BINARY)``."""
        self._file.seek(0)
        while block := self._file.read(_READ_BYTES):
            yield block
        yield _TRAILER

    def _row(self, passage: Passage, embedding: bytes) -> bytes:
        return b"".join(
            (
                struct.pack("!h", 13),
                _field(chunk_id(self.file_id, passage.ordinal, passage.text).bytes),
                self._constant,
                _integer(passage.ordinal),
                _field(passage.text.encode()),
                _integer(passage.token_count),
                _integer(passage.page_start),
                _integer(passage.page_end),
                _text_array(passage.heading_path),
                _long(passage.char_start),
                _long(passage.char_end),
                _field(embedding),
            )
        )


def replace(connection: Connection, spool: ChunkSpool, visibility: Visibility) -> None:
    """Make the spool's rows the file's only chunks, with the file's present visibility.

    The caller holds the lock on the file's row and commits.
    """
    connection.execute(delete(Chunk).where(Chunk.file_id == spool.file_id))
    if spool.count > _MANY_CHUNKS:
        allow_minutes(connection, 10)
    driver = connection.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor:
        with cursor.copy(_COPY) as copy:
            for block in spool.blocks():
                copy.write(block)
        if cursor.rowcount != spool.count:
            raise RuntimeError(f"COPY stored {cursor.rowcount} of {spool.count} chunks.")
    if visibility != spool.visibility:
        # The owner changed it while the file was being processed.
        connection.execute(
            update(Chunk).where(Chunk.file_id == spool.file_id).values(visibility=visibility)
        )


def _field(value: bytes) -> bytes:
    return struct.pack("!i", len(value)) + value


def _integer(value: int | None) -> bytes:
    return _NULL if value is None else struct.pack("!ii", 4, value)


def _long(value: int) -> bytes:
    return struct.pack("!iq", 8, value)


def _text_array(values: Sequence[str]) -> bytes:
    if not values:
        return _field(struct.pack("!iii", 0, 0, _TEXT_OID))
    items = b"".join(_field(value.encode()) for value in values)
    return _field(struct.pack("!iiiii", 1, 0, _TEXT_OID, len(values), 1) + items)
