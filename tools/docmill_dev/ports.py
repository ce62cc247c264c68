"""Loopback ports: finding a free one, and keeping the same one from run to run."""

import errno
import json
import random
import socket
import sys
from pathlib import Path

# Below Linux's range for outgoing connections (from 32768): a client that keeps trying to reach a
# stopped server on a port inside that range can be given that very port, and connects to itself.
_LOWEST, _HIGHEST = 20_000, 32_767

#: The ports that were given out here, each with the socket by which other processes know it.
_claims: dict[int, socket.socket | None] = {}


def is_free(port: int) -> bool:
    """Whether nothing listens on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: connections that ended lately do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A loopback port that nothing listens on, which is given to no one else from now on.

    Neither here nor, on Linux, in another process as long as this one lives: not before its server
    listens, nor while that server is stopped.
    """
    for _ in range(1_000):
        port = random.randint(_LOWEST, _HIGHEST)
        if _claim(port):
            if is_free(port):
                return port
            _release(port)
    raise OSError(f"no free loopback port between {_LOWEST} and {_HIGHEST}")


def _claim(port: int) -> bool:
    """Whether the port was nobody's, here or elsewhere, and now is this process's."""
    if port in _claims:
        return False
    claim: socket.socket | None = None
    if sys.platform == "linux":
        # A name in the abstract namespace is in no folder, has one holder, and ends with it.
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0docmill-port-{port}")
        except OSError as error:
            claim.close()
            if error.errno == errno.EADDRINUSE:
                return False
            claim = None  # no such names here; the port is as good without
    _claims[port] = claim
    return True


def _release(port: int) -> None:
    claim = _claims.pop(port)
    if claim is not None:
        claim.close()


class RememberedPorts:
    """Ports by server name, kept in a file so that URLs stay the same from run to run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def choose(self, names: list[str]) -> dict[str, int]:
        """For each name the port of last time if it is free now, else a new one."""
        remembered = self._load()
        chosen: dict[str, int] = {}
        for name in names:
            port = remembered.get(name)
            if port is None or port in chosen.values() or not is_free(port):
                port = free_port()
            else:
                _claim(port)  # so that no one else is given it before it is used
            chosen[name] = port
        return chosen

    def save(self, ports: dict[str, int]) -> None:
        """Remember these; ports of other names stay remembered."""
        self._path.write_text(json.dumps(self._load() | ports, indent=2) + "\n")

    def _load(self) -> dict[str, int]:
        try:
            content = json.loads(self._path.read_text())
            return {str(name): int(port) for name, port in content.items()}
        except (FileNotFoundError, ValueError, AttributeError, TypeError):
            return {}
