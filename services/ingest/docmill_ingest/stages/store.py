"""store: pull the file through, then everything at once in one short transaction."""

from sqlalchemy.exc import IntegrityError

from docmill_ingest.outcomes import Duplicate
from docmill_ingest.resources import Resources
from docmill_ingest.work import Work
from docmill_shared import chunks
from docmill_shared.chunks import ChunkSpool
from docmill_shared.database import autocommit
from docmill_shared.files import claims


def run(work: Work, resources: Resources) -> None:
    """Store the chunks and set COMPLETED, or change nothing.

    Raises:
        LeaseLost: someone else has the file.
        Duplicate: the owner completed the same content while this file was on its way.
    """
    claim = work.claim
    with ChunkSpool(claim.file_id, claim.owner_id, claim.visibility, work.directory) as spool:
        for passages, vectors in work.embedded:
            work.lease.check()
            spool.add(passages, vectors)
            work.progress.stage = "embed"
            work.progress.chunks_done = spool.count
            work.progress.report(resources)
            work.count_tokens(resources)
        # Before the transaction: in it, everybody who reserves files of this owner would wait.
        work.count_tokens(resources, at_once=True)
        work.lease.check()
        try:
            with resources.engine.begin() as connection:
                # First, since it takes the row's lock and the content's place in the unique
                # index: a twin is found out before a single chunk is copied.
                visibility = claims.complete(
                    connection,
                    claim,
                    sha256=work.sha256,
                    page_count=work.progress.page_count,
                    chunk_count=spool.count,
                )
                chunks.replace(connection, spool, visibility)
        except IntegrityError:
            with autocommit(resources.engine) as connection:
                twin = claims.find_completed_twin(connection, claim, work.sha256)
            if twin is None:
                raise
            raise Duplicate(twin, work.sha256) from None
