"""Loopback ports: finding a free one, and keeping the same one from run to run."""

import json
import random
import socket
from pathlib import Path

# Below Linux's range for outgoing connections (from 32768): a client that keeps trying to reach a
# stopped server on a port inside that range can be given that very port, and connects to itself.
_LOWEST, _HIGHEST = 20_000, 32_767


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
    """A loopback port that nothing listens on, picked at random so that two callers differ."""
    for _ in range(1_000):
        port = random.randint(_LOWEST, _HIGHEST)
        if is_free(port):
            return port
    raise OSError(f"no free loopback port between {_LOWEST} and {_HIGHEST}")


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
            while port is None or port in chosen.values() or not is_free(port):
                port = free_port()
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
