"""The cage around parsers: a hostile file costs one failed file, never a worker.

Called by the pipeline's extract stage. Parsing happens in a child process
(:mod:`extraction_child`) that has a ceiling on memory, no network, no secrets, and dies with its
parent; this side holds the clock, believes nothing that the child says unchecked, and turns the
ways in which a child can end into reasons that a file's owner understands.
"""

import logging
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from docmill_ingest import extraction_failures as failures
from docmill_ingest import extraction_frames, metrics
from docmill_ingest.blocks import Block, PageImage, Piece
from docmill_ingest.child_process import ChildGone, ChildProcess
from docmill_ingest.extraction_frames import MalformedFrame, Message
from docmill_ingest.limits import ExtractionLimits
from docmill_shared.errors import TransientError
from docmill_shared.media_types import MediaType

_log = logging.getLogger(__name__)

#: How often ``should_stop`` is asked and the child's memory looked at.
_POLL_SECONDS = 0.1
#: For the interpreter and the libraries of a format; on a busy machine they take their time.
_START_SECONDS = 120.0
#: What a piece without text counts for, so that these cannot go on for ever either.
_PIECE_CHARACTERS = 100


class _State(Enum):
    IDLE = auto()
    BUSY = auto()


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
        self._state = _State.IDLE

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
        self._idle_child()
        for media_type in media_types:
            self._prepare(media_type.name)
        if ocr and self._ocr:
            self._prepare(None)

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
        child = self._idle_child()
        child.begin_file()
        self._state = _State.BUSY
        metrics.EXTRACTING.inc()
        folder = Path(tempfile.mkdtemp(prefix="file-", dir=self._work_directory))
        try:
            base = self._start(child, self._request("extract", media_type.name, path, folder))
            try:
                for piece in self._pieces(child, should_stop):
                    yield self._take(piece, folder)
                    if isinstance(piece, PageImage):
                        child.send({"kind": "taken"})
            except ChildGone as gone:
                raise failures.of_a_child(gone, child, base, self._limits) from gone
            except MalformedFrame as error:
                raise failures.of_a_lie() from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            # Whoever stops in the middle leaves a child that would go on talking about this file.
            if self._child is child and self._state is not _State.IDLE:
                metrics.CHILDREN_ENDED.labels(failures.in_a_word(sys.exception())).inc()
                self.close()

    def _pieces(
        self, child: ChildProcess, should_stop: Callable[[], None] | None
    ) -> Iterator[Piece]:
        """What the child says, up to its last word, "done" or "failed"."""
        budget = self._limits.characters
        for message in self._messages(child, should_stop):
            piece = extraction_frames.piece_from_message(message)
            if piece is not None:
                budget -= len(piece.text) if isinstance(piece, Block) else _PIECE_CHARACTERS
                if budget < 0:
                    raise failures.too_much_text(self._limits)
                yield piece
                continue
            failed = message["kind"] == "failed"
            failure = extraction_frames.failure_from_message(message) if failed else None
            if self._child is child and message.get("leaving") is False:
                self._state = _State.IDLE
            if failure is not None:
                raise failure
            return

    def _messages(
        self, child: ChildProcess, should_stop: Callable[[], None] | None
    ) -> Iterator[Message]:
        """What the child says about the file, without end. Holds the deadline."""
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
                    raise failures.too_slow(self._limits)
                continue
            match message["kind"]:
                case "reading" if scanned < self._limits.scanned_pages:
                    scanned += 1
                    left += self._limits.scanned_page_seconds
                case "block" | "pages" | "image" | "done" | "failed":
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

    def _idle_child(self) -> ChildProcess:
        """A child that waits for a request. Raises TransientError when none comes up."""
        if self._child is not None and (
            self._state is _State.BUSY or not self._child.alive  # abandoned, or dead
        ):
            self.close()
        if self._child is None:
            self._child = ChildProcess(self._work_directory, self._ocr_threads)
            self._state = _State.BUSY
            ready = self._await(self._child, "ready")
            self._state = _State.IDLE
            _log.debug("extraction child %d: %s", self._child.pid, ready.get("confinement"))
        return self._child

    def _start(self, child: ChildProcess, request: Message) -> int:
        """Hand over a file; the child's address space as it begins to parse."""
        self._send(child, request)
        base = self._await(child, "started").get("address_space")
        return base if isinstance(base, int) else 0

    def _prepare(self, media_type: str | None) -> None:
        child = self._idle_child()
        self._send(child, self._request("prepare", media_type))
        self._await(child, "ready")

    def _send(self, child: ChildProcess, request: Message) -> None:
        try:
            child.send(request)
        except (ChildGone, MalformedFrame) as error:
            self.close()
            raise TransientError(f"the extraction child went away: {error}") from error

    def _request(
        self,
        kind: str,
        media_type: str | None,
        path: Path | None = None,
        folder: Path | None = None,
    ) -> Message:
        return {
            "kind": kind,
            "media_type": media_type,
            "ocr": self._ocr,
            "path": str(path.absolute()) if path else "",
            "work_directory": str(folder.absolute()) if folder else "",
            "limits": asdict(self._limits),
        }

    def _await(self, child: ChildProcess, kind: str) -> Message:
        """The next message, which must be of ``kind``: no file is parsed before it comes."""
        try:
            message = child.receive(_START_SECONDS)
            if message is None or message["kind"] != kind:
                raise MalformedFrame(f"no {kind}")
        except (ChildGone, MalformedFrame) as error:
            self.close()
            raise TransientError(f"the extraction child did not get {kind}: {error}") from error
        return message
