"""The language of the pipe between :mod:`extraction` and :mod:`extraction_child`.

Each frame is four bytes of length and a JSON object with a ``kind``. JSON, and never pickle: the
child has parsed a hostile file and may say anything, so whatever comes from it is checked here
field by field before it becomes a :class:`Piece`.
"""

import json
import re
import struct
from collections.abc import Mapping
from typing import BinaryIO

from docmill_ingest.blocks import Block, PageCount, PageImage, Piece
from docmill_shared.errors import PermanentError
from docmill_shared.states import FailureReason

Message = Mapping[str, object]

#: Larger than any honest frame: blocks are cut at :data:`extractors.MAX_BLOCK_CHARACTERS`, and
#: JSON spends at most six bytes on a character of one.
MAX_FRAME_BYTES = 1024**2
#: What is longer is no heading, whatever its style says. Every passage below a heading carries
#: it, so one of 100,000 characters would multiply a file by a hundred.
MAX_HEADING_CHARACTERS = 500
_LENGTH = struct.Struct(">I")
_MAX_PAGE = 10_000_000
_IMAGE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\.(?:jpg|png)")
_IMAGE_TYPES = frozenset({"image/jpeg", "image/png"})


class MalformedFrame(Exception):
    """The other side does not speak this language (any more)."""


def encode(message: Message) -> bytes:
    """The frame for ``message``; lone surrogates are replaced, for UTF-8 has no place for them."""
    payload = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )
    if len(payload) > MAX_FRAME_BYTES:
        raise MalformedFrame(f"a frame of {len(payload)} bytes")
    return _LENGTH.pack(len(payload)) + payload


def read(stream: BinaryIO) -> Message | None:
    """The next frame of a blocking stream, or None at its end."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    return _decode(stream.read(_LENGTH.unpack(head)[0]))


class FrameBuffer:
    """Bytes in, frames out, for the side that must never block."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._start = 0

    def feed(self, data: bytes) -> None:
        del self._bytes[: self._start]
        self._start = 0
        self._bytes += data

    def next_frame(self) -> Message | None:
        """The next frame, or None until more bytes come. Raises MalformedFrame."""
        begin = self._start + _LENGTH.size
        if len(self._bytes) < begin:
            return None
        (length,) = _LENGTH.unpack_from(self._bytes, self._start)
        if length > MAX_FRAME_BYTES:
            raise MalformedFrame(f"a frame of {length} bytes")
        if len(self._bytes) < begin + length:
            return None
        self._start = begin + length
        return _decode(bytes(self._bytes[begin : self._start]))


def _decode(payload: bytes) -> Message:
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise MalformedFrame("not JSON") from error
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise MalformedFrame("no kind")
    return message


def piece_to_message(piece: Piece) -> Message:
    match piece:
        case Block(text, page, level):
            return {"kind": "block", "text": text, "page": page, "level": level}
        case PageCount(total):
            return {"kind": "pages", "total": total}
        case PageImage(path, media_type, page):
            name = path.rpartition("/")[2]
            return {"kind": "image", "name": name, "media_type": media_type, "page": page}


def piece_from_message(message: Message) -> Piece | None:
    """The piece that the message carries, or None when it is of another kind.

    The path of a PageImage is a bare file name: the receiver alone says which folder it is in.
    """
    match message:
        case {"kind": "block", "text": str(text), "page": page, "level": int(level)} if (
            0 <= level <= 9
            and "\0" not in text
            and (level == 0 or len(text) <= MAX_HEADING_CHARACTERS)
        ):
            return Block(text, _page(page), level)
        case {"kind": "pages", "total": int(total)} if 0 <= total <= _MAX_PAGE:
            return PageCount(total)
        case {"kind": "image", "name": str(name), "media_type": str(media_type), "page": page} if (
            media_type in _IMAGE_TYPES and _IMAGE_NAME.fullmatch(name)
        ):
            return PageImage(name, media_type, _page(page))
        case {"kind": "block" | "pages" | "image"}:
            raise MalformedFrame(f"a bad {message['kind']}")
        case _:
            return None


def failure_from_message(message: Message) -> PermanentError:
    """The failure that a ``failed`` frame reports."""
    try:
        reason = FailureReason(str(message.get("reason")))
    except ValueError as error:
        raise MalformedFrame("an unknown reason") from error
    return PermanentError(reason, str(message.get("detail"))[:1_000].replace("\0", ""))


def _page(page: object) -> int | None:
    if page is None or (isinstance(page, int) and 1 <= page <= _MAX_PAGE):
        return page
    raise MalformedFrame("a bad page")
