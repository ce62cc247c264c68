"""docs/webhooks.md: the receivers' code runs as it stands, and the text knows what there is."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from docmill_janitor import webhook_slots
from docmill_janitor.webhook_attempts import MOST_ATTEMPTS
from docmill_shared.webhooks import secrets, signatures
from docmill_shared.webhooks.events import TEST_EVENT, FileEvent
from docmill_shared.webhooks.registrations import MOST_WEBHOOKS

TEXT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
KEY = b"a key of the tests that is long enough"
CONTENT = {"type": "file.completed", "data": {"name": "Bücher.pdf"}}

Verify = Callable[[Mapping[str, str], bytes, str], Any]


class Refused(Exception):
    """The code of the document says that docmill did not send it."""


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def in_python(headers: Mapping[str, str], body: bytes, secret: str) -> Any:
    namespace: dict[str, Any] = {}
    exec(block("python"), namespace)
    try:
        return namespace["verify"](headers, body, secret)
    except ValueError as error:
        raise Refused from error


def in_javascript(headers: Mapping[str, str], body: bytes, secret: str) -> Any:
    node = shutil.which("node")
    assert node is not None
    asked = json.dumps([dict(headers), body.decode(), secret])
    call = f"process.stdout.write(JSON.stringify(verify(...{asked})));"
    ran = subprocess.run(
        [node, "-e", f"{block('javascript')}\n{call}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if ran.returncode:
        assert re.search("Error: (too old|not signed)", ran.stderr), ran.stderr
        raise Refused
    return json.loads(ran.stdout)


#: JavaScript where there is something to run it.
VERIFIERS = [in_python, *([in_javascript] if shutil.which("node") else [])]


@pytest.fixture(params=VERIFIERS)
def verify(request: pytest.FixtureRequest) -> Verify:
    found: Verify = request.param
    return found


def signed(*versions: int, age: timedelta = timedelta(0)) -> tuple[dict[str, str], bytes]:
    """A delivery, signed with these versions of a secret."""
    body = signatures.body(CONTENT)
    valid = [secrets.secret(KEY, WEBHOOK, each) for each in versions]
    return signatures.headers(uuid4(), datetime.now(UTC) - age, body, valid), body


WEBHOOK = uuid4()
SECRET = secrets.secret(KEY, WEBHOOK, 1)


@pytest.mark.parametrize("versions", [(1,), (2, 1), (1, 2)])
def test_what_docmill_signs_is_accepted(verify: Verify, versions: tuple[int, ...]) -> None:
    headers, body = signed(*versions)
    assert verify(headers, body, SECRET) == CONTENT


def test_what_it_did_not_is_refused(verify: Verify) -> None:
    headers, body = signed(1)
    old, old_body = signed(1, age=timedelta(minutes=10))
    later = str(int(headers["webhook-timestamp"]) + 1)
    for wrong, content, secret in (
        (headers, body + b" ", SECRET),
        (headers, body, secrets.secret(KEY, WEBHOOK, 2)),
        ({**headers, "webhook-id": str(uuid4())}, body, SECRET),
        ({**headers, "webhook-timestamp": later}, body, SECRET),
        ({**headers, "webhook-signature": "v1,"}, body, SECRET),
        # Played back: as it was, or as if it were new
        (old, old_body, SECRET),
        ({**old, "webhook-timestamp": headers["webhook-timestamp"]}, old_body, SECRET),
    ):
        with pytest.raises(Refused):
            verify(wrong, content, secret)


def test_the_events_are_those_that_there_are() -> None:
    listed = re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", TEXT, re.MULTILINE)
    assert listed == [*FileEvent, TEST_EVENT]


def test_the_numbers_are_those_of_the_code() -> None:
    words = re.sub(r"\s+", " ", TEXT)
    numbers = {4: "four", 8: "eight", 12: "twelve"}
    assert f"up to {MOST_WEBHOOKS} webhooks" in words
    assert f"{numbers[MOST_ATTEMPTS]} times within about a day" in words
    assert f"up to {webhook_slots.SLOTS} calls at a time" in words
    assert f"{numbers[webhook_slots.EACH_WEBHOOK]} for one webhook" in words
    assert f"{numbers[webhook_slots.EACH_HOST]} for one host and for one account" in words
    assert webhook_slots.EACH_OWNER == webhook_slots.EACH_HOST
    assert webhook_slots.AILING * 2 == webhook_slots.SLOTS
