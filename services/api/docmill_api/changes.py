"""Changes to a file that is there: its name, and who finds it."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from docmill_api import file_names
from docmill_api.problems import invalid
from docmill_api.reserving import publishing_not_allowed
from docmill_api.resources import Resources
from docmill_api.uploads import not_found
from docmill_shared import audit
from docmill_shared.audit import Origin
from docmill_shared.files import changes
from docmill_shared.row_security import statements_of, transaction_of
from docmill_shared.states import Visibility


def change(
    resources: Resources,
    owner_id: UUID,
    file_id: UUID,
    *,
    name: str | None,
    visibility: Visibility | None,
    may_publish: bool,
    origin: Origin,
) -> Row[Any]:
    """Change what is not None, all or nothing; a :class:`Problem` when it is refused."""
    if name is None and visibility is None:
        raise invalid("", "name or visibility must be given")
    if visibility is Visibility.PUBLIC and not may_publish:
        raise publishing_not_allowed()
    cleaned = None if name is None else _clean(name)
    if visibility is not None:
        with transaction_of(resources.engine, owner_id) as connection:
            file = changes.show_to(connection, file_id, owner_id, visibility, cleaned)
            if file is not None and visibility is Visibility.PUBLIC:
                audit.published(connection, owner_id, [file_id], origin)
    else:
        assert cleaned is not None
        with statements_of(resources.engine, owner_id) as connection:
            file = changes.rename(connection, file_id, owner_id, cleaned)
    if file is None:
        raise not_found()
    return file


def _clean(name: str) -> str:
    try:
        return file_names.clean(name)
    except ValueError as error:
        raise invalid("name", str(error)) from None
