"""How much of a provider's quota several worker processes use: ``python -m benchmarks.quota``.

Real ingest workers, the real SDK, and the emulator that refuses what is over its quota. Prints the
part of the quota that was used, and the part of calls that was refused.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import sqlalchemy
from rich.console import Console
from rich.table import Table

from docmill_dev.processes import Processes
from docmill_dev.stack import Stack
from docmill_ingest.settings import IngestSettings
from docmill_shared import migrate
from docmill_shared.database import create_engine
from docmill_shared.objects import S3ObjectStore
from tests.conftest import SECRET, without_docmill
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.owners import new_owner, prose

#: Passages of one file of the load, about.
_PASSAGES = 120


def main() -> int:
    """Run it; 0 if the quota was used well: 95 % of it, and less than 1 % of calls refused."""
    parser = argparse.ArgumentParser(prog="make bench-quota")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--texts-per-minute", type=int, default=600)
    parser.add_argument("--processes", type=int, default=4)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="docmill-quota-") as directory,
        Stack(Path(directory), environ={}) as stack,
        GeminiEmulator() as emulator,
        Processes(log_directory=Path(directory) / "logs") as processes,
    ):
        emulator.control(latency_ms=50, quota_texts_per_minute=arguments.texts_per_minute)
        environment = {
            **without_docmill(os.environ),
            **stack.environment(),
            "JWT_SECRET": SECRET,
            "GEMINI_API_KEY": emulator.api_key,
            "GEMINI_BASE_URL": emulator.base_url,
            "GEMINI_TEXTS_PER_MINUTE": str(arguments.texts_per_minute),
        }
        with mock.patch.dict("os.environ", environment, clear=True):
            settings = IngestSettings.load()
        engine = create_engine(settings, "docmill-bench")
        migrate.upgrade(engine)
        owner = new_owner(engine, S3ObjectStore(settings))
        # Enough for the whole time and for what is still under way at its end.
        texts = arguments.texts_per_minute * (arguments.minutes + 2)
        for number in range(int(texts / _PASSAGES) + arguments.processes * 2):
            owner.upload(prose(_PASSAGES, seed=number), f"{number}.txt")
        python = [sys.executable, "-m"]
        worker = [*python, "dramatiq", "--processes", "1", "--threads", "2"]
        for number in range(arguments.processes):
            processes.start(f"ingest-{number}", [*worker, "docmill_ingest.worker"], env=environment)
        processes.start("janitor", [*worker, "docmill_janitor.worker"], env=environment)
        processes.start("scheduler", [*python, "docmill_janitor.scheduler"], env=environment)
        console = Console()
        with console.status("waiting for the first call"):
            while emulator.stats()["calls"] == 0:
                time.sleep(0.05)
        began = time.monotonic()
        first = emulator.stats()["texts"]
        with console.status(f"{arguments.minutes:g} minutes of load"):
            while time.monotonic() - began < arguments.minutes * 60:
                time.sleep(0.5)
        stats = emulator.stats()
        with engine.connect() as connection:
            failed = connection.execute(
                sqlalchemy.text("select count(*) from files where status = 'FAILED'")
            ).scalar_one()
        engine.dispose()
    # The first window opens with its whole quota, so that many windows have been opened.
    allowed = arguments.texts_per_minute * arguments.minutes
    used = min(stats["texts"], allowed + first) / allowed
    refused = stats["statuses"].get("429", 0) / stats["calls"]
    table = Table(title=f"{arguments.processes} processes, {arguments.minutes:g} minutes")
    for heading in ("allowed", "used", "calls", "refused", "files failed"):
        table.add_column(heading, justify="right")
    table.add_row(
        f"{allowed:,.0f} texts",
        f"{stats['texts']:,} ({used:.1%})",
        f"{stats['calls']:,}",
        f"{refused:.2%}",
        f"{failed}",
    )
    console.print(table)
    return 0 if used >= 0.95 and refused < 0.01 and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
