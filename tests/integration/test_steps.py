"""The trigger that guards every test's files does guard them."""

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.exc import DBAPIError

from docmill_shared.schema import File
from docmill_shared.states import FileStatus
from tests.owners import new_owner


def test_an_undrawn_step_is_refused(engine: Engine) -> None:
    file_id = new_owner(engine, None).reserve("a.txt", 1)  # type: ignore[arg-type]
    with pytest.raises(DBAPIError, match="illegal step"), engine.begin() as connection:
        connection.execute(
            update(File).where(File.id == file_id).values(status=FileStatus.COMPLETED)
        )
