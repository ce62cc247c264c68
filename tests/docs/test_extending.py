"""docs/extending.md, carried out: every block in a copy of the tree, every command run there."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import without_docmill

#: The guide's commands are a linter, a type checker and tests that start servers of their own.
pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "extending.md"
NOT_COPIED = (".git", ".venv", ".docmill", ".*_cache", "__pycache__", "node_modules")

_STEP = re.compile(
    r"^\*\*(?P<what>New file|At the end of|In) `(?P<path>[^`\n]+)`"
    r"(?:, (?P<where>after|before|instead of) `(?P<line>[^`\n]+)`)?:\*\*\n\n"
    r"```(?:python|ini)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """One block of the guide and the place that it names."""

    what: str
    path: str
    where: str | None
    line: str | None
    code: str

    def apply(self, tree: Path) -> None:
        """Do as the guide says; what cannot be done literally is an AssertionError."""
        path = tree / self.path
        if self.what == "New file":
            assert not path.exists(), f"{self.path} is there already"
            path.write_text(self.code)
            return
        assert path.is_file(), f"there is no {self.path}"
        text = path.read_text()
        if self.what == "At the end of":
            apart = "\n" if self.code.startswith(" ") else "\n\n"
            path.write_text(text + apart + self.code)
            return
        found = text.splitlines().count(self.line or "")
        assert found == 1, f"{self.path} has the line {self.line!r} {found} times"
        old = f"{self.line}\n"
        new = {
            "after": old + self.code,
            "before": self.code + old,
            "instead of": self.code,
        }[self.where or ""]
        path.write_text(re.sub(f"^{re.escape(old)}", lambda _: new, text, flags=re.MULTILINE))


def steps() -> list[Step]:
    return [Step(**found.groupdict()) for found in _STEP.finditer(GUIDE.read_text())]


def run(command: str, tree: Path, environ: Mapping[str, str]) -> None:
    """A command of the guide, as a shell in the copy's root runs it."""
    result = subprocess.run(
        ["sh", "-ec", command],
        cwd=tree,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of this tree, with this environment's packages."""
    copy = tmp_path / "docmill"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (copy / ".venv").symlink_to(sys.prefix)
    return copy


@pytest.fixture
def environ(tree: Path) -> dict[str, str]:
    """The copy's packages come before those that are installed."""
    packages = (tree / "shared", *sorted(tree.glob("services/*")), tree / "client", tree / "tools")
    own = {n: v for n, v in without_docmill(os.environ).items() if not n.startswith("PYTEST_")}
    return {**own, "PYTHONPATH": os.pathsep.join(map(str, packages))}


def test_every_block_of_code_says_where_it_goes() -> None:
    fences = re.findall(r"^```(python|ini)$", GUIDE.read_text(), re.MULTILINE)
    assert len(steps()) == len(fences) > 10


def test_the_guide_works(tree: Path, environ: dict[str, str]) -> None:
    for step in steps():
        step.apply(tree)
    commands = "".join(_COMMANDS.findall(GUIDE.read_text())).splitlines()
    assert any("lint-imports" in command for command in commands)
    for command in commands:
        run(command, tree, environ)
    proof = tree / "tests" / "integration" / "janitor" / "test_guide_proof.py"
    shutil.copy(ROOT / "tests" / "docs" / "guide_proof.py", proof)
    run(f".venv/bin/python -m pytest -q {proof.relative_to(tree)}", tree, environ)


def test_types_of_what_the_guide_adds(tree: Path, environ: dict[str, str]) -> None:
    # What mypy found out about the tree as it is need not be found out again.
    with contextlib.suppress(FileNotFoundError, shutil.Error):
        shutil.copytree(ROOT / ".mypy_cache", tree / ".mypy_cache")
    for step in steps():
        step.apply(tree)
    added = sorted({step.path for step in steps() if step.path.endswith(".py")})
    run(f".venv/bin/python -m mypy --strict {' '.join(added)}", tree, environ)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("shared/docmill_shared/messages.py", "class Message:", "class Envelope:"),
        ("services/api/docmill_api/sessions.py", "return tokens", "return pair"),
        ("services/janitor/docmill_janitor/schedule.py", "    finish_deletions,\n", ""),
        (".importlinter", "    runner : welcome : ", "    runner\n    welcome : "),
    ],
)
def test_a_guide_that_has_rotted_is_noticed(
    tree: Path, environ: dict[str, str], path: str, old: str, new: str
) -> None:
    """When what it names is called something else, a step or the first import of it fails."""
    spoiled = tree / path
    text = spoiled.read_text()
    assert old in text
    spoiled.write_text(text.replace(old, new))

    def carry_out() -> None:
        for step in steps():
            step.apply(tree)
        run(".venv/bin/python -c 'import docmill_janitor.actors'", tree, environ)

    with pytest.raises(AssertionError):
        carry_out()
