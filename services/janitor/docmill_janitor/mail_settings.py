"""How mail is sent, if at all."""

import ipaddress
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from docmill_shared.settings import EnvironmentSettings


def _mailbox(text: str) -> str:
    try:
        mailbox(text)
    except ValueError:
        raise ValueError("must be an address, or a name and <an address>") from None
    return text


def mailbox(text: str) -> Address:
    """``docmill <hello@example.org>`` or only the address; anything else is a ValueError."""
    if not text.isprintable():
        raise ValueError("a control character in an address")
    name, address = parseaddr(text)
    try:
        found = Address(name, addr_spec=address)
    # Python's parser says no in one way, and stumbles in others.
    except (HeaderParseError, IndexError, AttributeError) as error:
        raise ValueError("not an address") from error
    if not (found.username and found.domain):
        raise ValueError("not an address")
    return found


class MailSettings(EnvironmentSettings):
    """Where mail goes out, for the service that sends it."""

    smtp_host: str | None = Field(
        None, description="The mail server that takes docmill's mail; not set: no mail is sent."
    )
    smtp_port: int = Field(587, ge=1, le=65_535, description="Its port; 465 is usual for `tls`.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="`starttls` and `tls` check the server's certificate (SSL_CERT_FILE names the "
        "authorities if they are not the system's); `none` is for a server on this machine.",
    )
    smtp_username: str | None = Field(None, description="Account at the mail server, if it asks.")
    smtp_password: SecretStr | None = Field(None, description="Password of that account.")
    smtp_timeout_seconds: float = Field(
        # A conversation has a dozen answers, and must end before ``welcomes.CLAIM_LASTS``.
        10.0,
        gt=0,
        le=20,
        description="Longest wait for one answer of the mail server.",
    )
    mail_from: Annotated[str, AfterValidator(_mailbox)] | None = Field(
        None, description="Sender of the mail, `Name <address>`; needed with SMTP_HOST."
    )

    @model_validator(mode="after")
    def _mail_has_a_sender(self) -> Self:
        if self.smtp_host and not self.mail_from:
            raise ValueError("MAIL_FROM is not set, but SMTP_HOST needs it")
        return self

    @model_validator(mode="after")
    def _credentials_are_complete(self) -> Self:
        if self.smtp_username and not self.smtp_password:
            raise ValueError("SMTP_PASSWORD is not set, but SMTP_USERNAME needs it")
        if self.smtp_password and not self.smtp_username:
            raise ValueError("SMTP_USERNAME is not set, but SMTP_PASSWORD needs it")
        return self

    @model_validator(mode="after")
    def _no_password_in_clear(self) -> Self:
        in_clear = self.smtp_password and self.smtp_security == "none"
        if in_clear and self.smtp_host and not _is_loopback(self.smtp_host):
            raise ValueError(
                "SMTP_SECURITY=none would send SMTP_PASSWORD in clear over the network; "
                "use starttls or tls"
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
