"""The README's upload examples, run as they are written, against all of docmill."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from docmill_client import Client
from docmill_dev.development import Development
from tests.conftest import without_docmill
from tests.docs.web_page import Page, browser, page, required

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text().partition("## Uploading")[2].partition("\n## ")[0]
REPORT = ROOT / "examples" / "station-handbook.pdf"
PASSWORD = "correct horse battery"
#: What the passage says that answers the question of the examples.
ANSWER = "a full battery lasts ten days"


def example(language: str) -> str:
    """The one block of this language."""
    [code] = re.findall(rf"^```{language}\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    return str(code)


@dataclass(frozen=True)
class Ground:
    """A docmill that runs, and a site whose pages may call it."""

    url: str
    site: Page


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with page() as site:
        environ = {**without_docmill(os.environ), "CORS_ORIGINS": site.origin}
        with Development(tmp_path_factory.mktemp("docmill"), environ=environ) as running:
            yield Ground(running.url, site)


@pytest.fixture
def client(ground: Ground) -> Iterator[Client]:
    """A new account."""
    email = f"{uuid4().hex}@example.org"
    with Client(ground.url, email=email, password=PASSWORD) as client:
        client.register()
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the reader's folder has."""
    shutil.copy(REPORT, tmp_path / "report.pdf")
    return tmp_path


def run(command: list[str], folder: Path, client: Client, **variables: str) -> str:
    """What it prints."""
    account = {
        "DOCMILL_URL": client.url,
        "DOCMILL_EMAIL": client.email,
        "DOCMILL_PASSWORD": PASSWORD,
    }
    result = subprocess.run(
        command,
        cwd=folder,
        env={**without_docmill(os.environ), "NO_PROXY": "127.0.0.1", **account, **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


def access_token(client: Client) -> str:
    account = {"email": client.email, "password": PASSWORD}
    return str(client.request("POST", "/v1/auth/login", account)["access_token"])


def assert_ingested(client: Client) -> None:
    [file] = client.files()
    assert (file.name, file.status) == ("report.pdf", "COMPLETED")
    assert file.size_bytes == REPORT.stat().st_size


def test_curl(folder: Path, client: Client) -> None:
    required("curl", package="curl")
    required("jq", package="jq")

    printed = run(["bash", "-euo", "pipefail", "-c", example("bash")], folder, client)

    assert ANSWER in printed
    assert_ingested(client)


def test_python(folder: Path, client: Client) -> None:
    (folder / "example.py").write_text(example("python"))

    printed = run([sys.executable, "example.py"], folder, client)

    lines = printed.splitlines()
    size = REPORT.stat().st_size
    assert f"{size} of {size}" in lines
    assert any(line.startswith("COMPLETED ") for line in lines)
    assert any(line.startswith("report.pdf, page 5: 4 Power") for line in lines)
    assert ANSWER in printed
    assert re.fullmatch(r"“.*battery.*” \[1\]", lines[-1]), "the answer of a chat"
    assert_ingested(client)


def test_javascript_in_a_browser(ground: Ground, folder: Path, client: Client) -> None:
    site = ground.site
    variables = {"DOCMILL_URL": client.url, "TOKEN": access_token(client)}
    site.show(example("js"), "report.pdf", (folder / "report.pdf").read_bytes(), **variables)

    with browser(site.origin):
        file = site.said()
        assert "error" not in file
        best = site.said()

    assert file["logged"]["status"] == "COMPLETED"
    assert ANSWER in best["logged"]["text"]
    assert_ingested(client)


def test_a_page_of_another_origin_is_turned_away(
    ground: Ground, folder: Path, client: Client
) -> None:
    """Which shows that the browser asks, and that the test before this one can fail."""
    with page() as stranger:
        variables = {"DOCMILL_URL": client.url, "TOKEN": access_token(client)}
        stranger.show(example("js"), "report.pdf", b"%PDF", **variables)
        with browser(stranger.origin):
            said = stranger.said()

    assert said == {"error": "TypeError: Failed to fetch"}
    assert list(client.files()) == []


#: What a browser has and Node.js has not: a page with an input, in which a file is chosen.
_NODE = """
import { readFileSync } from "node:fs";
import { File } from "node:buffer";
const { DOCMILL_URL, TOKEN } = process.env;
const input = {};
const document = { querySelector: () => input };
%s
await input.onchange({ target: { files: [new File([readFileSync("report.pdf")], "report.pdf")] } });
"""


def test_javascript_without_a_browser(folder: Path, client: Client) -> None:
    node = required("node", package="nodejs")
    (folder / "example.mjs").write_text(_NODE % example("js"))

    printed = run([node, "example.mjs"], folder, client, TOKEN=access_token(client))

    assert ANSWER in printed
    assert_ingested(client)
