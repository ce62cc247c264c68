"""The shape of the tree: imports go one way, names say what a module is for, files stay short."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ["shared", "services", "client", "tools"]
#: Longer than 400 lines, with the reason.
LONG = {"tools/make_examples.py": "it is the text of the example documents"}


def modules() -> list[Path]:
    return [
        path.relative_to(ROOT)
        for package in (*PACKAGES, "tests", "benchmarks")
        for path in (ROOT / package).rglob("*.py")
    ]


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on a tree, with that tree's own packages."""
    folders = [*tree.glob("services/*"), *(tree / each for each in ("shared", "client", "tools"))]
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources that a test may spoil."""
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignore)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


INGEST = "services/ingest/docmill_ingest"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("services/api/docmill_api/uploads.py", "import docmill_ingest.pipeline"),
        ("services/janitor/docmill_janitor/runner.py", "import docmill_api.uploads"),
        ("shared/docmill_shared/chunks.py", "import docmill_ingest.blocks"),
        (f"{INGEST}/stages/embed.py", "import dramatiq"),
        (f"{INGEST}/stages/fetch.py", "import flask"),
        (f"{INGEST}/extractors/pdf.py", "import dramatiq"),
        (f"{INGEST}/stages/embed.py", "import docmill_ingest.stages.chunk"),
        (
            "services/janitor/docmill_janitor/jobs/dispatch_due.py",
            "import docmill_janitor.jobs.clean_expired_tokens",
        ),
        ("services/janitor/docmill_janitor/jobs/dispatch_due.py", "import dramatiq"),
        (f"{INGEST}/resources.py", "import docmill_ingest.pipeline"),
        ("client/docmill_client/answers.py", "import docmill_shared.states"),
    ],
)
def test_a_forbidden_import_fails_the_build(tree: Path, module: str, line: str) -> None:
    path = tree / module
    path.write_text(f"{path.read_text()}\n{line}\n")
    result = lint_imports(tree)
    assert result.returncode != 0, result.stdout
    assert "BROKEN" in result.stdout


def test_the_tree_as_it_is_passes(tree: Path) -> None:
    result = lint_imports(tree)
    assert result.returncode == 0, result.stdout


def test_no_module_is_named_for_nothing() -> None:
    vague = {"utils", "util", "common", "helpers", "helper", "core", "manager", "misc"}
    assert [str(path) for path in modules() if vague & {*path.parts[:-1], path.stem}] == []


def test_no_module_is_long_without_a_reason() -> None:
    long = {
        str(path): lines
        for path in modules()
        if (lines := len((ROOT / path).read_text().splitlines())) > 400
    }
    assert set(long) == set(LONG), long


def test_the_product_needs_nothing_outside_itself() -> None:
    """Nothing refers to a folder beside the repository or to a place on somebody's machine."""
    suspicious = ("../" + "shared", "/ho" + "me/", "/ro" + "ot/")
    found = []
    folders = (*PACKAGES, "tests", "benchmarks", "docs", "examples", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    for path in [*files, *ROOT.glob("*")]:
        if path.suffix in {".py", ".md", ".toml", ".sh", ".yml", ".lua", ""} and path.is_file():
            text = path.read_text(errors="replace")
            found += [f"{path}: {each}" for each in suspicious if each in text]
    assert found == []
