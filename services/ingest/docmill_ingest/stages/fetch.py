"""fetch: the object's bytes to disk, hashed on the way."""

import hashlib

from docmill_ingest import metrics
from docmill_ingest.resources import Resources
from docmill_ingest.work import Work
from docmill_shared.errors import PermanentError
from docmill_shared.states import FailureReason


def run(work: Work, resources: Resources) -> None:
    """Set ``work.path`` and ``work.sha256``; never hold more than a megabyte of the file.

    Raises:
        ObjectMissing: nothing was uploaded.
        StorageUnavailable: the store is away.
        PermanentError: the object has not the size or the content that was reserved.
    """
    work.path = work.directory / "upload"
    expected = work.claim.size_bytes
    digest = hashlib.sha256()
    received = 0
    with work.path.open("wb") as file:
        for piece in resources.objects.read(work.claim.object_key):
            received += len(piece)
            # A presigned PUT limits neither size nor number of uploads, so the object can have
            # been replaced since it was confirmed.
            if received > expected:
                break
            digest.update(piece)
            file.write(piece)
            work.lease.check()
    metrics.FETCHED_BYTES.inc(received)
    if received != expected:
        raise PermanentError(
            FailureReason.SIZE_MISMATCH,
            f"The upload is not of the reserved size of {expected:,} bytes. Reserve and upload "
            "the file again.",
        )
    work.sha256 = digest.digest()
    declared = work.claim.declared_sha256
    if declared is not None and work.sha256 != declared:
        raise PermanentError(
            FailureReason.CHECKSUM_MISMATCH,
            f"The upload's SHA-256 is {work.sha256.hex()}, and {declared.hex()} was declared. "
            "Reserve and upload the file again.",
        )
