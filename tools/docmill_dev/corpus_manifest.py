"""What ingesting the documents of a folder must yield: its ``manifest.json``.

``{"files": [{"file", "mime", "status", "reason"?, "phrase"?, "page"?, "note"?}]}``. ``status`` is
COMPLETED, FAILED or REFUSED (by the API), the latter two with the ``reason``; ``phrase`` must be
in a stored passage, on ``page`` if that is given. A note that begins with "optional" lets the API
refuse the file instead.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
STATUSES = ("COMPLETED", "DUPLICATE", "FAILED", "REFUSED")


class ManifestError(Exception):
    """The folder is not a corpus; the message says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One document and what is expected of it."""

    path: Path
    media_type: str | None
    status: str
    reason: str | None
    phrase: str | None
    page: int | None
    is_optional: bool


def load(folder: Path) -> list[Row]:
    """The rows in their order.

    Raises:
        ManifestError: there is none, or it is not as it should be.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [_row(folder, each) for each in content["files"]]
    except FileNotFoundError:
        raise ManifestError(f"{folder} has no {MANIFEST}.") from None
    except KeyError as error:
        raise ManifestError(f"{path}: {error} is missing.") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ManifestError(f"{path} is not such a list: {error}") from None
    if not rows:
        raise ManifestError(f"{path} lists no file.")
    for row in rows:
        if not row.path.is_file():
            raise ManifestError(f"{path} lists {row.path.name}, which is not there.")
    return rows


def accounts(rows: list[Row]) -> list[int]:
    """For each row the number of its account: no account gets the same bytes twice.

    Otherwise the second of two equal documents would be a DUPLICATE, and not be looked at.
    """
    seen: dict[bytes, int] = {}
    numbers = []
    for row in rows:
        with row.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        numbers.append(seen.get(digest, 0))
        seen[digest] = numbers[-1] + 1
    return numbers


def _row(folder: Path, entry: Mapping[str, Any]) -> Row:
    status = str(entry["status"])
    if status not in STATUSES:
        raise ValueError(f"{status} is none of {', '.join(STATUSES)}")
    page = entry.get("page")
    return Row(
        path=folder / str(entry["file"]),
        media_type=entry.get("mime"),
        status=status,
        reason=entry.get("reason"),
        phrase=entry.get("phrase"),
        page=None if page is None else int(page),
        is_optional=str(entry.get("note", "")).startswith("optional"),
    )
