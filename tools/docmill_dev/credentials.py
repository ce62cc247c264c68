"""The secrets of a development run: made once per data directory, kept with mode 0600."""

import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from docmill_dev import private_files

#: ``.example`` is reserved (RFC 2606), so this is nobody's address.
DEMO_EMAIL = "demo@docmill.example"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs access tokens and webhooks, and the password of the demo account."""

    jwt_secret: str
    webhook_key: str
    demo_password: str

    @classmethod
    def of(cls, directory: Path) -> "Credentials":
        """Those of this data directory; missing ones are made. The directory must exist."""
        path = directory / "secrets.json"
        kept = private_files.read(path) or {}
        credentials = cls(
            jwt_secret=kept.get("jwt_secret") or secrets.token_hex(32),
            webhook_key=kept.get("webhook_key") or secrets.token_hex(32),
            # Shown in a terminal and typed by people, so shorter, but still 80 random bits.
            demo_password=kept.get("demo_password") or secrets.token_hex(10),
        )
        if asdict(credentials) != kept:
            private_files.write(path, asdict(credentials))
        return credentials
