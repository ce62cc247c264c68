"""Where docmill runs and as whom to talk to it: what ``docmill up`` leaves for other terminals."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from docmill_client import Client, DocmillError, TimedOut, Unreachable
from docmill_dev import private_files

NOT_RUNNING = "docmill is not running here. Start it with: make up"


class NoSession(DocmillError):
    """There is nothing to connect to, or nobody to be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Session:
    """An address and an account."""

    url: str
    email: str
    password: str

    def connect(self) -> Client:
        """A client that is logged in; raises :class:`DocmillError`."""
        client = self.client()
        try:
            client.log_in()
        except DocmillError:
            client.close()
            raise
        return client

    def client(self) -> Client:
        """A client that has not said anything yet."""
        return Client(self.url, email=self.email, password=self.password)

    def write(self, directory: Path) -> None:
        """Leave it for other terminals."""
        private_files.write(_path(directory), asdict(self))


def remove(directory: Path) -> None:
    """Nothing runs here any more."""
    _path(directory).unlink(missing_ok=True)


def read(directory: Path) -> Session | None:
    """What was left in the data directory; whether it still runs, only a request can tell."""
    kept = private_files.read(_path(directory))
    if kept is None or not kept.keys() >= {"url", "email", "password"}:
        return None
    return Session(kept["url"], kept["email"], kept["password"])


def running(directory: Path) -> Session | None:
    """The session of the docmill that runs in this directory and answers now."""
    session = read(directory)
    if session is None:
        return None
    try:
        with session.connect():
            return session
    except Unreachable:
        return None  # it ended without tidying up


def find(environ: Mapping[str, str], directory: Path) -> Session:
    """DOCMILL_URL, DOCMILL_EMAIL and DOCMILL_PASSWORD, each in place of what was left.

    Raises:
        NoSession: says what is missing.
    """
    left = read(directory)
    url = environ.get("DOCMILL_URL") or (left.url if left else None)
    if url is None:
        raise NoSession(NOT_RUNNING)
    if not url.startswith(("http://", "https://")):
        raise NoSession("DOCMILL_URL must start with http:// or https://")
    # The account that was left is known there only; its password is no other server's business.
    known = left if left is not None and left.url == url.rstrip("/") else None
    email = environ.get("DOCMILL_EMAIL") or (known.email if known else None)
    password = environ.get("DOCMILL_PASSWORD") or (known.password if known else None)
    if email is None or password is None:
        raise NoSession("DOCMILL_URL is set: set DOCMILL_EMAIL and DOCMILL_PASSWORD as well.")
    return Session(url, email, password)


def connect(environ: Mapping[str, str], directory: Path) -> Client:
    """A client for the docmill that runs here, or that the environment names.

    Raises:
        NoSession: nothing runs here, or something is missing.
        DocmillError: the server does not answer or refuses the account.
    """
    session = find(environ, directory)
    try:
        return session.connect()
    except Unreachable as error:
        # What does not answer in time runs, and starting another would not help it.
        if environ.get("DOCMILL_URL") or isinstance(error, TimedOut):
            raise
        raise NoSession(NOT_RUNNING) from None


def _path(directory: Path) -> Path:
    return directory / "session.json"
