"""Server-sent events, as the HTML standard describes their format."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Message:
    """One event of a stream."""

    id: str | None  #: where a reader that comes back goes on
    event: str
    data: str
    retry: float | None = None  #: seconds to wait before one comes back, if the server says


def messages(blocks: Iterable[bytes]) -> Iterator[Message]:
    """The events in blocks of bytes, however they are cut; an unfinished last one is left out.

    An event without data is none, but what it says of ids and of coming back counts.
    """
    last_id: str | None = None
    retry: float | None = None
    event, data = "", list[str]()
    for line in _lines(blocks):
        if not line:
            if data:
                yield Message(last_id, event or "message", "\n".join(data), retry)
            event, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id" and "\0" not in value:
            last_id = value or None
        elif name == "retry" and value.isascii() and value.isdecimal():
            retry = int(value) / 1000


def _lines(blocks: Iterable[bytes]) -> Iterator[str]:
    # Not str.splitlines, for which characters end a line that may stand in JSON.
    rest = b""
    for block in blocks:
        rest += block
        # A carriage return at the very end may be half of a line end.
        whole = rest[:-1] if rest.endswith(b"\r") else rest
        *lines, tail = _LINE_END.split(whole)
        rest = tail + rest[len(whole) :]
        for line in lines:
            yield line.decode(errors="replace")
    if rest.endswith(b"\r"):
        yield rest[:-1].decode(errors="replace")
