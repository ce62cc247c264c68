"""SmtpMailer against real SMTP servers, good and bad; and the server that development uses."""

import socket
import traceback
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from unittest import mock

import pytest
import trustme

from docmill_dev import mailbox
from docmill_dev.ports import free_port
from docmill_dev.servers import MailServer as DevelopmentServer
from docmill_janitor.mail import MailRefused, MailUnavailable, SmtpMailer
from docmill_janitor.mail_settings import MailSettings
from docmill_shared.errors import ConfigurationError
from tests.fakes.mail_server import PASSWORD, USERNAME, MailServer

ADA = "ada@example.org"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> trustme.LeafCert:
    """A certificate of an authority that this process trusts."""
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return authority.issue_cert("127.0.0.1")


@pytest.fixture
def server() -> Iterator[MailServer]:
    """Not started yet, so that a test can say what it is like."""
    server = MailServer()
    yield server
    server.gate.set()
    server.stop()


def settings(port: int, **variables: str) -> MailSettings:
    environ = {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(port),
        "SMTP_SECURITY": "none",
        "MAIL_FROM": "docmill <docmill@example.com>",
        **variables,
    }
    with mock.patch.dict("os.environ", environ, clear=True):
        return MailSettings.load()


def letter(to: str = ADA) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "docmill <docmill@example.com>", to, "Hello"
    mail.set_content("Hello.\n")
    return mail


def send(server: MailServer, **variables: str) -> None:
    SmtpMailer(settings(server.port, **variables)).send(letter())


def test_it_starts_tls_and_logs_in(server: MailServer, trusted: trustme.LeafCert) -> None:
    server.certificate, server.accounts = trusted, True
    server.start()
    send(server, SMTP_SECURITY="starttls", SMTP_USERNAME=USERNAME, SMTP_PASSWORD=PASSWORD)
    [taken] = server.taken
    assert taken.recipients == [ADA]
    assert (taken.encrypted, taken.authenticated) == (True, True)


def test_tls_from_the_first_byte(server: MailServer, trusted: trustme.LeafCert) -> None:
    server.certificate, server.implicit_tls = trusted, True
    server.start()
    send(server, SMTP_SECURITY="tls")
    assert len(server.taken) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_strangers_certificate_is_not_trusted(server: MailServer, security: str) -> None:
    server.certificate = trustme.CA().issue_cert("127.0.0.1")
    server.implicit_tls = security == "tls"
    server.accounts = True
    server.start()
    with pytest.raises(MailUnavailable, match="The certificate of the mail server"):
        send(server, SMTP_SECURITY=security, SMTP_USERNAME=USERNAME, SMTP_PASSWORD=PASSWORD)
    assert (server.logins, server.taken) == (0, [])


def test_a_certificate_of_another_host_is_not_trusted(
    server: MailServer, authority: trustme.CA, trusted: trustme.LeafCert
) -> None:
    server.certificate = authority.issue_cert("mail.example.org")
    server.start()
    with pytest.raises(MailUnavailable, match="certificate"):
        send(server, SMTP_SECURITY="starttls")
    assert server.taken == []


def test_without_starttls_nothing_is_sent_and_no_password(server: MailServer) -> None:
    """Somebody in between may have removed the offer; going on in clear is what they want."""
    server.accounts = True
    server.start()
    with pytest.raises(MailUnavailable, match="does not offer STARTTLS"):
        send(server, SMTP_SECURITY="starttls", SMTP_USERNAME=USERNAME, SMTP_PASSWORD=PASSWORD)
    assert (server.logins, server.taken) == (0, [])


def test_a_wrong_password_is_a_sentence_without_it(server: MailServer) -> None:
    server.accounts = True
    server.start()
    wrong = f"not {PASSWORD}"
    with pytest.raises(
        MailUnavailable, match="did not accept SMTP_USERNAME and SMTP_PASS"
    ) as caught:
        send(server, SMTP_USERNAME=USERNAME, SMTP_PASSWORD=wrong)
    assert "535" in str(caught.value)
    assert wrong not in "".join(traceback.format_exception(caught.value))
    assert server.logins > 0
    assert server.taken == []


