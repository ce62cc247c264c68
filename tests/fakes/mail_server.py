"""A real SMTP server on loopback, with TLS, accounts and every misfortune on demand."""

import asyncio
import ssl
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from docmill_dev.ports import free_port

USERNAME, PASSWORD = "docmill", "a password that no log may show"


@dataclass
class Taken:
    """A mail that was accepted."""

    recipients: list[str]
    message: EmailMessage
    encrypted: bool
    authenticated: bool


@dataclass
class MailServer:
    """Starts and stops; ``taken`` holds what it accepted.

    ``recipient_answer`` and ``data_answer`` are its replies, ``drop`` is where it hangs up
    (``data``, ``quit``), and DATA waits until ``gate`` is set.
    """

    certificate: trustme.LeafCert | None = None
    implicit_tls: bool = False
    accounts: bool = False
    utf8: bool = True
    recipient_answer: str = "250 OK"
    data_answer: str = "250 OK"
    drop: str = ""
    gate: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)
    taken: list[Taken] = field(default_factory=list)
    logins: int = 0
    #: DATA commands that came to an end, also if the client was gone by then.
    finished: int = 0
    port: int = field(default_factory=free_port)
    _controller: Controller | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    def start(self) -> None:
        """Return once it answers."""
        context = None
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.certificate.configure_cert(context)
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            server_hostname="localhost",  # else it asks the resolver
            enable_SMTPUTF8=self.utf8,
            ssl_context=context if self.implicit_tls else None,
            tls_context=None if self.implicit_tls else context,
            authenticator=self._authenticate if self.accounts else None,
            auth_require_tls=False,
            ready_timeout=60,
        )
        self._controller.start()

    def stop(self) -> None:
        """Its port refuses connections from now on."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.recipient_answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.recipient_answer

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.arrived.set()
        try:
            await server.loop.run_in_executor(None, self.gate.wait, 60)
            return self._take(server, session, envelope)
        finally:
            self.finished += 1

    def _take(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.drop == "data":
            _hang_up(server)
        elif self.data_answer.startswith("2"):
            assert isinstance(envelope.content, bytes)
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.taken.append(
                Taken(
                    list(envelope.rcpt_tos),
                    message,
                    encrypted=session.ssl is not None or self.implicit_tls,
                    authenticated=bool(session.authenticated),
                )
            )
        return self.data_answer

    async def handle_QUIT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.drop == "quit":
            _hang_up(server)
        return "221 Bye"

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        self.logins += 1
        right = LoginPassword(USERNAME.encode(), PASSWORD.encode())
        return AuthResult(success=data == right, handled=False)


def _hang_up(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()
