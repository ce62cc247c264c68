"""What the welcome mail says, and what no address can make it do."""

from email.headerregistry import Address
from uuid import uuid4

import pytest

from docmill_janitor import welcome_letter
from docmill_janitor.mail import MailRefused
from docmill_janitor.welcome import masked

SENDER = Address("docmill", addr_spec="docmill@example.com")
#: A hostile address that is a valid one.
HOSTILE = '"<b>tom</b>&co"@example.org'


def test_it_says_who_it_is_for_in_text_and_html() -> None:
    user_id = uuid4()
    mail = welcome_letter.compose(user_id, HOSTILE, SENDER)
    assert mail.get_content_type() == "multipart/alternative"
    text, html = (part.get_content() for part in mail.iter_parts())
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert f"Your account {HOSTILE} is ready." in text
    assert "&quot;&lt;b&gt;tom&lt;/b&gt;&amp;co&quot;@example.org" in html
    assert "<b>" not in html
    for part in (text, html):
        assert "$" not in part, "no placeholder is left"


def test_its_headers_are_those_of_a_machine() -> None:
    user_id = uuid4()
    mail = welcome_letter.compose(user_id, "ada@example.org", SENDER)
    assert mail["From"] == "docmill <docmill@example.com>"
    assert mail["To"] == "ada@example.org"
    assert mail["Subject"] == "Welcome to docmill"
    assert mail["Message-ID"] == f"<welcome.{user_id}@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime.tzinfo is not None


@pytest.mark.parametrize(
    "email",
    [
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org\nSubject: x",
        "ada@example.org, eve@example.org",
        "ada,eve@example.org",
        "ada <eve@example.org>",
        "<script>@example.org",
        "ada@example.org\x00",
        "ada@",
        "@example.org",
        "ada",
        "",
        "<",
        "[@]",
        "a:b@example.org;",
    ],
)
def test_an_address_adds_no_header_and_no_recipient(email: str) -> None:
    with pytest.raises(MailRefused):
        welcome_letter.compose(uuid4(), email, SENDER)


def test_a_masked_address_cannot_be_written_to() -> None:
    assert masked("ada@example.org") == "a…@example.org"
    assert masked("") == "…@"
