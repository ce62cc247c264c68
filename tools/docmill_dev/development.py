"""Everything on this machine: the servers, and the processes that production runs, as they are.

Used by ``docmill up``, ``demo`` and ``corpus``, and by the end-to-end tests. The services get an
environment and nothing else; where the user's own names a server or a secret, that one counts.
"""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from docmill_client import Conflict, DocmillError, Unauthorized
from docmill_dev import roles
from docmill_dev.children import Child
from docmill_dev.credentials import DEMO_EMAIL, Credentials
from docmill_dev.ports import RememberedPorts
from docmill_dev.processes import Process, Processes, ProcessFailed
from docmill_dev.servers import MailServer, Server
from docmill_dev.session import Session
from docmill_dev.stack import Stack, StackError

#: Shows that something is under way: ``with step("what"):``.
Step = Callable[[str], AbstractContextManager[None]]

#: The service processes by name, in the order in which they start.
PROCESSES = ("api", "ingest", "scheduler", "janitor")

_MIGRATION_SECONDS = 120.0
_READY_SECONDS = 120.0
_PYTHON = (sys.executable, "-m")
_API = (*_PYTHON, "gunicorn", "-c", "python:docmill_api.gunicorn_config")
#: What differs from production: a person reads the log, waits for Ctrl-C, has two cores and is the
#: only one to call.
_DEVELOPMENT_DEFAULTS = {
    "DEVELOPMENT": "true",
    "LOG_FORMAT": "console",
    "SHUTDOWN_GRACE_SECONDS": "2",
    "API_WORKERS": "2",
    "RATE_LIMITS": "false",
    # A receiver that is being written runs on this machine, too.
    "WEBHOOK_ALLOW_PRIVATE_TARGETS": "true",
}


class Development:
    """A complete docmill on loopback, as a context manager."""

    def __init__(
        self,
        directory: Path,
        *,
        step: Step = lambda what: nullcontext(),
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.directory = directory.resolve()
        self.url = ""
        self._step = step
        self._environ = environ
        #: Takes docmill's mail and keeps it in files; None where the user's own SMTP_HOST counts.
        self.mail: MailServer | None = None
        self.stack = Stack(self.directory, environ=environ)
        self.processes = Processes(log_directory=self.directory / "logs")
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        """Return once the API is ready and every process runs.

        Raises:
            StackError, ServerFailed, ProcessFailed: a sentence; nothing is left running.
        """
        with self._exit:
            with self._step("PostgreSQL, Valkey and an S3 server"):
                self._exit.enter_context(self.stack)
            environment = self._environment()
            if self.mail is not None:
                self._exit.callback(self.mail.stop)
                self.mail.start()
            with self._step("The database schema"):
                self._migrate(environment)
            with self._step("The API, the ingest worker and the janitor"):
                self._exit.enter_context(self.processes)
                self._start(environment)
                self.processes.wait_ready(_READY_SECONDS)
            self._exit = self._exit.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def require_alive(self) -> None:
        """Raise ProcessFailed, which names it and shows its last lines, if anything has ended."""
        failed = self.processes.failed()
        if failed is not None:
            raise failed.failure(_ended(failed))
        if self.mail is not None and self.mail.pid is None:
            raise self.mail.failure("has ended")
        for name in ("postgres", "valkey", "s3"):
            try:
                server: Server = getattr(self.stack, name)
            except StackError:
                continue  # the user's own
            if server.pid is None:
                raise server.failure("has ended")

    def demo_session(self) -> Session:
        """The demo account, made if it does not exist yet; it is an admin.

        Raises:
            DocmillError: for example, someone else has that account in the user's own database.
        """
        session = Session(self.url, DEMO_EMAIL, Credentials.of(self.directory).demo_password)
        with session.client() as client:
            try:
                client.register()
            except Conflict as error:
                if error.code != "email_taken":
                    raise
                _require_known(session)
        roles.grant(self.stack.environment()["DATABASE_URL"], session.email, "admin")
        return session

    def _environment(self) -> dict[str, str]:
        """The whole environment of a service."""
        ports = RememberedPorts(self.directory / "ports.json")
        chosen = ports.choose(["api", "mail"])
        ports.save(chosen)
        self.url = f"http://127.0.0.1:{chosen['api']}"
        wished = {name: value for name, value in self._environ.items() if value}
        mail: dict[str, str] = {}
        if "SMTP_HOST" not in wished:
            self.mail = MailServer(self.directory, chosen["mail"])
            mail = self.mail.environment()
        kept = Credentials.of(self.directory)
        return (
            _DEVELOPMENT_DEFAULTS
            | {"JWT_SECRET": kept.jwt_secret, "WEBHOOK_KEY": kept.webhook_key}
            | wished
            | mail
            | self.stack.environment()
            | {"API_HOST": "127.0.0.1", "API_PORT": str(chosen["api"])}
        )

    def _migrate(self, environment: Mapping[str, str]) -> None:
        log = self.directory / "logs" / "migrate.log"
        with log.open("wb") as output:
            child = Child((*_PYTHON, "docmill_shared.migrate"), env=environment, stdout=output)
            try:
                child.wait(_MIGRATION_SECONDS)
                code = child.exit_code()
            finally:
                child.kill()
        if code != 0:
            how = "did not end in time" if code is None else f"ended with code {code}"
            text = log.read_text(errors="replace").strip()
            raise ProcessFailed(f"migrate {how}. The end of {log}:\n{text[-4_000:]}")

    def _start(self, environment: Mapping[str, str]) -> None:
        workers = ("--processes", "1", "--threads", "2")
        commands = {
            "api": (*_API, "docmill_api.wsgi:app"),
            "ingest": (*_PYTHON, "docmill_ingest", *workers),
            "scheduler": (*_PYTHON, "docmill_janitor.scheduler"),
            "janitor": (*_PYTHON, "docmill_janitor", *workers),
        }
        ready = "ready for messages"
        lines = {"ingest": ready, "scheduler": "the schedule runs", "janitor": ready}
        for name in PROCESSES:
            self.processes.start(
                name,
                commands[name],
                env=environment,
                ready_url=f"{self.url}/readyz" if name == "api" else None,
                ready_line=lines.get(name),
            )


def _ended(process: Process) -> str:
    """How a process ended, to follow its name."""
    code = process.exit_code
    if code is not None and code < 0:
        return f"was ended by signal {-code}"
    return f"ended with code {code}"


def _require_known(session: Session) -> None:
    """Refuse unless the account has the password that this directory keeps."""
    try:
        session.connect().close()
    except Unauthorized:
        raise DocmillError(
            f"The database has an account {session.email} whose password this folder does not "
            "know. Delete that account, or use another database."
        ) from None
