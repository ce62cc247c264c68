"""A file whose ingestion stands still, for as long as something else is done."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from docmill_ingest.pipeline import ingest
from docmill_ingest.resources import Resources
from tests.fakes.gemini_emulator import GeminiEmulator


@contextmanager
def held_at_the_provider(
    emulator: GeminiEmulator, file_id: UUID, resources: Resources
) -> Iterator[None]:
    """Ingest it in a thread whose first call to the provider hangs in this block and not after it;
    then the ingestion comes to its end.
    """
    emulator.control(hang_next=1)
    thread = threading.Thread(target=ingest, args=(file_id, resources))
    thread.start()
    try:
        while not emulator.stats()["in_flight"]:
            assert thread.is_alive()
            time.sleep(0.01)
        yield
    finally:
        emulator.release_hung()
        thread.join(timeout=100)
    assert not thread.is_alive()
