"""The guardian: a small process that outlives its parent just long enough to end its children.

Run by ``children.py`` as a plain script, standard library only. It reads lines ``PID SIGNAL`` from
its standard input (a signal of 0: forget this process). When the parent is gone, however it went,
the pipe ends: every process still listed gets its signal, and its whole group is killed after
``GRACE`` seconds.

Why not PR_SET_PDEATHSIG: that signal is tied to the *thread* that started the child (servers are
started from short-lived threads), it reaches no grandchild, it cannot escalate, it is cleared when
the child changes its user (PostgreSQL under root), it needs code between fork and exec, and only
Linux has it.
"""

import contextlib
import os
import select
import signal
import sys
import time

GRACE = 5.0


def watch(parent: int) -> dict[int, int]:
    """Follow the parent's list until the parent is gone; return what was left on it."""
    listed: dict[int, int] = {}
    pending = b""
    # A fork of the parent would hold the pipe open, so the parent's number is looked at as well.
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], 1.0)
        if not readable:
            continue
        block = os.read(0, 65536)
        if not block:
            break
        *lines, pending = (pending + block).split(b"\n")
        for line in lines:
            pid, number = (int(field) for field in line.split())
            if number:
                listed[pid] = number
            else:
                listed.pop(pid, None)
    return listed


def group_is_alive(group: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end(listed: dict[int, int]) -> None:
    """Ask each process to end, then kill the groups that did not within the grace."""
    for pid, number in listed.items():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    deadline = time.monotonic() + GRACE
    groups = set(listed)
    while groups and time.monotonic() < deadline:
        time.sleep(0.02)
        groups = {group for group in groups if group_is_alive(group)}
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end(watch(parent=int(sys.argv[1])))
