"""Ending a file: cancelled before it is ingested, or deleted with all that came of it."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from docmill_api.problems import Problem
from docmill_api.resources import Resources
from docmill_api.uploads import not_found
from docmill_shared.errors import StorageUnavailable
from docmill_shared.files import reservations
from docmill_shared.observability import get_logger
from docmill_shared.progress import FileProgress
from docmill_shared.row_security import statements_of, transaction_of

log = get_logger(__name__)


def cancel(resources: Resources, owner_id: UUID, file_id: UUID) -> Row[Any]:
    """Stop the file and delete its object; a :class:`Problem` when there is nothing to stop.

    It has no passages: those appear with COMPLETED only. Should the store be away, the janitor
    deletes the object with the row.
    """
    with statements_of(resources.engine, owner_id) as connection:
        file = reservations.cancel(connection, file_id, owner_id)
        if file is None:
            found = reservations.find(connection, file_id, owner_id)
            if found is None:
                raise not_found()
            raise Problem(
                409,
                "not_cancellable",
                f"It is {found.status}; there is nothing to cancel.",
            )
    resources.progress.tell(owner_id, FileProgress.of(file))
    _delete_object(resources, file)
    return file


def delete(resources: Resources, owner_id: UUID, file_id: UUID) -> bool:
    """Delete the file; whether all of it is gone already.

    Its passages are. While the store is away the row stays DELETING, which keeps the object's key
    for the janitor.
    """
    with transaction_of(resources.engine, owner_id) as connection:
        file = reservations.start_deletion(connection, file_id, owner_id)
    if file is None:
        raise not_found()
    resources.progress.tell(owner_id, FileProgress.of(file))
    if not _delete_object(resources, file):
        return False
    with statements_of(resources.engine, owner_id) as connection:
        reservations.finish_deletion(connection, file_id)
    return True


def _delete_object(resources: Resources, file: Row[Any]) -> bool:
    try:
        left = resources.objects.delete_many([file.object_key])
    except StorageUnavailable:
        left = [file.object_key]
    if left:
        log.warning("object not deleted; the janitor will", file_id=str(file.id))
    return not left
