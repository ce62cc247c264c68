"""Where a worker process keeps the files that it works on, and what parsers write beside them.

A process that is killed removes nothing, and what it leaves is somebody's documents. So each one
holds a lock on a folder of its own, which ends with the process; the next one that starts removes
every folder that nobody holds.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from docmill_shared.errors import ConfigurationError

_PREFIX = "docmill-ingest-"


class WorkFolder:
    """A folder for this process alone; what others left in ``root`` is removed first."""

    def __init__(self, root: Path | None = None) -> None:
        """``root``: the system's temporary folder if not given.

        Raises:
            ConfigurationError: nothing can be written there.
        """
        root = root or Path(tempfile.gettempdir())
        try:
            _remove_abandoned(root)
            self.path, self._lock = _claim(root)
        except OSError as error:
            raise ConfigurationError(
                f"WORK_DIRECTORY is wrong: {root} cannot be written to ({error.strerror})"
            ) from error

    def close(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_abandoned(root: Path) -> None:
    for folder in root.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # held, or another user's, or gone already
            lock = _lock(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _claim(root: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        # Another process that starts may have taken it for abandoned before it was locked.
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            lock = _lock(path)
            if path.exists():
                return path, lock
            os.close(lock)


def _lock(folder: Path) -> int:
    """A descriptor that holds the folder until it is closed or its process ends, however it ends.

    Raises:
        OSError: it is held, or not a folder, or not ours.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
