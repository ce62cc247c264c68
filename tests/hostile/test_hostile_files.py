"""Every hostile file goes through the real pipeline: it ends, in time, and hurts nobody else.

"The worker" is this process: a file that took it down would take the test run down.
"""

import time

import pytest

from docmill_ingest.pipeline import ingest
from docmill_ingest.resources import Resources
from docmill_shared.states import FailureReason
from tests.hostile.children import extraction_children
from tests.hostile.folder import COMPLETED, FILES, HostileFile
from tests.owners import Owner, prose

#: Beside the deadline of the extraction: the fetch, the embedding, and a start of the child on a
#: machine that is busy with other tests.
MARGIN_SECONDS = 60


@pytest.mark.parametrize("hostile", FILES, ids=str)
def test_a_hostile_file_ends_in_time_and_hurts_nobody(
    hostile: HostileFile, resources: Resources, hasty: Resources, owner: Owner
) -> None:
    worker = hasty if FailureReason.EXTRACTION_TIMEOUT in hostile.ends else resources
    content = hostile.build()
    file_id = owner.upload(content, name=hostile.name, media_type=hostile.media_type.name)

    started = time.monotonic()
    ingest(file_id, worker)
    seconds = time.monotonic() - started

    file = owner.file(file_id)
    assert file is not None
    end = COMPLETED if file.status == "COMPLETED" else file.failure_reason
    assert end in hostile.ends, (file.status, file.failure_reason, file.failure_detail)
    assert seconds < longest(worker, file.failure_reason)
    if end == COMPLETED:
        assert file.failure_detail is None
        assert owner.chunks(file_id)
    else:
        assert file.failure_detail.endswith(".")
        assert " " in file.failure_detail
        assert owner.chunks(file_id) == []
    assert extraction_children() <= {each.extractor.child_pid for each in (resources, hasty)}

    ordinary_file_completes(worker, owner, hostile.name)


def longest(resources: Resources, reason: str | None) -> float:
    """How long a file may take that ended like this."""
    limits = resources.settings.limits
    seconds = limits.seconds + limits.scanned_pages * limits.scanned_page_seconds
    if reason == FailureReason.EXTRACTION_TIMEOUT:
        seconds = limits.seconds  # none of the files that time out gets as far as OCR
    return seconds + MARGIN_SECONDS


def ordinary_file_completes(resources: Resources, owner: Owner, name: str) -> None:
    file_id = owner.upload(prose(2) + name.encode())
    ingest(file_id, resources)
    file = owner.file(file_id)
    assert file is not None
    assert file.status == "COMPLETED", file.failure_detail
