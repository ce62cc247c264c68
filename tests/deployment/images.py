"""Builds what an image would hold, by its Dockerfile's own steps, and runs commands in it."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from docmill_dev.children import Child
from tests.deployment import sandbox
from tests.deployment.dockerfiles import Dockerfile, dockerfile
from tests.deployment.manifests import REPOSITORY, environment_of_host

INSTALLED = "/opt/docmill"
_HIDDEN = ["opt", "src", "work"]
_BUILD_SECONDS = 400.0
#: The user of the images.
USER = 10001


class CannotIsolate(Exception):
    """This platform gives us no namespaces."""


@dataclass(frozen=True)
class Image:
    """A service, installed in a folder of this machine that its containers know as /opt/docmill."""

    service: str
    folder: Path

    @property
    def dockerfile(self) -> Dockerfile:
        """What it was built by."""
        return dockerfile(self.service)

    @property
    def installed_bytes(self) -> int:
        """The sizes of its files, added up."""
        files = (path.lstat() for path in (self.folder / "docmill").rglob("*"))
        return sum(each.st_size for each in files if not stat.S_ISDIR(each.st_mode))

    def environment(self) -> dict[str, str]:
        """What the image's ENV gives a container."""
        return self.dockerfile.final.environment({"PATH": "/usr/local/bin:/usr/bin:/bin"})

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        scratch: Path,
        output: IO[bytes] | int,
        *,
        network: bool = True,
        probe: Sequence[str] = (),
    ) -> Child:
        """Run it as a container would be: process 1, another user, nothing writable but scratch.

        ``scratch`` is an empty folder for /tmp, /work and the root that is put together.
        """
        writable = {"/tmp": scratch / "tmp", "/work": scratch / "work"}
        for folder in (*writable.values(), scratch / "root"):
            folder.mkdir(parents=True)
        for folder in writable.values():
            folder.chmod(0o1777)
        specification = {
            "root": str(scratch / "root"),
            "binds": [
                [str(self.folder / "docmill"), INSTALLED, False],
                *([str(folder), target, True] for target, folder in writable.items()),
            ],
            "hidden": [*_HIDDEN, "tmp"],
            "read_only": True,
            "network": network,
            "user": USER,
            "cwd": INSTALLED,
            "env": {**self.environment(), **environment},
            "command": list(command),
            "probe": list(probe),
        }
        return Child(_argv(specification), env={"PATH": os.environ["PATH"]}, stdout=output)


def build(service: str, folder: Path) -> Image:
    """Copy what the Dockerfile copies and run what it runs, in ``folder``.

    Raises:
        CannotIsolate: not on this platform.
    """
    source, installed, root = folder / "src", folder / "docmill", folder / "root"
    for each in (source, installed, root):
        each.mkdir(parents=True)
    stage = dockerfile(service).build
    environment = stage.environment(environment_of_host())
    environment["PATH"] = f"{_folder_of_uv()}:{environment['PATH']}"
    environment["UV_PYTHON"] = _python()
    for instruction in stage.instructions:
        if instruction.keyword == "COPY" and not instruction.value.startswith("--from="):
            *names, target = instruction.words()
            for name in names:
                _copy(REPOSITORY / name, source / target, is_folder=target.endswith("/"))
        elif instruction.keyword == "RUN" and not instruction.value.startswith("apt-get "):
            _run(instruction.value, environment, source, installed, root)
    return Image(service, folder)


def _run(line: str, environment: dict[str, str], source: Path, installed: Path, root: Path) -> None:
    specification = {
        "root": str(root),
        "binds": [[str(source), "/src", True], [str(installed), INSTALLED, True]],
        "hidden": ["opt", "src"],
        "read_only": False,
        "network": True,
        "user": 0,
        "cwd": "/src",
        "env": environment,
        "command": ["sh", "-euc", line],
        "probe": [],
    }
    with tempfile.TemporaryFile() as output:
        child = Child(_argv(specification), env={"PATH": os.environ["PATH"]}, stdout=output)
        try:
            child.wait(_BUILD_SECONDS)
            code = child.exit_code()
        finally:
            child.kill()
        output.seek(0)
        said = output.read().decode(errors="replace")[-4_000:]
    if code == sandbox.REFUSED:
        raise CannotIsolate(said or "no namespaces for this user")
    assert code == 0, f"{line}\n{said}"


def _argv(specification: Mapping[str, Any]) -> list[str]:
    return [sys.executable, sandbox.__file__, json.dumps(specification)]


def _copy(source: Path, target: Path, *, is_folder: bool) -> None:
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=ignored)
        return
    # "./" and "shared/" are folders; Docker would make them.
    inside = target / source.name if is_folder or target.is_dir() else target
    inside.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, inside)


def _folder_of_uv() -> Path:
    own = REPOSITORY / ".docmill" / "uv" / "bin" / "uv"
    found = shutil.which("uv") or (str(own) if own.exists() else None)
    assert found, "uv is missing; make install puts it into .docmill"
    return Path(found).parent


def _python() -> str:
    """An interpreter that the images' user may run, since it is nobody of this machine."""
    for candidate in ("/usr/bin/python3", "/usr/local/bin/python3", sys.executable):
        recent = [candidate, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        if Path(candidate).exists() and subprocess.run(recent).returncode == 0:
            folders = Path(candidate).resolve().parents
            if os.getuid() or all(folder.stat().st_mode & stat.S_IXOTH for folder in folders):
                return candidate
    raise CannotIsolate("no Python 3.11 or newer that other users may run")
