"""``python -m docmill_dev.mail_catcher FOLDER PORT``: an SMTP server on loopback for development.

It takes every mail and keeps it as a file; nothing is delivered to anybody.
"""

import os
import signal
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

#: Older ones are deleted.
KEPT = 1_000


class Catcher:
    """What aiosmtpd calls for each mail."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Write the mail; it is there in full or not at all, for its owner only."""
        content = envelope.content or b""
        content = content.encode() if isinstance(content, str) else content
        # The names sort by time, also within a microsecond.
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{next(self._numbers):06d}.eml"
        draft = self._folder / f"{name}.new"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        draft.replace(self._folder / name)
        for old in sorted(self._folder.glob("*.eml"))[:-KEPT]:
            old.unlink(missing_ok=True)
        return "250 Kept"


def main() -> None:
    """Take mail until SIGTERM or Ctrl-C."""
    folder, port = sys.argv[1:]
    numbers = {signal.SIGTERM, signal.SIGINT}
    # Before the server's thread starts, so that no other thread gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    controller = Controller(
        Catcher(Path(folder)),
        hostname="127.0.0.1",
        port=int(port),
        server_hostname="localhost",
        enable_SMTPUTF8=True,
        ready_timeout=30,  # as long as whoever started this waits
    )
    controller.start()
    signal.sigwait(numbers)
    controller.stop()


if __name__ == "__main__":
    main()
