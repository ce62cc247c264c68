"""An extraction child that turned hostile: it does what the file says. Run as a module.

It speaks the language of the pipe up to the file's turn, so that the parent's defences are what
is tested, and not a parser.
"""

import os
import struct
import sys
import time
from pathlib import Path
from typing import BinaryIO

from docmill_ingest import extraction_frames


def main() -> None:
    with os.fdopen(0, "rb") as source, os.fdopen(os.dup(1), "wb", buffering=0) as sink:
        _send(sink, {"kind": "ready", "confinement": []})
        while (request := extraction_frames.read(source)) is not None:
            _send(sink, {"kind": "started", "address_space": 0})
            folder = Path(str(request["work_directory"]))
            misbehave(Path(str(request["path"])).read_text(), folder, sink)


def misbehave(how: str, folder: Path, sink: BinaryIO) -> None:
    """Do what the file says, then hang."""
    verb, _, what = how.partition(" ")
    match verb:
        case "raw":
            sink.write(bytes.fromhex(what))
        case "say":
            sink.write(_frame(what))
        case "repeat":
            while True:
                sink.write(_frame(what))
        case "link":
            (folder / "image.jpg").symlink_to(what)
            image = {"kind": "image", "name": "image.jpg", "media_type": "image/jpeg", "page": 1}
            _send(sink, image)
        case "babble":
            while True:
                sys.stderr.write("x" * 1_000 + "\n")
        case "mute":
            os.close(1)
            sink.close()
        case _:
            _end(verb, what)
    time.sleep(60)


def _end(verb: str, what: str) -> None:
    match verb:
        case "signal":
            os.kill(os.getpid(), int(what))
        case "exit":
            os._exit(int(what))
        case "shout":
            for _ in range(20_000):
                sys.stderr.write("x" * 1_000 + "\n")
            sys.stderr.write(what + "\n")
            sys.stderr.flush()
            os.abort()


def _frame(payload: str) -> bytes:
    return struct.pack(">I", len(payload)) + payload.encode()


def _send(sink: BinaryIO, message: dict[str, object]) -> None:
    sink.write(extraction_frames.encode(message))


if __name__ == "__main__":
    main()
