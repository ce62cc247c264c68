"""Runs the containers of one source on the embedded stack."""

import http.client
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from docmill_dev.children import Child
from docmill_dev.ports import free_port
from tests.deployment.containers import Container, Probe
from tests.deployment.images import Image

Images = Callable[[str], Image]

#: Addresses of servers, which alone differ between a cluster and this machine.
ADDRESSES = (
    "DATABASE_URL",
    "API_DATABASE_URL",
    "REDIS_URL",
    "S3_ENDPOINT",
    "S3_PUBLIC_ENDPOINT",
    "S3_BUCKET",
)
#: What goes with the addresses: the embedded servers have credentials of their own.
CREDENTIALS = ("S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_REGION")


class Running:
    """One container that runs; its ports are free ones of this machine."""

    def __init__(
        self, container: Container, image: Image, servers: Mapping[str, str], scratch: Path
    ) -> None:
        self.container = container
        self._image = image
        written = {**image.environment(), **container.environment}
        self.ports = {
            int(written[name]): free_port()
            for name in ("API_PORT", "HEALTH_PORT")
            if name in written
        }
        environment = dict(container.environment)
        for name in (*ADDRESSES, *CREDENTIALS):
            if name in environment:
                environment[name] = servers[name]
        for name in ("API_PORT", "HEALTH_PORT"):
            if name in written:
                environment[name] = str(self.ports[int(written[name])])
        self.log = scratch.with_suffix(".log")
        with self.log.open("wb") as output:
            self.child: Child = image.start(container.command, environment, scratch, output)

    def answer(self, path: str, port: int) -> tuple[int, bytes]:
        """Status and body of what it answers; 0: nobody listens."""
        # Whoever takes longer than this is as good as nobody; a busy machine is not that slow.
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def status(self, path: str, port: int) -> int:
        """Only the status."""
        return self.answer(path, port)[0]

    def answers(self, probe: Probe) -> bool:
        """Whether this probe is content."""
        return self.status(probe.path, probe.port) == 200

    def is_healthy(self) -> bool:
        """Whether the image's own HEALTHCHECK, run as it stands, is content."""
        command = [self._on_this_machine(word) for word in self._image.dockerfile.health_check]
        return subprocess.run([sys.executable, *command[1:]], capture_output=True).returncode == 0

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4_000:]

    def _on_this_machine(self, word: str) -> str:
        for port, own in self.ports.items():
            word = word.replace(f", {port},", f", {own},")
        return word
