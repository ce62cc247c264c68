"""What the previous release asks of the database: recorded once, kept in this folder.

A clone without history has no previous release to run. It has its statements.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

FILE = Path(__file__).with_name("previous_statements.json")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
#: Cannot run inside a transaction that is rolled back.
_ALONE = re.compile(r"\bconcurrently\b|\bvacuum\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Statement:
    """As the driver got it, with the parameters of one time."""

    statement: str
    parameters: dict[str, Any]

    @property
    def values(self) -> dict[str, Any]:
        """The parameters as Python has them."""
        return {name: parameter(value) for name, value in self.parameters.items()}


@dataclass(frozen=True, slots=True)
class Recorded:
    """The statements of the release that needs the schema ``revision``."""

    revision: str
    statements: list[Statement]

    @classmethod
    def load(cls) -> "Recorded":
        """What is kept in this folder."""
        read = json.loads(FILE.read_text())
        return cls(read["revision"], [Statement(**each) for each in read["statements"]])

    def save(self) -> None:
        """Keep it."""
        FILE.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def parameter(value: Any) -> Any:
    """The way back from :func:`tests.migration.recorder.sitecustomize.plain`."""
    if isinstance(value, list):
        return [parameter(each) for each in value]
    if not isinstance(value, dict):
        return value
    ((kind, what),) = value.items()
    match kind:
        case "uuid":
            return UUID(what)
        case "time":
            return datetime.fromisoformat(what)
        case "seconds":
            return timedelta(seconds=what)
        case "bytes":
            return bytes.fromhex(what)
        case "json":
            return Jsonb(what)
        case "vector":
            return "[" + ",".join(["1"] + ["0"] * (what - 1)) + "]"
    raise ValueError(f"a parameter of the kind {kind} cannot be replayed")


def distinct(lines: Iterable[str]) -> list[Statement]:
    """One of each, in a fixed order; statements that differ by an id alone are the same."""
    found: dict[str, Statement] = {}
    for line in lines:
        each = Statement(**json.loads(line))
        shape = _UUID.sub("?", each.statement)
        if not _ALONE.search(shape):
            found.setdefault(shape, each)
    return [found[shape] for shape in sorted(found)]
