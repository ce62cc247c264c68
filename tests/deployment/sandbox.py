"""A container without Docker: ``python sandbox.py SPECIFICATION``, the argument being JSON.

What a container runtime does, as far as docmill can notice: a root folder of its own that may be
read-only, the command as process 1 and as another user, and, if asked for, no network. Works as
root and, where the kernel allows user namespaces, as anybody. Stands alone: it imports nothing but
the standard library. SIGTERM and SIGINT are passed on; its exit status is the command's, or 125
where the platform refuses.

The specification: ``root`` (an empty folder to build in), ``binds`` (lists of source, target,
writable), ``hidden`` (top-level folders of the host to leave out), ``read_only``, ``network``,
``user``, ``cwd``, ``env``, ``command``, and ``probe`` (addresses; once all have answered 200 from
inside, the command gets SIGTERM).
"""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

REFUSED = 125
PROBE_SECONDS = 180
_NEWNS, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
_RDONLY, _NOSUID, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Run the command and return its status."""
    specification: dict[str, Any] = json.loads(sys.argv[1])
    user = os.getuid()
    flags = _NEWNS | _NEWPID
    flags |= 0 if specification["network"] else _NEWNET
    flags |= _NEWUSER if user else 0
    if _libc.unshare(flags) != 0:
        return REFUSED
    if user:
        _map_users(user, os.getgid(), specification["user"])
    if not specification["network"]:
        _raise_loopback()
    child = os.fork()
    if child == 0:
        _become(specification)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(child, number))
    if specification["probe"]:
        _probe(specification["probe"])
        os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF


def _map_users(user: int, group: int, as_user: int) -> None:
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{as_user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{as_user} {group} 1")


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(handle, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _become(specification: dict[str, Any]) -> NoReturn:
    """In the child, which is process 1 of its namespace."""
    try:
        _enter_root(specification)
        if os.getuid() == 0 and specification["user"]:
            os.setgroups([])
            os.setgid(specification["user"])
            os.setuid(specification["user"])
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        os.chdir(specification["cwd"])
        command = specification["command"]
        os.execvpe(command[0], command, specification["env"])
    except OSError as error:
        print(f"sandbox: {error}", file=sys.stderr, flush=True)
    os._exit(REFUSED)


def _enter_root(specification: dict[str, Any]) -> None:
    root, read_only = Path(specification["root"]), specification["read_only"]
    _mount("none", Path("/"), None, _REC | _PRIVATE)
    _mount("tmpfs", root, "tmpfs", _NOSUID, "mode=755")
    for host in sorted(Path("/").iterdir()):
        inside = root / host.name
        if host.name in specification["hidden"]:
            continue
        if host.is_symlink():
            inside.symlink_to(host.readlink())
        elif host.is_dir():
            _bind(host, inside, writable=not read_only)
    for source, target, writable in specification["binds"]:
        _bind(Path(source), root / target.lstrip("/"), writable=writable)
    with contextlib.suppress(OSError):  # not everywhere; the host's own then stays
        _mount("proc", root / "proc", "proc", 0)
    if read_only:
        _mount("none", root, None, _REMOUNT | _RDONLY)
    os.chroot(root)


def _bind(source: Path, inside: Path, *, writable: bool) -> None:
    inside.mkdir(parents=True, exist_ok=True)
    _mount(str(source), inside, None, _BIND | _REC)
    if not writable:
        with contextlib.suppress(OSError):  # a user namespace may not change /proc or /dev
            _mount("none", inside, None, _BIND | _REMOUNT | _RDONLY)


def _mount(source: str, target: Path, kind: str | None, flags: int, data: str = "") -> None:
    arguments = (source.encode(), os.fsencode(target), kind.encode() if kind else None)
    if _libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount: {os.strerror(number)}", str(target))


def _probe(addresses: list[str]) -> None:
    deadline = time.monotonic() + PROBE_SECONDS
    for address in addresses:
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(address, timeout=3) as answer:
                    print(f"sandbox: {address} answered {answer.status}", flush=True)
                    break
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
