"""Small JSON files that only their owner may read: secrets, and the session of ``docmill up``."""

import contextlib
import json
import os
from pathlib import Path


def write(path: Path, content: dict[str, str]) -> None:
    """Replace the file at once, with mode 0600 from its first byte on."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.replace(path)


def read(path: Path) -> dict[str, str] | None:
    """Its content; None when there is no such file, or when it is not of this kind."""
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            return {str(name): str(value) for name, value in content.items()}
    return None
