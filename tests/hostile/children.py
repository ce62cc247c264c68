"""Which extraction children this process has."""

import psutil

from docmill_ingest.child_process import CHILD_MODULE


def extraction_children() -> set[int | None]:
    """Their process ids."""
    found: set[int | None] = set()
    for child in psutil.Process().children(recursive=True):
        try:
            if CHILD_MODULE in child.cmdline():
                found.add(child.pid)
        except psutil.NoSuchProcess:
            pass
    return found
