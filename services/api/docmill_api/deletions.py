"""Deleting a file: gone for everyone at once, then its object, then its row."""

from uuid import UUID

from docmill_api.resources import Resources
from docmill_api.uploads import not_found
from docmill_shared.database import autocommit
from docmill_shared.errors import StorageUnavailable
from docmill_shared.files import reservations
from docmill_shared.observability import get_logger

log = get_logger(__name__)


def delete(resources: Resources, owner_id: UUID, file_id: UUID) -> bool:
    """Delete the file; whether all of it is gone already.

    Its passages are. While the store is away the row stays DELETING, which keeps the object's key
    for the janitor.
    """
    with resources.engine.begin() as connection:
        file = reservations.start_deletion(connection, file_id, owner_id)
    if file is None:
        raise not_found()
    try:
        left = resources.objects.delete_many([file.object_key])
    except StorageUnavailable:
        left = [file.object_key]
    if left:
        log.warning("object not deleted; the janitor will", file_id=str(file_id))
        return False
    with autocommit(resources.engine) as connection:
        reservations.finish_deletion(connection, file_id)
    return True
