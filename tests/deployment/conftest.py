"""The images, each built once for all test processes, and what an operator supplies."""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import SECRET, WEBHOOK_KEY
from tests.deployment.images import CannotIsolate, Image, build
from tests.deployment.manifests import required_variables

Images = Callable[[str], Image]


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Iterator[Images]:
    """``images(service)``: built by its Dockerfile's steps when first asked for."""
    common = tmp_path_factory.getbasetemp()
    if common.name.startswith("popen-"):  # a folder of one test process; the run's is above it
        common = common.parent
    folder = common / f"images-{testrun_uid}"

    def image(service: str) -> Image:
        with (folder / f"{service}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (folder / service / "built").exists():
                return Image(service, folder / service)
            shutil.rmtree(folder / service, ignore_errors=True)
            try:
                built = build(service, folder / service)
            except CannotIsolate as reason:
                pytest.skip(f"this platform gives no namespaces to this user: {reason}")
            (folder / service / "built").touch()
            return built

    # A process that ends tells the last one by its lock that nobody needs the folder any more. The
    # lock is beside it: one that lay in it could be waited for by somebody while it is removed.
    with (common / f"images-{testrun_uid}.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        folder.mkdir(exist_ok=True)
        yield image
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def secrets(operators_secrets: dict[str, str]) -> dict[str, str]:
    """The same, to be changed by a test."""
    return dict(operators_secrets)


@pytest.fixture(scope="session")
def operators_secrets() -> dict[str, str]:
    """What an operator must supply, by compose's names and by Kubernetes' keys."""
    values = dict.fromkeys(required_variables(), "7d1f0a5c9be24f6813d7")
    return values | {
        "DATABASE_URL": "postgresql://docmill:4b1d9c27e0f85a36@postgres:5432/docmill",
        "API_DATABASE_URL": "postgresql://docmill_api:a83f60d1c5e92b74@postgres:5432/docmill",
        "REDIS_URL": "redis://valkey:6379/0",
        "S3_ACCESS_KEY": "access",
        "S3_SECRET_KEY": "0c5f7e91b2d846a3",
        "JWT_SECRET": SECRET,
        "WEBHOOK_KEY": WEBHOOK_KEY,
    }


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where containers of one test may write."""
    return tmp_path
