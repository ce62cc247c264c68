"""Python imports this at its start, in any process that has this folder first on its path.

It appends every statement that docmill's code sends to Postgres, once per process and with the
parameters of that time, to a file in the folder that ``RECORD_STATEMENTS`` names.
"""

import json
import os
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.dbapi20 import Binary
from psycopg.types.json import Json, Jsonb
from sqlalchemy import Engine, event

_PACKAGES = ("/docmill_shared/", "/docmill_api/", "/docmill_ingest/", "/docmill_janitor/")
_LONGEST = 300  #: characters of a parameter; what a passage says does not matter
_seen: set[str] = set()


def plain(value: Any) -> Any:
    """What JSON can carry; :func:`tests.migration.statements.parameter` is the way back."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        vector = value.startswith("[") and value.count(",") > 100
        return {"vector": value.count(",") + 1} if vector else str(value)[:_LONGEST]
    if isinstance(value, UUID):
        return {"uuid": str(value)}
    if isinstance(value, date):
        return {"time": value.isoformat()}
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, bytes):
        return {"bytes": value.hex()[: 2 * _LONGEST]}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value[:3]]
    if isinstance(value, Binary):
        return plain(value.obj)
    if isinstance(value, Json | Jsonb):
        return {"json": value.obj}
    raise TypeError(f"a parameter of the type {type(value).__name__} cannot be recorded")


def _is_docmills() -> bool:
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if "/migrations/" in name or name.endswith("/docmill_shared/migrate.py"):
            return False
        if any(package in name for package in _PACKAGES):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _keep(statement: str, parameters: Any) -> None:
    if statement in _seen or not _is_docmills():
        return
    _seen.add(statement)
    if isinstance(parameters, list):
        parameters = parameters[0] if parameters else {}
    named = {name: plain(value) for name, value in dict(parameters or {}).items()}
    line = json.dumps({"statement": statement, "parameters": named})
    with (Path(os.environ["RECORD_STATEMENTS"]) / f"{os.getpid()}.jsonl").open("a") as file:
        file.write(line + "\n")


def _before(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: bool) -> None:
    _keep(statement, parameters)


if "RECORD_STATEMENTS" in os.environ:
    event.listen(Engine, "before_cursor_execute", _before)
    _copy = psycopg.Cursor.copy

    def _copied(self: Any, statement: Any, *arguments: Any, **more: Any) -> Any:
        _keep(str(statement), None)
        return _copy(self, statement, *arguments, **more)

    psycopg.Cursor.copy = _copied  # type: ignore[method-assign]
