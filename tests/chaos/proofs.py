"""What must hold when all is over, counted from the database, the object store and the provider."""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, Row, text

from docmill_shared.chunks import chunk_id
from docmill_shared.states import FINAL
from tests.chaos.systems import Upload

#: What an undisturbed run makes of a (name, SHA-256): its passages in order, None: it fails.
Expected = Mapping[tuple[str, bytes], list[str] | None]

_FILES = text("select id, owner_id, status, failure_reason, object_key from files")
_CHUNKS = text("select id, file_id, text from chunks")


@dataclass(slots=True)
class Findings:
    """Numbers of files, rows or objects that are not as they must be; 0 is good everywhere."""

    by_status: Counter[str] = field(default_factory=Counter)
    chunks: int = 0
    gone: int = 0  #: confirmed, and no row any more
    lost: int = 0  #: waits, and nothing anywhere will ever start it
    stuck: int = 0  #: PROCESSING, and nobody processes it
    unfinished: int = 0  #: neither final nor lost nor stuck: somebody may still come
    wrong_end: int = 0  #: FAILED though its content is good, or the reverse
    unresolved: int = 0  #: contents of an owner that are not COMPLETED exactly once
    differing: int = 0  #: COMPLETED files whose passages are not those of an undisturbed run
    doubled: int = 0  #: passages stored more often than they stand in the file
    half: int = 0  #: searchable passages of files that are not COMPLETED
    objects_without_row: int = 0
    rows_without_object: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def note(self, what: str, file_id: object) -> None:
        """Keep the first few, for whoever looks into it."""
        if len(self.examples) < 20:
            self.examples.append(f"{what}: {file_id}")


def examine(
    uploads: Sequence[Upload],
    expected: Expected,
    engine: Engine,
    objects: Mapping[UUID, AbstractSet[str]],
    in_queue: AbstractSet[UUID] | None,
) -> Findings:
    """Compare everything with everything. Chunk ids count where ``in_queue`` is None (docmill).

    The naive worker's ids are random, so its passages are compared by their text.
    """
    with engine.connect() as connection:
        rows = {row.id: row for row in connection.execute(_FILES)}
        chunks: dict[UUID, list[tuple[UUID, str]]] = {}
        for chunk in connection.execute(_CHUNKS):
            chunks.setdefault(chunk.file_id, []).append((chunk.id, chunk.text))
    findings = Findings()
    for upload in uploads:
        file = rows.get(upload.file_id)
        _examine_file(upload, file, expected, findings, in_queue)
        if file is not None:
            stored = chunks.get(upload.file_id, [])
            _examine_passages(file, stored, expected[upload.content], findings, in_queue is None)
    _examine_copies(uploads, rows, expected, findings)
    _examine_objects(uploads, rows, objects, findings)
    return findings


def _examine_file(
    upload: Upload,
    row: Row[Any] | None,
    expected: Expected,
    findings: Findings,
    in_queue: AbstractSet[UUID] | None,
) -> None:
    if row is None:
        findings.gone += 1
        findings.note("gone", upload.file_id)
        return
    findings.by_status[row.status] += 1
    if row.status not in FINAL:
        may_start = in_queue is None or upload.file_id in in_queue
        what = "unfinished" if may_start else "stuck" if row.status == "PROCESSING" else "lost"
        setattr(findings, what, getattr(findings, what) + 1)
        findings.note(what, upload.file_id)
    elif (row.status == "FAILED") != (expected[upload.content] is None):
        findings.wrong_end += 1
        findings.reasons[str(row.failure_reason)] += 1
        findings.note(f"{row.status} {row.failure_reason}", upload.file_id)


def _examine_passages(
    row: Row[Any],
    stored: Sequence[tuple[UUID, str]],
    undisturbed: list[str] | None,
    findings: Findings,
    by_id: bool,
) -> None:
    findings.chunks += len(stored)
    wanted = Counter(undisturbed or [])
    surplus = Counter(passage for _, passage in stored) - wanted
    findings.doubled += sum(surplus.values())
    if row.status != "COMPLETED":
        findings.half += len(stored)
        return
    same = not surplus and len(stored) == wanted.total()
    if by_id:
        ids = {chunk_id(row.id, at, passage) for at, passage in enumerate(undisturbed or [])}
        same = same and {each for each, _ in stored} == ids
    if not same:
        findings.differing += 1
        findings.note("other passages", row.id)


def _examine_copies(
    uploads: Sequence[Upload],
    rows: Mapping[UUID, Row[Any]],
    expected: Expected,
    findings: Findings,
) -> None:
    copies: dict[tuple[UUID, tuple[str, bytes]], list[str]] = {}
    for upload in uploads:
        row = rows.get(upload.file_id)
        status = row.status if row is not None else "GONE"
        copies.setdefault((upload.owner_id, upload.content), []).append(status)
    for (_, content), statuses in copies.items():
        if expected[content] is None:
            continue
        others = [status for status in statuses if status != "COMPLETED"]
        if len(statuses) - len(others) != 1 or set(others) - {"DUPLICATE"}:
            findings.unresolved += 1


def _examine_objects(
    uploads: Sequence[Upload],
    rows: Mapping[UUID, Row[Any]],
    objects: Mapping[UUID, AbstractSet[str]],
    findings: Findings,
) -> None:
    owners = {upload.owner_id for upload in uploads}
    present = {key for owner in owners for key in objects.get(owner, ())}
    # A DUPLICATE's object must be gone; a PENDING row is a promise that need not be kept.
    of_rows = {row.object_key: row for row in rows.values() if row.status != "DUPLICATE"}
    for key in present - of_rows.keys():
        findings.objects_without_row += 1
        findings.note("object without a row", key)
    for key, row in of_rows.items():
        if key not in present and row.owner_id in owners and row.status != "PENDING":
            findings.rows_without_object += 1
            findings.note("row without an object", row.id)
