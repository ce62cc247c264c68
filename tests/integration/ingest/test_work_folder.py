"""What a killed worker leaves on its disk is removed by the next one, and by no other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docmill_ingest.work_folder import WorkFolder
from docmill_shared.errors import ConfigurationError

#: A worker with a document in hand, which says so and then waits to be killed.
_WORKER = """
import sys
from pathlib import Path
from docmill_ingest.work_folder import WorkFolder
folder = WorkFolder(Path(sys.argv[1]))
(folder.path / "upload").write_text("somebody's document")
print(folder.path, flush=True)
sys.stdin.read()
"""


def test_the_next_removes_what_a_killed_worker_left(tmp_path: Path) -> None:
    # Given a worker in the middle of a file
    with subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        its = Path(worker.stdout.readline().strip())
        # When another starts beside it, that leaves it alone
        other = WorkFolder(tmp_path)
        assert (its / "upload").exists()
        # And when it has been killed
        worker.kill()
    assert (its / "upload").exists()
    # Then the next that starts removes what it left, and nothing of those that live
    following = WorkFolder(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([other.path, following.path])
    following.close()
    other.close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    # Given what has the name of a work folder, or none, and leads elsewhere
    elsewhere = tmp_path / "documents"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").touch()
    link, file = tmp_path / "docmill-ingest-link", tmp_path / "docmill-ingest-file"
    link.symlink_to(elsewhere)
    file.touch()
    before = sorted(tmp_path.iterdir())
    WorkFolder(tmp_path).close()
    assert sorted(tmp_path.iterdir()) == before
    assert (elsewhere / "mine.txt").exists()


def test_a_folder_that_is_removed_while_it_is_claimed_is_claimed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given another process that starts at the same time and takes the first folder for abandoned
    real, seen = os.open, []

    def too_late(path: Path, flags: int) -> int:
        seen.append(path)
        if len(seen) == 1:
            path.rmdir()
        return real(path, flags)

    monkeypatch.setattr(os, "open", too_late)
    folder = WorkFolder(tmp_path)
    assert seen == [seen[0], folder.path]
    assert folder.path.exists()
    folder.close()


def test_a_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"WORK_DIRECTORY is wrong: .*No such file"):
        WorkFolder(tmp_path / "nowhere")
