"""Secrets and signatures of webhooks, as the Standard Webhooks specification has them."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from docmill_shared.webhooks import secrets, signatures

KEY = b"a key of the tests that is long enough"
WEBHOOK = UUID(int=7)
AT = datetime(2021, 2, 25, 15, 2, 10, 900_000, tzinfo=UTC)


def test_the_example_of_the_specification() -> None:
    # https://github.com/standard-webhooks/standard-webhooks and the libraries' tests
    found = signatures.headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        AT,
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert found == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_secret_is_its_webhooks_and_its_versions_own() -> None:
    found = {
        secrets.secret(KEY, WEBHOOK, 1),
        secrets.secret(KEY, WEBHOOK, 2),
        secrets.secret(KEY, uuid4(), 1),
        secrets.secret(KEY + b"!", WEBHOOK, 1),
    }
    assert len(found) == 4
    for each in found:
        assert len(base64.b64decode(each.removeprefix("whsec_"))) == 32
    assert secrets.secret(KEY, WEBHOOK, 1) in found


@pytest.mark.parametrize(
    ("until", "versions"), [(None, [3]), (timedelta(hours=1), [3, 2]), (timedelta(0), [3])]
)
def test_both_secrets_are_valid_during_a_rotation(
    until: timedelta | None, versions: list[int]
) -> None:
    valid = secrets.valid(KEY, WEBHOOK, 3, None if until is None else AT + until, AT)
    assert valid == [secrets.secret(KEY, WEBHOOK, each) for each in versions]
    signature = signatures.headers(WEBHOOK, AT, b"{}", valid)["webhook-signature"]
    assert len(set(signature.split(" "))) == len(versions)


def test_the_body_is_the_same_bytes_each_time_and_utf_8() -> None:
    payload = {"type": "file.completed", "data": {"name": "Bücher.pdf", "pages": None}}
    assert signatures.body(payload) == (
        '{"type":"file.completed","data":{"name":"Bücher.pdf","pages":null}}'.encode()
    )
