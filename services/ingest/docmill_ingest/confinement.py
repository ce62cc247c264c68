"""What the extraction child gives up before and while it parses a stranger's file.

Called by :mod:`extraction_child` only. Each measure works as root and as an ordinary user, or is
left out where the platform refuses it; :func:`enter` tells which ones hold.
"""

import contextlib
import ctypes
import math
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # from linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000  # from linux/sched.h
_CLONE_NEWNET = 0x40000000
_PAGE_BYTES = resource.getpagesize()
#: The largest file that a parser may write (rendered pages, an e-mail's attachments).
_MAX_WRITTEN_BYTES = 512 * 1024**2


def enter(parent_pid: int) -> list[str]:
    """Tie this process to its parent and drop what it does not need; the measures that hold.

    Must run while the process has one thread: a user namespace is refused otherwise.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    held = []
    with contextlib.suppress(AttributeError):  # prctl is Linux's
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0:
            held.append("dies-with-parent")
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            held.append("no-new-privileges")
    if os.getppid() != parent_pid:  # it died before the signal was armed
        os._exit(1)
    if _leave_network(libc):
        held.append("no-network")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_WRITTEN_BYTES, _MAX_WRITTEN_BYTES))
    return held


def _leave_network(libc: ctypes.CDLL) -> bool:
    """Move into a network namespace that holds nothing but a dead loopback device."""
    unshare = getattr(libc, "unshare", None)  # os.unshare comes with Python 3.12
    if unshare is None:
        return False
    if unshare(_CLONE_NEWNET) == 0:
        return True
    user, group = os.getuid(), os.getgid()
    if unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    with contextlib.suppress(OSError):  # unmapped, the process merely looks like "nobody"
        for name, content in (
            ("uid_map", f"{user} {user} 1"),
            ("setgroups", "deny"),
            ("gid_map", f"{group} {group} 1"),
        ):
            Path(f"/proc/self/{name}").write_text(content)
    return True


class MemoryCap:
    """A ceiling on the address space that one file may add to this process.

    It counts from what is mapped when it begins, so that warm libraries and models, which
    reserve hundreds of megabytes before they see a file, are not charged to the file.
    """

    def __init__(self, allowance: int) -> None:
        self._allowance = allowance
        self._ceiling = resource.RLIM_INFINITY

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self._ceiling = address_space() + self._allowance
        self._set(self._ceiling)
        try:
            yield
        finally:
            self._set(resource.RLIM_INFINITY)

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Room for something that stays warm (a model); what it maps raises the ceiling."""
        before = address_space()
        self._set(resource.RLIM_INFINITY)
        try:
            yield
        finally:
            self._ceiling += max(0, address_space() - before)
            self._set(self._ceiling)

    @staticmethod
    def _set(soft: int) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard != resource.RLIM_INFINITY:
            soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def limit_cpu(seconds: float) -> None:
    """Let this process burn ``seconds`` more of CPU time; then SIGXCPU ends it.

    The parent's clock is the real deadline; this one holds when the parent cannot look.
    """
    spent = resource.getrusage(resource.RUSAGE_SELF)
    total = spent.ru_utime + spent.ru_stime + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(total)
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def address_space() -> int:
    """Bytes mapped by this process, the quantity that RLIMIT_AS bounds (0 where unknown)."""
    return _statm()[0]


def resident() -> int:
    """Bytes of this process in memory (0 where unknown)."""
    return _statm()[1]


def _statm() -> tuple[int, int]:
    try:
        size, held = Path("/proc/self/statm").read_text().split()[:2]
    except OSError:
        return 0, 0
    return int(size) * _PAGE_BYTES, int(held) * _PAGE_BYTES
