"""Sending one mail: a port with one method, and SMTP behind it.

Says who must act when it does not work: nobody but time (``MailUnavailable``: the server is away,
overloaded, or set up wrongly) or nobody at all (``MailRefused``: this mail will never be taken).
Messages of errors hold the server's codes and never its words, which repeat addresses.
"""

import contextlib
import re
import smtplib
import ssl
from email.message import EmailMessage
from typing import Protocol

from docmill_janitor.mail_settings import MailSettings
from docmill_shared.errors import DocmillError, TransientError

#: RFC 3463, at the beginning of a reply's text: ``5.1.1``.
_ENHANCED_CODE = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}\b")


class MailUnavailable(TransientError):
    """The mail was not taken this time."""


class MailRefused(DocmillError):
    """The mail server refuses this mail for good."""


class Mailer(Protocol):
    """Sends mail."""

    def send(self, mail: EmailMessage) -> None:
        """Return once a server has taken it over.

        Raises:
            MailUnavailable: not now; trying again later can help.
            MailRefused: never; trying again cannot help.
        """


class SmtpMailer:
    """Each mail in a conversation of its own; a mail that is accepted is never reported as failed.

    The password is sent over TLS only, except to this machine if ``SMTP_SECURITY=none`` says so.
    """

    def __init__(self, settings: MailSettings) -> None:
        assert settings.smtp_host
        self._settings = settings
        self._host = settings.smtp_host
        self._server = f"mail server {settings.smtp_host}:{settings.smtp_port}"

    def send(self, mail: EmailMessage) -> None:
        """See ``Mailer``."""
        try:
            connection = self._connect()
        except ssl.SSLCertVerificationError as error:
            raise MailUnavailable(
                f"The certificate of the {self._server} cannot be trusted: {error.verify_message}."
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise MailUnavailable(
                f"Could not talk to the {self._server}: {_reason(error)}."
            ) from None
        try:
            self._hand_over(connection, mail)
        finally:
            # The mail is on its way or is not; how the conversation ends changes nothing.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                connection.quit()
            connection.close()

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        timeout = settings.smtp_timeout_seconds
        connection: smtplib.SMTP
        if settings.smtp_security == "tls":
            connection = smtplib.SMTP_SSL(
                self._host,
                settings.smtp_port,
                timeout=timeout,
                context=ssl.create_default_context(),
            )
        else:
            connection = smtplib.SMTP(self._host, settings.smtp_port, timeout=timeout)
        try:
            if settings.smtp_security == "starttls":
                self._start_tls(connection)
            self._log_in(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _start_tls(self, connection: smtplib.SMTP) -> None:
        try:
            connection.starttls(context=ssl.create_default_context())
        except smtplib.SMTPNotSupportedError:
            raise MailUnavailable(
                f"The {self._server} does not offer STARTTLS, and SMTP_SECURITY=starttls "
                "forbids to go on in clear."
            ) from None

    def _log_in(self, connection: smtplib.SMTP) -> None:
        username, password = self._settings.smtp_username, self._settings.smtp_password
        if not username or password is None:
            return
        try:
            connection.login(username, password.get_secret_value())
        except smtplib.SMTPAuthenticationError as error:
            raise MailUnavailable(
                f"The {self._server} did not accept SMTP_USERNAME and SMTP_PASSWORD "
                f"({_codes(error.smtp_code, error.smtp_error)})."
            ) from None
        except smtplib.SMTPNotSupportedError:
            raise MailUnavailable(
                f"The {self._server} takes no password, but SMTP_PASSWORD is set."
            ) from None

    def _hand_over(self, connection: smtplib.SMTP, mail: EmailMessage) -> None:
        try:
            connection.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            [(code, text)] = error.recipients.values()
            raise _refusal("the recipient", code, text) from None
        except smtplib.SMTPDataError as error:
            raise _refusal("the mail", error.smtp_code, error.smtp_error) from None
        except smtplib.SMTPSenderRefused as error:
            # About us and not about this mail: an operator can change it.
            codes = _codes(error.smtp_code, error.smtp_error)
            raise MailUnavailable(
                f"The {self._server} does not accept MAIL_FROM ({codes})."
            ) from None
        except smtplib.SMTPNotSupportedError:
            raise MailRefused(
                "The mail server cannot write to an address with such letters (no SMTPUTF8)."
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise MailUnavailable(
                f"The conversation with the {self._server} broke off: {_reason(error)}."
            ) from None


def _refusal(what: str, code: int, text: bytes | str) -> MailRefused | MailUnavailable:
    kind = MailRefused if code >= 500 else MailUnavailable
    return kind(f"The mail server refused {what} ({_codes(code, text)}).")


def _codes(code: int, text: bytes | str) -> str:
    enhanced = _ENHANCED_CODE.match(text.encode() if isinstance(text, str) else text)
    return f"{code} {enhanced[0].decode()}" if enhanced else str(code)


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it answered {_codes(error.smtp_code, error.smtp_error)}"
    if isinstance(error, smtplib.SMTPServerDisconnected) and "timed out" not in str(error):
        return "it hung up"
    if isinstance(error, TimeoutError | smtplib.SMTPServerDisconnected):
        return "it did not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
