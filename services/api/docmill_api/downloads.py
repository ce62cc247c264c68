"""Downloads: the way back for the bytes of a file, from the store to its owner."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row

from docmill_api import file_names
from docmill_api.problems import Problem
from docmill_api.resources import Resources
from docmill_shared import media_types
from docmill_shared.states import FailureReason, FileStatus

_VALID_FOR = timedelta(hours=1)
#: What a browser might run or interpret if it ignored that the file is an attachment.
_ACTIVE = frozenset({media_types.HTML.name, media_types.EML.name})
_WITHOUT_OBJECT = frozenset({FailureReason.CANCELLED, FailureReason.OBJECT_MISSING})


@dataclass(frozen=True, slots=True)
class Download:
    """Where the bytes are to be had, and until when."""

    url: str
    expires_at: datetime


def link(resources: Resources, file: Row[Any]) -> Download:
    """A presigned URL for the file's bytes; a :class:`Problem` when there are none."""
    why = _why_not(file)
    if why is not None:
        raise Problem(409, "no_object", why)
    expires_at = datetime.now(UTC).replace(microsecond=0) + _VALID_FOR
    url = resources.objects.presign_get(
        file.object_key,
        _VALID_FOR,
        media_type="application/octet-stream" if file.media_type in _ACTIVE else file.media_type,
        disposition=file_names.attachment(file.name),
    )
    return Download(url, expires_at)


def _why_not(file: Row[Any]) -> str | None:
    if file.status == FileStatus.PENDING:
        return "Nothing was uploaded and confirmed yet."
    if file.status == FileStatus.DUPLICATE:
        return "A duplicate keeps no bytes of its own; download the file that it is one of."
    if file.object_missing_at is not None or file.failure_reason in _WITHOUT_OBJECT:
        return "The bytes of this file are gone."
    return None
