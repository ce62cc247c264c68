"""The process in which files are parsed: ``python -m docmill_ingest.extraction_child``.

Started by :mod:`extraction`, one per worker thread, and killed by it without ceremony. Reads
requests from its standard input, writes frames (:mod:`extraction_frames`) to its standard output;
what parsers print goes to standard error. Holds no secret, no connection and no state that a file
could spoil for the next one: after trouble with memory it leaves, and is started anew.
"""

import gc
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from docmill_ingest import confinement, extraction_frames, extractors
from docmill_ingest.blocks import PageImage
from docmill_ingest.confinement import MemoryCap
from docmill_ingest.extraction_failures import EXIT_OUT_OF_MEMORY, too_much_memory
from docmill_ingest.extraction_frames import Message
from docmill_ingest.limits import ExtractionLimits
from docmill_shared import media_types
from docmill_shared.errors import PermanentError
from docmill_shared.media_types import MediaType
from docmill_shared.states import FailureReason

if TYPE_CHECKING:
    from PIL.Image import Image

_FLUSH_BYTES = 32 * 1024
#: What native libraries say when an allocation fails.
_MEMORY_WORDS = ("bad_alloc", "out of memory", "cannot allocate", "insufficient memory")


class Channel:
    """Frames out, frames in; blocks are collected, for a system call each would be slow."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._collected = 0

    def send(self, message: Message) -> None:
        self._collected += self._outgoing.write(extraction_frames.encode(message))
        if message["kind"] != "block" or self._collected >= _FLUSH_BYTES:
            self._outgoing.flush()
            self._collected = 0

    def receive(self) -> Message | None:
        return extraction_frames.read(self._incoming)


def main() -> None:
    """Serve until the standard input ends."""
    parent_pid, ocr_threads = int(sys.argv[1]), int(sys.argv[2])
    held = confinement.enter(parent_pid)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with _channel() as channel:
        channel.send({"kind": "ready", "confinement": held})
        while (request := channel.receive()) is not None:
            media_type = _media_type(request)
            if media_type is not None:
                extractors.prepare(media_type)
            if request["ocr"] and (media_type is None or media_type in media_types.IMAGES):
                _load_ocr(ocr_threads)
            # Libraries stay for good: left to the collector, they cost 0.1 s a file.
            gc.freeze()
            if request["kind"] == "prepare":
                channel.send({"kind": "ready", "confinement": held})
            elif media_type is None or not _serve(request, media_type, channel, ocr_threads):
                break


@contextmanager
def _channel() -> Iterator[Channel]:
    """The pipes to the parent, out of reach of any parser that reads or prints."""
    incoming, outgoing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    with os.fdopen(incoming, "rb") as source, os.fdopen(outgoing, "wb") as sink:
        yield Channel(source, sink)


def _serve(request: Message, media_type: MediaType, channel: Channel, ocr_threads: int) -> bool:
    """Extract one file, and say how it ended; False when this process is of no use any more."""
    limits = ExtractionLimits(**cast(dict[str, float], request["limits"]))  # type: ignore[arg-type] # written by asdict()
    cap = MemoryCap(limits.memory_bytes)

    def read_image(image: "Image") -> list[str]:
        channel.send({"kind": "reading"})
        with cap.lifted():
            ocr = _load_ocr(ocr_threads)
        return ocr(image)

    context = extractors.Context(
        limits=limits,
        work_directory=Path(str(request["work_directory"])),
        read_image=read_image if request["ocr"] else None,
    )
    channel.send({"kind": "started", "address_space": confinement.address_space()})
    confinement.limit_cpu(_cpu_seconds(limits, ocr_threads, bool(request["ocr"])))
    failure: PermanentError | None = None
    try:
        with cap.held():
            _send_pieces(Path(str(request["path"])), media_type, context, channel)
    except PermanentError as error:
        failure = error
    except BrokenPipeError:
        return False  # the parent is gone
    except Exception as error:  # noqa: BLE001 - a parser may raise anything
        failure = _explain(error, media_type, limits)
    exhausted = failure is not None and failure.reason is FailureReason.EXTRACTION_MEMORY
    gc.collect()  # a parser's cycles, before they are frozen with the libraries
    leaving = exhausted or confinement.resident() > limits.memory_bytes // 2
    if failure is None:
        channel.send({"kind": "done", "leaving": leaving})
    else:
        channel.send(
            {
                "kind": "failed",
                "reason": failure.reason.value,
                "detail": failure.detail,
                "leaving": leaving,
            }
        )
    return not leaving


def _send_pieces(
    path: Path, media_type: MediaType, context: extractors.Context, channel: Channel
) -> None:
    for piece in extractors.extract(path, media_type, context):
        channel.send(extraction_frames.piece_to_message(piece))
        if isinstance(piece, PageImage):
            channel.receive()  # "taken": so that no more than one picture lies on the disk


def _explain(error: Exception, media_type: MediaType, limits: ExtractionLimits) -> PermanentError:
    """The failure that a parser's exception amounts to. The traceback goes to the log."""
    message = f"{type(error).__name__}: {error}".lower()
    if isinstance(error, MemoryError) or any(word in message for word in _MEMORY_WORDS):
        return too_much_memory(limits)
    traceback.print_exception(error, limit=-20)
    if isinstance(error, RecursionError):
        return PermanentError(
            FailureReason.CORRUPT,
            f"The parts of this {media_type.label} are nested too deeply to be read.",
        )
    return PermanentError(
        FailureReason.CORRUPT,
        f"This {media_type.label} cannot be read ({type(error).__name__}); it is probably "
        "damaged. Open it in its program, save it again and upload the new copy.",
    )


def _cpu_seconds(limits: ExtractionLimits, ocr_threads: int, ocr: bool) -> float:
    """More than the parent's deadline can ever allow, in CPU time of every thread."""
    scanned = limits.scanned_pages * limits.scanned_page_seconds * ocr_threads if ocr else 0
    return limits.seconds + scanned + 5


def _load_ocr(threads: int) -> extractors.ImageReader:
    from docmill_ingest.extractors import ocr

    ocr.load(threads)
    return lambda image: ocr.read(image, threads)


def _media_type(request: Message) -> MediaType | None:
    return media_types.find(str(request["media_type"])) if request["media_type"] else None


if __name__ == "__main__":
    try:
        main()
    except MemoryError:
        os._exit(EXIT_OUT_OF_MEMORY)
