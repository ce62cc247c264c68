"""A mail server that delivers nothing: what it takes becomes a file (see ``mail_catcher.py``)."""

import os
import smtplib
import sys
from collections.abc import Mapping

from docmill_dev.servers.server import Server


class MailServer(Server):
    """Takes every mail; its folder, ``mail``, holds each as ``.eml``."""

    name = "mail"

    def environment(self) -> dict[str, str]:
        """The variables that lead docmill's mail here, and give it a sender."""
        return {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.port),
            "SMTP_SECURITY": "none",
            "SMTP_USERNAME": "",
            "SMTP_PASSWORD": "",
            "MAIL_FROM": "docmill <docmill@localhost>",
        }

    def command(self) -> list[str]:
        return [sys.executable, "-m", "docmill_dev.mail_catcher", str(self.home), str(self.port)]

    def variables(self) -> Mapping[str, str]:
        # A Python program must find what this one finds.
        path = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        return {**super().variables(), **path}

    def answers(self) -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", self.port, local_hostname="localhost", timeout=2) as it:
                return it.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False
