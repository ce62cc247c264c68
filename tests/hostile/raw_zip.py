"""Zip archives that no honest program writes: every field of every header can lie."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
_MEGABYTE = 1024**2


@dataclass(frozen=True)
class Member:
    """One member as its headers tell it; ``data`` is what really lies in the archive."""

    name: str
    data: bytes
    size: int  #: after unpacking, as declared
    method: int = DEFLATED
    crc: int = 0
    encrypted: bool = False
    same_data_as_before: bool = False  #: its header points at the member before


def pack(members: Sequence[Member]) -> bytes:
    """The archive: local headers with their data, the directory, the end record."""
    body = bytearray()
    directory = bytearray()
    offset = 0
    for member in members:
        name = member.name.encode()
        fields = (
            20,
            int(member.encrypted),
            member.method,
            0,
            0,
            member.crc,
            len(member.data),
            min(member.size, 0xFFFFFFFE),
            len(name),
            0,
        )
        if not member.same_data_as_before:
            offset = len(body)
            body += b"PK\x03\x04" + struct.pack("<5H3L2H", *fields) + name + member.data
        directory += b"PK\x01\x02" + struct.pack("<H", 20) + struct.pack("<5H3L2H", *fields)
        directory += struct.pack("<3H2L", 0, 0, 0, 0, offset) + name
    end = struct.pack("<4H2LH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    return bytes(body + directory + b"PK\x05\x06" + end)


def deflated(start: bytes, filler: bytes, megabytes: int, end: bytes = b"") -> tuple[bytes, int]:
    """``start``, megabytes of ``filler``, ``end``: deflated, and the size before.

    A megabyte is deflated once and its bits are repeated, so a bomb of gigabytes costs
    milliseconds.
    """
    block = (filler * (_MEGABYTE // len(filler) + 1))[:_MEGABYTE]
    head, middle, tail = (zlib.compressobj(9, zlib.DEFLATED, -15) for _ in range(3))
    packed = head.compress(start) + head.flush(zlib.Z_FULL_FLUSH)
    packed += (middle.compress(block) + middle.flush(zlib.Z_FULL_FLUSH)) * megabytes
    packed += tail.compress(end) + tail.flush()
    return packed, len(start) + megabytes * _MEGABYTE + len(end)
