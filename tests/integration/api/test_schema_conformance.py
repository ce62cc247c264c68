"""The whole OpenAPI document against the running api: schemathesis, all checks on.

As a contributor and as an admin, who may reach what others may not. The same requests every time:
a finding of one run is one of the next.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.api.driver import PASSWORD, Account, Api
from tests.integration.fleet import Fleet, fleet

#: Beside what schemathesis expects of valid data: what no schema can say. Cursors are ours, so a
#: made-up one is refused; types and sizes of files and targets of webhooks are judged when they
#: come; a file's name may be long only by folders, which are cut off; a question comes last.
JUDGED = (
    ("GET", "/v1/files"),
    ("GET", "/v1/files/{file_id}/chunks"),
    ("GET", "/v1/webhooks/{webhook_id}/deliveries"),
    ("GET", "/v1/admin/audit"),
    ("GET", "/v1/admin/runs"),
    ("GET", "/v1/admin/dead-letters"),
    ("POST", "/v1/files"),
    ("PATCH", "/v1/files/{file_id}"),
    ("POST", "/v1/webhooks"),
    ("PATCH", "/v1/webhooks/{webhook_id}"),
    ("POST", "/v1/chat"),
)
CONFIGURATION = """
max-stream-events = 2
request-timeout = 60.0
continue-on-failure = true
# How long a busy machine needs to make data up says nothing of the api.
suppress-health-check = ["too_slow"]

[generation]
deterministic = true
database = "none"

[phases.fuzzing.generation]
max-examples = 5

[phases.stateful]
max-steps = 6
[phases.stateful.generation]
max-examples = 12

# It ends the session that it is called with, so it gets one of its own.
[[operations]]
include-name = "POST /v1/auth/logout"
headers = {{ Authorization = "Bearer {expendable}" }}
""" + "".join(
    f"""
[[operations]]
include-name = "{method} {path.replace("{", "{{").replace("}", "}}")}"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "413", "422", "429"]
"""
    for method, path in JUDGED
)


@pytest.fixture(scope="module")
def served(
    api_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    with fleet(api_environment, Path(tmp_path_factory.mktemp("logs"))) as running:
        running.start("api", API_WORKERS="1", WEBHOOK_KEY="5d1c0a9f8e7b6d4c3a2f1e0d9c8b7a69")
        yield running


def furnish(api: Api, account: Account) -> None:
    """What the account's routes can find: files in several states, a key, a webhook."""
    api.file_with_chunks(account, ["a passage about batteries", "another about voles"])
    failed = account.confirmed(name="b.txt", content=b"failed")
    api.set_file(failed, status="FAILED", failure_reason="corrupt", failure_detail="Unreadable.")
    account.reserve(name="c.txt")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("role", "operations"),
    [
        ("contributor", "."),
        # What an admin is told differs there alone.
        ("admin", "^/v1/(admin|me|files$)"),
    ],
)
def test_the_api_does_what_its_document_says(
    api: Api, served: Fleet, tmp_path: Path, role: str, operations: str
) -> None:
    account = api.account(role)
    furnish(api, account)
    credentials = {"email": account.email, "password": PASSWORD}
    other = api.call("POST", "/v1/auth/login", credentials).json
    assert other is not None
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION.format(expendable=other["access_token"]))

    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run"),
            f"{served.url}/openapi.json",
            *("--header", f"Authorization: Bearer {account.access}"),
            *("--checks", "all", "--include-path-regex", operations),
            *("--no-color", "--warnings", "off"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-30_000:] + done.stderr[-3_000:]