@pytest.mark.parametrize(
    ("where", "answer", "kind"),
    [
        ("recipient", "451 4.3.0 try later", MailUnavailable),
        ("recipient", "550 5.1.1 <ada@example.org> unknown", MailRefused),
        ("data", "452 4.3.1 the disk is full", MailUnavailable),
        ("data", "554 5.7.1 ada@example.org wants no such mail", MailRefused),
    ],
)
def test_the_servers_word_decides_whether_to_try_again(
    server: MailServer, where: str, answer: str, kind: type[Exception]
) -> None:
    setattr(server, f"{where}_answer", answer)
    server.start()
    with pytest.raises(kind) as caught:
        send(server)
    code, enhanced, _ = answer.split(" ", 2)
    assert f"({code} {enhanced})" in str(caught.value)
    assert ADA not in "".join(traceback.format_exception(caught.value)), (
        "addresses stay out of logs"
    )


def test_a_conversation_that_breaks_off_is_tried_again(server: MailServer) -> None:
    server.drop = "data"
    server.start()
    with pytest.raises(MailUnavailable, match="broke off: it hung up"):
        send(server)


def test_what_was_taken_is_not_reported_as_failed(server: MailServer) -> None:
    """The server hangs up instead of saying good-bye."""
    server.drop = "quit"
    server.start()
    send(server)
    assert len(server.taken) == 1


def test_an_address_that_the_server_cannot_write_is_refused(server: MailServer) -> None:
    server.utf8 = False
    server.start()
    mailer = SmtpMailer(settings(server.port))
    with pytest.raises(MailRefused, match="SMTPUTF8"):
        mailer.send(letter("jürgen@example.org"))
    server.stop()
    server.utf8 = True
    server.start()
    mailer.send(letter("jürgen@example.org"))
    assert server.taken[0].recipients == ["jürgen@example.org"]


def test_a_server_that_is_away(server: MailServer) -> None:
    with pytest.raises(MailUnavailable, match=r"Could not talk to .*: Connection refused"):
        send(server)


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mailer = SmtpMailer(settings(silent.getsockname()[1], SMTP_TIMEOUT_SECONDS="0.2"))
        with pytest.raises(MailUnavailable, match="did not answer in time"):
            mailer.send(letter())


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"MAIL_FROM": ""}, "MAIL_FROM is not set, but SMTP_HOST needs it"),
        ({"MAIL_FROM": "docmill"}, "MAIL_FROM is wrong: must be an address"),
        ({"MAIL_FROM": "a@b.org\nBcc: c@d.org"}, "MAIL_FROM is wrong: must be an address"),
        ({"SMTP_USERNAME": "u"}, "SMTP_PASSWORD is not set, but SMTP_USERNAME needs it"),
        ({"SMTP_PASSWORD": "hush"}, "SMTP_USERNAME is not set, but SMTP_PASSWORD needs it"),
        (
            {"SMTP_HOST": "mail.example.org", "SMTP_USERNAME": "u", "SMTP_PASSWORD": "hush"},
            "SMTP_SECURITY=none would send SMTP_PASSWORD in clear",
        ),
        ({"SMTP_SECURITY": "ssl"}, "SMTP_SECURITY is wrong"),
    ],
)
def test_wrong_settings_are_one_sentence(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        settings(25, **variables)
    assert "hush" not in str(caught.value)


def test_the_development_server_keeps_every_mail(tmp_path: Path) -> None:
    for name in ("logs", "run"):
        (tmp_path / name).mkdir()
    server = DevelopmentServer(tmp_path, free_port())
    server.start()
    try:
        with mock.patch.dict("os.environ", server.environment(), clear=True):
            mailer = SmtpMailer(MailSettings.load())
        for name in ("first", "second"):
            mailer.send(letter(f"{name}@example.org"))
    finally:
        server.stop()
    mails = mailbox.newest(tmp_path, 10)
    assert [mail.header("To") for mail in mails] == ["second@example.org", "first@example.org"]
    assert mails[0].text() == "Hello."
    [mode] = {path.stat().st_mode & 0o777 for path in (tmp_path / "mail").glob("*.eml")}
    assert mode == 0o600
