"""Pictures that claim to be, or become, larger than any memory."""

import io
import random
import struct
import zlib

from PIL import Image

from tests import documents


def png_header() -> bytes:
    """60,000 x 60,000 pixels, by the header."""
    return documents.png_of_claimed_size(60_000, 60_000)


def png_of_text() -> bytes:
    """A comment in a PNG that unpacks to a hundred megabytes."""
    content = documents.image_bytes(documents.picture("Harvest"))
    # What cannot be packed comes first, so that the file's beginning looks like any picture's.
    start = random.Random(1).randbytes(100_000)
    text = b"Comment\0\0" + zlib.compress(start + b" " * 100_000_000, 1)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + text))
    return content[:33] + chunk + content[33:]


def png_of_zeros(side: int) -> bytes:
    """A picture of one colour: a hundred kilobytes that become a hundred million pixels."""
    row = zlib.compressobj(1)
    data = b"".join(row.compress(b"\0" * (side * 4 + 1)) for _ in range(side)) + row.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def jpeg_header() -> bytes:
    """A JPEG whose frame header claims 65,500 x 65,500 pixels."""
    content = bytearray(documents.image_bytes(documents.picture("Harvest"), "JPEG"))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 65_500, 65_500)
    return bytes(content)


def webp_header() -> bytes:
    """A WEBP whose canvas claims 16,383 x 16,383 pixels."""
    stream = io.BytesIO()
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:])
    content = bytearray(stream.getvalue())
    canvas = content.index(b"VP8X") + 12
    content[canvas : canvas + 6] = (16_382).to_bytes(3, "little") * 2
    return bytes(content)


def gif_header() -> bytes:
    """A GIF whose screen claims 65,535 x 65,535 pixels."""
    content = bytearray(documents.image_bytes(Image.new("P", (8, 8)), "GIF"))
    content[6:10] = struct.pack("<HH", 65_535, 65_535)
    return bytes(content)


def gif_of_frames(count: int) -> bytes:
    """An animation of tiny frames on a larger screen."""
    stream = io.BytesIO()
    Image.new("P", (8, 8)).save(stream, "GIF")
    content = stream.getvalue()
    frame = content[content.index(b"\x2c") : -1]
    head = bytearray(content[: content.index(b"\x2c")])
    head[6:10] = struct.pack("<HH", 64, 48)
    control = b"\x21\xf9\x04\x04\x01\0\0\0"
    return bytes(head) + (control + frame) * count + b"\x3b"
