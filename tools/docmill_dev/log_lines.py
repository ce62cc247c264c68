"""The logs of the services in a terminal: short, in colour, behind the name of their process.

The files keep every line in full; here the date, the logger and what repeats itself are left out.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

_COLOURS = ("cyan", "green", "magenta", "yellow", "blue")
_LEVELS = {"debug": "dim", "info": "", "warning": "yellow", "error": "bold red"}
#: What structlog's console renderer writes for LOG_FORMAT=console.
_STRUCTLOG = re.compile(
    r"(?P<time>\d{4}-\S+Z) \[(?P<level>\w+)\s*\] (?P<event>.*?)\s+"
    r"\[(?P<logger>[\w.]+(\([\w.]+\))?)\](?P<fields>( [\w.]+=.*)?)$"
)
_FIELD = re.compile(r" (?P<name>[\w.]+)=(?P<value>'[^']*'|\[[^\]]*\]|\S*)")
#: Its beginning tells one from another; the log files have all of it.
_UUID = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_OF_A_REQUEST = {"method", "path", "status", "ms"}
_BORING_FIELDS = frozenset({"service", "request_id", "user_id"})


class LogFollower:
    """Shows what processes write from now on."""

    def __init__(self, directory: Path, names: Sequence[str], console: Console) -> None:
        self._console = console
        self._sources = [
            _Source(directory / f"{name}.log", name, _COLOURS[index % len(_COLOURS)])
            for index, name in enumerate(names)
        ]

    def show_new(self) -> None:
        """Print the lines that were written since the last call."""
        for source in self._sources:
            for line in source.new_lines():
                if is_worth_showing(line):
                    self._console.print(source.prefix() + readable(line), soft_wrap=True)


class _Source:
    def __init__(self, path: Path, name: str, colour: str) -> None:
        self._path = path
        self._label = (f"{name:<9} ", colour)
        self._place = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def prefix(self) -> Text:
        return Text.assemble(self._label)

    def new_lines(self) -> list[str]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._place)
                block = file.read()
        except FileNotFoundError:
            return []
        self._place += len(block)
        *lines, self._rest = (self._rest + block).split(b"\n")
        return [line.decode(errors="replace").rstrip() for line in lines]


def is_worth_showing(line: str) -> bool:
    """Whether a reader would miss it: not a request that only reads, as of a client that waits."""
    reads = " method=GET " in line and " status=2" in line
    return bool(line) and not reads


def readable(line: str) -> Text:
    """One line of a log for a terminal; one of an unknown form stays as it is."""
    line = _UUID.sub(r"\1…", line)
    found = _STRUCTLOG.match(line)
    if found is not None:
        style = _LEVELS.get(found["level"], "bold red")
        when = datetime.fromisoformat(found["time"]).astimezone()
        fields = {each["name"]: each["value"] for each in _FIELD.finditer(found["fields"])}
        shown = Text(f"{when:%H:%M:%S} ", "dim")
        if found["event"] == "request" and fields.keys() >= _OF_A_REQUEST:
            return shown + _request(fields)
        shown.append(found["event"], style)
        for name, value in fields.items():
            if name not in _BORING_FIELDS:
                shown.append(f" {name}=", "dim").append(value)
        return shown
    return Text(line)


def _request(fields: dict[str, str]) -> Text:
    status = fields["status"]
    style = "green" if status < "4" else "yellow" if status < "5" else "bold red"
    shown = Text(f"{fields['method']} {fields['path']} ")
    return shown.append(status, style).append(f" {fields['ms']} ms", "dim")
