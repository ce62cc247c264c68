"""The parent's end of an extraction child: starts it, talks to it, watches it, kills it.

Used by :mod:`extraction` alone. Not safe for use by several threads at once.
"""

import contextlib
import logging
import os
import resource
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from docmill_ingest.extraction_frames import FrameBuffer, MalformedFrame, Message, encode

_log = logging.getLogger(__name__)

CHILD_MODULE = "docmill_ingest.extraction_child"
_READ_BYTES = 64 * 1024
_LINE_CHARACTERS = 500
_LOGGED_LINES = 60  #: per file; a parser may complain about every object of a file
_GRACE_SECONDS = 2.0
#: A bomb takes a gigabyte a second, and how much it had taken tells how the child died.
_MEASURE_SECONDS = 0.02
_PAGE_BYTES = resource.getpagesize()
#: All that a child inherits of the environment: no database, no bucket, no key.
_INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH")
_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "PYTHONIOENCODING": "utf-8:backslashreplace",
    # Each arena of the allocator reserves 64 MB of address space, which the memory cap counts.
    "MALLOC_ARENA_MAX": "2",
    # OCR allocates and frees large tensors; kept rather than returned, they are 25 % faster.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024**2),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class ChildGone(Exception):
    """The child ended; ``returncode`` as subprocess tells it (negative: a signal)."""

    def __init__(self, returncode: int, last_words: str) -> None:
        super().__init__(f"the extraction child ended with {returncode}")
        self.returncode = returncode
        self.last_words = last_words


class ChildProcess:
    """One running child. ``folder`` is where it may write; a folder of its own is made in it."""

    def __init__(self, folder: Path, ocr_threads: int) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="child-", dir=folder))
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        home = str(self.home)
        self._process = subprocess.Popen(
            # -P: the folder it runs in holds strangers' files and must not be imported from.
            [
                *(sys.executable, "-P", "-m", CHILD_MODULE),
                *(str(os.getpid()), str(ocr_threads)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=home,
            env={**environment, **_ENVIRONMENT, "HOME": home, "TMPDIR": home},
            start_new_session=True,  # a Ctrl-C is for the worker, which then closes the child
        )
        self._stdin, self._stdout, self._stderr = (
            self._process.stdin,
            self._process.stdout,
            self._process.stderr,
        )
        assert self._stdin
        assert self._stdout
        assert self._stderr
        os.set_blocking(self._stdin.fileno(), False)  # a child that reads nothing blocks nobody
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._selector.register(self._stderr, selectors.EVENT_READ)
        self._buffer = FrameBuffer()
        self._last_words: deque[str] = deque(maxlen=20)
        self._logged = 0
        self.peak_address_space = 0
        self.peak_resident = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def begin_file(self) -> None:
        """Forget what was measured and logged for the file before."""
        self._logged = 0
        self._last_words.clear()
        self.peak_address_space = self.peak_resident = 0

    def send(self, message: Message) -> None:
        """Raises ChildGone, or MalformedFrame when the child has stopped to listen."""
        assert self._stdin is not None
        frame = encode(message)
        try:
            written = self._stdin.write(frame)
        except OSError:
            self._bury()
        else:
            if written != len(frame):
                raise MalformedFrame("it does not listen")

    def receive(self, timeout: float) -> Message | None:
        """The next frame, or None after ``timeout`` seconds. Raises ChildGone, MalformedFrame."""
        deadline = time.monotonic() + timeout
        while (frame := self._buffer.next_frame()) is None:
            left = max(0.0, deadline - time.monotonic())
            ready = self._selector.select(min(left, _MEASURE_SECONDS))
            self._measure()
            for key, _ in ready:
                data = os.read(key.fd, _READ_BYTES)
                if key.fileobj is self._stderr:
                    self._hear(data)
                elif data:
                    self._buffer.feed(data)
                else:
                    self._bury()
            if time.monotonic() >= deadline:  # whatever else it says, on standard error
                return self._buffer.next_frame()
        return frame

    def kill(self) -> None:
        """End the child now, whatever it does, and remove what it wrote."""
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for pipe in (self._stdin, self._stdout, self._stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def _bury(self) -> None:
        """The child closed its pipe: collect how it ended. Raises ChildGone, always."""
        try:
            returncode = self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:  # it lives on without its pipe
            self._process.kill()
            self._process.wait()
            returncode = 1
        assert self._stderr is not None
        os.set_blocking(self._stderr.fileno(), False)
        with contextlib.suppress(OSError):
            while data := os.read(self._stderr.fileno(), _READ_BYTES):
                self._hear(data)
        raise ChildGone(returncode, "\n".join(self._last_words))

    def _hear(self, data: bytes) -> None:
        """Pass on to the log what the child says; bounded, for a hostile file may make it talk."""
        if not data:
            assert self._stderr is not None
            self._selector.unregister(self._stderr)
            return
        for line in data.decode("utf-8", "replace").splitlines():
            self._last_words.append(line[:_LINE_CHARACTERS])
            self._logged += 1
            if self._logged <= _LOGGED_LINES:
                _log.warning("extraction child %d: %s", self.pid, line[:_LINE_CHARACTERS])

    def _measure(self) -> None:
        try:
            size, resident = Path(f"/proc/{self.pid}/statm").read_text().split()[:2]
        except (OSError, ValueError):
            return  # it has ended, or this is no Linux
        self.peak_address_space = max(self.peak_address_space, int(size) * _PAGE_BYTES)
        self.peak_resident = max(self.peak_resident, int(resident) * _PAGE_BYTES)
