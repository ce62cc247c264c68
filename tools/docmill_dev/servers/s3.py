"""An S3 server whose objects are plain files (``nanio``: alpha software, development only)."""

import http.client
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from docmill_dev.servers.server import Server


class S3Server(Server):
    """nanio with one bucket, which exists from the start."""

    name = "s3"
    # Its own shutdown waits for open requests without end, and an orphan has nobody to hurry it;
    # objects are written beside their place and renamed, so a kill leaves no half of one.
    orphan_signal = signal.SIGKILL

    def __init__(
        self,
        directory: Path,
        port: int,
        *,
        bucket: str,
        region: str,
        access_key: str,
        secret_key: str,
    ) -> None:
        super().__init__(directory, port)
        self.bucket = bucket
        self.region = region
        self.access_key = access_key
        self._secret_key = secret_key

    @property
    def url(self) -> str:
        """As ``S3_ENDPOINT``."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self, timeout: float = 5.0) -> None:
        """Shut down; requests still open after ``timeout`` seconds are cut off."""
        super().stop(timeout)

    def prepare(self) -> None:
        super().prepare()
        bucket = self.home / self.bucket
        bucket.mkdir(exist_ok=True)  # a bucket is a folder
        # Killed in the middle of a PUT, nanio leaves these. The first would be listed as an
        # object; the second it would take for somebody else's and refuse the key for ever.
        for leftover in (*bucket.rglob(".tmp.*"), *bucket.glob(".nanio-meta/**/*.json.tmp")):
            leftover.unlink(missing_ok=True)

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "docmill_dev.nanio_server"),
            *(str(self.home), str(self.port), self.region),
        ]

    def variables(self) -> Mapping[str, str]:
        keys = {"NANIO_ACCESS_KEY": self.access_key, "NANIO_SECRET_KEY": self._secret_key}
        # It is the one server that is a Python program, and must find what this one finds.
        path = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        return {**super().variables(), **path, **keys}

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/")
            # Unsigned, hence refused; but refused by a server that works.
            return connection.getresponse().status == http.client.FORBIDDEN
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
