"""The cage around parsers: a hostile file costs one failed file, never a worker.

Called by the pipeline's extract stage. Parsing happens in a child process
(:mod:`extraction_child`) that has a ceiling on memory, no network, no secrets, and dies with its
parent; this side holds the clock, believes nothing that the child says unchecked, and turns the
ways in which a child can end into reasons that a file's owner understands.
"""

import logging
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from docmill_ingest import extraction_frames
from docmill_ingest.blocks import PageImage, Piece
from docmill_ingest.child_process import ChildGone, ChildProcess
from docmill_ingest.extraction_child import EXIT_OUT_OF_MEMORY
from docmill_ingest.extraction_frames import MalformedFrame, Message
from docmill_ingest.limits import ExtractionLimits
from docmill_shared.errors import PermanentError, TransientError
from docmill_shared.media_types import MediaType
from docmill_shared.states import FailureReason

_log = logging.getLogger(__name__)

#: How often ``should_stop`` is asked and the child's memory looked at.
_POLL_SECONDS = 0.1
#: For the interpreter and the libraries of a format; on a busy machine they take their time.
_START_SECONDS = 120.0
_CRASHES = frozenset(
    {
        -signal.SIGSEGV,
        -signal.SIGABRT,
        -signal.SIGBUS,
        -signal.SIGILL,
        -signal.SIGFPE,
        -signal.SIGTRAP,
        -signal.SIGSYS,
    }
)
_MEMORY_WORDS = ("bad_alloc", "MemoryError", "out of memory")


