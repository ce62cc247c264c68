"""The release before this one, from the history of this repository.

There is no tag to go by: it is the newest commit whose migrations end where the last one of this
tree begins.
"""

import io
import subprocess
import tarfile
from pathlib import Path

from alembic.script import ScriptDirectory

from docmill_shared import migrate

REPOSITORY = Path(__file__).parents[2]
_VERSIONS = "shared/docmill_shared/migrations/versions/"
_PACKAGES = ("shared", "services/api", "services/ingest", "services/janitor")


def head() -> str:
    """The revision that this tree needs."""
    revision = ScriptDirectory.from_config(migrate.configuration()).get_current_head()
    assert revision is not None
    return revision


def before_head() -> str:
    """The revision that the previous release needs."""
    script = ScriptDirectory.from_config(migrate.configuration()).get_revision(head())
    assert script is not None
    assert isinstance(script.down_revision, str)
    return script.down_revision


def export_previous(folder: Path, *, everything: bool = False) -> str | None:
    """Put the previous release's code into ``folder``; the commit, or None without its history.

    ``everything``: with its tests and tools, not the services alone.
    """
    commit = _newest_commit_before_head()
    if commit is not None:
        archive = _git("archive", commit, *(() if everything else _PACKAGES))
        assert archive is not None
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
    return commit


def pythonpath(tree: Path) -> list[str]:
    """Where the packages of a release are; they come before those that are installed."""
    return [str(tree / package) for package in _PACKAGES]


def _newest_commit_before_head() -> str | None:
    commits = _git("rev-list", "HEAD")
    for commit in (commits or b"").decode().split():
        files = (_git("ls-tree", "--name-only", commit, _VERSIONS) or b"").decode().split()
        revisions = {Path(file).name.partition("_")[0] for file in files}
        if before_head() in revisions and head() not in revisions:
            return commit
    return None


def _git(*arguments: str) -> bytes | None:
    """Its output; None if there is no git, no repository or no such thing in it."""
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
