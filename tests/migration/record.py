"""Record what the previous release asks of the database: ``python -m tests.migration.record``.

To be run once after a migration was added. It runs the previous release's own integration tests,
on its own schema, with every statement of its services written down.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import without_docmill
from tests.migration import releases
from tests.migration.statements import FILE, Recorded, distinct

_SUITES = ("api", "ingest", "janitor")


def main() -> int:
    """Write the file; the exit status."""
    with tempfile.TemporaryDirectory(prefix="docmill-previous-") as folder:
        tree, lines = Path(folder, "tree"), Path(folder, "lines")
        lines.mkdir()
        commit = releases.export_previous(tree, everything=True)
        if commit is None:
            print("The history of this clone does not reach back that far.", file=sys.stderr)
            return 1
        print(f"Recording {commit[:12]}, on schema {releases.before_head()}.")
        paths = [
            str(Path(__file__).with_name("recorder")),
            *releases.pythonpath(tree),
            str(tree / "tools"),
            str(tree),
        ]
        environment = {
            **without_docmill(os.environ),
            "PYTHONPATH": os.pathsep.join(paths),
            "RECORD_STATEMENTS": str(lines),
        }
        suites = [f"tests/integration/{each}" for each in _SUITES]
        pytest = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"]
        # A test of the previous release that fails here takes nothing away from what it asked.
        subprocess.run([*pytest, *suites], cwd=tree, env=environment, check=False)
        recorded = [line for file in sorted(lines.iterdir()) for line in file.open()]
        statements = distinct(recorded)
    Recorded(releases.before_head(), statements).save()
    print(f"{len(statements)} statements in {FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