class Extractor:
    """Extracts one file at a time in a warm child, which it starts when it is first needed.

    One per worker thread, used by that thread alone: the kernel ends a child together with the
    *thread* that started it. ``ocr`` says whether images are read here or handed on for a vision
    model. Images that it yields lie in ``work_directory`` and belong to the caller.
    """

    def __init__(
        self,
        *,
        limits: ExtractionLimits,
        ocr: bool,
        work_directory: Path,
        ocr_threads: int = 1,
    ) -> None:
        self._limits = limits
        self._ocr = ocr
        self._work_directory = work_directory
        self._ocr_threads = ocr_threads
        self._child: ChildProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child. The extractor may be used again; it then starts another."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    @property
    def child_pid(self) -> int | None:
        """The process id of the child that waits or works, for probes and tests."""
        return self._child.pid if self._child is not None and self._child.alive else None

    def warm_up(self, *media_types: MediaType, ocr: bool = False) -> None:
        """Start the child and import what these formats (and OCR) need, ahead of the first file.

        Raises TransientError when the child does not come up.
        """
        child = self._ready_child()
        for media_type in media_types:
            self._prepare(child, media_type.name, ocr=False)
        if ocr:
            self._prepare(child, None, ocr=True)

    def extract(
        self,
        path: Path,
        media_type: MediaType,
        *,
        should_stop: Callable[[], None] | None = None,
    ) -> Iterator[Piece]:
        """The pieces of the file in reading order, while the child is still reading on.

        ``should_stop`` is called several times a second and stops the extraction by raising.
        Closing the generator early kills the child. Only the time spent waiting for the child
        counts against the deadline, so a slow consumer costs the file nothing.

        Raises PermanentError with the file's reason, among them EXTRACTION_TIMEOUT,
        EXTRACTION_MEMORY and CORRUPT (a parser crashed); TransientError when the child ended for
        a reason outside the file.
        """
        child = self._ready_child()
        child.begin_file()
        folder = Path(tempfile.mkdtemp(prefix="file-", dir=self._work_directory))
        keep = False
        try:
            child.send(self._request("extract", media_type.name, self._ocr, path, folder))
            base = self._await(child, "started").get("address_space")
            try:
                for message in self._messages(child, should_stop):
                    piece = extraction_frames.piece_from_message(message)
                    if piece is not None:
                        yield self._take(piece, folder)
                        if isinstance(piece, PageImage):
                            child.send({"kind": "taken"})
                        continue
                    keep = message.get("leaving") is False
                    if message["kind"] == "failed":
                        raise extraction_frames.failure_from_message(message)
                    return
            except ChildGone as gone:
                raise self._cause(gone, child, base if isinstance(base, int) else 0) from gone
            except MalformedFrame as error:
                keep = False
                raise PermanentError(
                    FailureReason.CORRUPT,
                    "Reading this file confused its parser; it is damaged or was made to harm.",
                ) from error
        except ChildGone as gone:
            raise TransientError(f"the extraction child did not start: {gone}") from gone
        finally:
            if not keep:
                self.close()
            shutil.rmtree(folder, ignore_errors=True)

    def _messages(
        self, child: ChildProcess, should_stop: Callable[[], None] | None
    ) -> Iterator[Message]:
        """What the child says up to its last word, "done" or "failed". Holds the deadline."""
        left = self._limits.seconds
        scanned = 0
        next_question = 0.0
        while True:
            asked_at = time.monotonic()
            if should_stop is not None and asked_at >= next_question:
                should_stop()
                next_question = asked_at + _POLL_SECONDS
            message = child.receive(min(_POLL_SECONDS, max(left, 0.0)))
            left -= time.monotonic() - asked_at
            if message is None:
                if left <= 0:
                    raise self._too_slow()
                continue
            match message["kind"]:
                case "reading" if scanned < self._limits.scanned_pages:
                    scanned += 1
                    left += self._limits.scanned_page_seconds
                case "reading":
                    raise MalformedFrame("more scanned pages than there may be")
                case "done" | "failed":
                    yield message
                    return
                case "block" | "pages" | "image":
                    yield message
                case kind:
                    raise MalformedFrame(f"an unexpected {kind}")

    def _take(self, piece: Piece, folder: Path) -> Piece:
        """The piece; an image is moved from the child's folder to where the caller owns it."""
        if not isinstance(piece, PageImage):
            return piece
        source = folder / piece.path
        try:
            if not stat.S_ISREG(os.lstat(source).st_mode):  # a link could lead anywhere
                raise MalformedFrame("an image that is no file")
            target = self._work_directory / f"{uuid4().hex}{source.suffix}"
            source.rename(target)
        except OSError as error:
            raise MalformedFrame("an image that is not there") from error
        return replace(piece, path=str(target))

    def _ready_child(self) -> ChildProcess:
        if self._child is not None and not self._child.alive:
            self.close()
        if self._child is None:
            self._child = ChildProcess(self._work_directory, self._ocr_threads)
            ready = self._await_or_close(self._child, "ready")
            _log.debug("extraction child %d: %s", self._child.pid, ready.get("confinement"))
        return self._child

    def _prepare(self, child: ChildProcess, media_type: str | None, *, ocr: bool) -> None:
        try:
            child.send(self._request("prepare", media_type, ocr))
        except ChildGone as gone:
            self.close()
            raise TransientError("the extraction child went away") from gone
        self._await_or_close(child, "ready")

    def _request(
        self,
        kind: str,
        media_type: str | None,
        ocr: bool,
        path: Path | None = None,
        folder: Path | None = None,
    ) -> Message:
        return {
            "kind": kind,
            "media_type": media_type,
            "ocr": ocr,
            "path": str(path.absolute()) if path else "",
            "work_directory": str(folder.absolute()) if folder else "",
            "limits": asdict(self._limits),
        }

    def _await_or_close(self, child: ChildProcess, kind: str) -> Message:
        try:
            return self._await(child, kind)
        except ChildGone as gone:
            self.close()
            raise TransientError(f"the extraction child did not start: {gone}") from gone
        except BaseException:
            self.close()
            raise

    def _await(self, child: ChildProcess, kind: str) -> Message:
        """The next message, which must be of ``kind``: nothing of the file is read before it."""
        message = child.receive(_START_SECONDS)
        if message is None or message["kind"] != kind:
            raise TransientError(f"the extraction child did not get {kind}")
        return message

    def _cause(self, gone: ChildGone, child: ChildProcess, base: int) -> Exception:
        """Why a child ended in the middle of a file."""
        cap = self._limits.memory_bytes
        near_cap = child.peak_address_space - base > cap * 0.6 or child.peak_resident > cap * 0.6
        if gone.returncode == -signal.SIGXCPU:
            return self._too_slow()
        if gone.returncode == EXIT_OUT_OF_MEMORY or (
            gone.returncode in _CRASHES | {-signal.SIGKILL}
            and (near_cap or any(word in gone.last_words for word in _MEMORY_WORDS))
        ):
            return PermanentError(
                FailureReason.EXTRACTION_MEMORY,
                f"Reading this file takes more than {cap / 1024**2:,.0f} MB of memory; split it.",
            )
        if gone.returncode in {-signal.SIGKILL, -signal.SIGTERM}:
            # Nothing of ours: the machine is short of memory through others, or is going down.
            return TransientError("the extraction child was killed from outside")
        return PermanentError(
            FailureReason.CORRUPT,
            "The parser crashed on this file; it is probably damaged. Open it in its program, "
            "save it again and upload the new copy.",
        )

    def _too_slow(self) -> PermanentError:
        return PermanentError(
            FailureReason.EXTRACTION_TIMEOUT,
            f"Reading this file took longer than {self._limits.seconds:,.0f} seconds; "
            "it is very large or damaged. Split it, or save it again.",
        )
