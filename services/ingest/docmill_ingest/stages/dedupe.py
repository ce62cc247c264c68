"""dedupe: stop early when the owner already has this content."""

from docmill_ingest.outcomes import Duplicate
from docmill_ingest.resources import Resources
from docmill_ingest.work import Work
from docmill_shared.database import autocommit
from docmill_shared.files import claims


def run(work: Work, resources: Resources) -> None:
    """Raise :class:`Duplicate` if the owner has a COMPLETED file with the same SHA-256.

    This only saves work. What keeps two simultaneous uploads apart is the unique index that the
    last stage runs into.
    """
    with autocommit(resources.engine) as connection:
        twin = claims.find_completed_twin(connection, work.claim, work.sha256)
    if twin is not None:
        raise Duplicate(twin, work.sha256)
