"""The embedded stack: PostgreSQL with pgvector, Valkey and an S3 server, without containers.

Used by the ``docmill`` command and by the tests. The servers listen on 127.0.0.1 only and keep
their data in one directory; a second start finds it again, on the same ports if they are free.
While a stack runs, its directory is locked: a second one in it fails with a sentence. No server
outlives the process that started it, whichever way that process ends.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from docmill_dev.ports import RememberedPorts, free_port, is_free
from docmill_dev.servers import PostgresServer, S3Server, Server, ServerFailed, ValkeyServer

_BUCKET = "docmill"
_REGION = "us-east-1"
_VARIABLES = {  # the first of each: set by the user, the server is the user's own
    "postgres": ("DATABASE_URL", "API_DATABASE_URL"),
    "valkey": ("REDIS_URL",),
    "s3": ("S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET", "S3_REGION"),
}
_CREDENTIALS = (
    "superuser_password",
    "password",
    "api_password",
    "s3_access_key",
    "s3_secret_key",
)


class StackError(RuntimeError):
    """The stack cannot do what was asked; the message is for the person at the keyboard."""


class Stack:
    """The three servers, as a context manager.

    A server whose variable (``DATABASE_URL``, ``REDIS_URL``, ``S3_ENDPOINT``) is set in
    ``environ`` is not started; the user's own is used instead. ``postgres_settings`` are added to
    the development settings, for example ``{"fsync": "off"}`` for a test.
    """

    def __init__(
        self,
        directory: Path,
        *,
        environ: Mapping[str, str] = os.environ,
        postgres_settings: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self._external = {
            name: {each: environ[each] for each in variables if environ.get(each)}
            for name, variables in _VARIABLES.items()
            if environ.get(variables[0])
        }
        self._settings = dict(postgres_settings or {})
        self._servers: dict[str, Server] = {}
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def postgres(self) -> PostgresServer:
        """The database server; raises StackError when it is the user's own."""
        server = self._server("postgres")
        assert isinstance(server, PostgresServer)
        return server

    @property
    def valkey(self) -> ValkeyServer:
        """The Redis server; raises StackError when it is the user's own."""
        server = self._server("valkey")
        assert isinstance(server, ValkeyServer)
        return server

    @property
    def s3(self) -> S3Server:
        """The object store; raises StackError when it is the user's own."""
        server = self._server("s3")
        assert isinstance(server, S3Server)
        return server

    def start(self) -> None:
        """Return once every server answers. If one fails, none is left running."""
        if self._lock is not None:
            raise StackError(f"This stack is running already in {self.directory}.")
        self._make_directories()
        self._lock = self._take_lock()
        try:
            ports = RememberedPorts(self.directory / "ports.json")
            wanted = [name for name in _VARIABLES if name not in self._external]
            self._servers = self._build(ports.choose(wanted))
            if self._servers:
                with ThreadPoolExecutor(len(self._servers)) as pool:
                    list(pool.map(_start, self._servers.values()))
            ports.save({name: server.port for name, server in self._servers.items()})
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut every server down cleanly, all at once. May be called twice."""
        try:
            if self._servers:
                with ThreadPoolExecutor(len(self._servers)) as pool:
                    list(pool.map(lambda server: server.stop(), self._servers.values()))
        finally:
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def environment(self) -> dict[str, str]:
        """The variables that lead docmill's services to these servers."""
        variables: dict[str, str] = {}
        for values in self._external.values():
            variables |= values
        if "postgres" not in self._external:
            variables["DATABASE_URL"] = self.postgres.url()
            variables["API_DATABASE_URL"] = self.postgres.api_url()
        elif "API_DATABASE_URL" not in variables:
            # The migration makes this login, if the user's own role may do that.
            password = self._credentials()["api_password"]
            variables["API_DATABASE_URL"] = as_api(variables["DATABASE_URL"], password)
        if "valkey" not in self._external:
            variables["REDIS_URL"] = self.valkey.url
        if "s3" not in self._external:
            keys = self._credentials()
            variables |= {
                "S3_ENDPOINT": self.s3.url,
                "S3_ACCESS_KEY": keys["s3_access_key"],
                "S3_SECRET_KEY": keys["s3_secret_key"],
                "S3_BUCKET": _BUCKET,
                "S3_REGION": _REGION,
            }
        return variables

    def create_database(self, name: str) -> str:
        """The URL of a fresh database with pgvector, for one test session.

        In the embedded server a database of this name is replaced. In the user's own server
        nothing is ever dropped: there, a database of this name is an error.
        """
        external = self._external.get("postgres")
        if external is None:
            return self.postgres.create_database(name)
        scheme, rest = external["DATABASE_URL"].split("://", 1)
        location, _, query = rest.partition("?")
        target = f"://{location.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")
        with psycopg.connect(f"postgresql://{rest}", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with psycopg.connect(f"postgresql{target}", autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        return scheme + target

    def _server(self, name: str) -> Server:
        if name in self._external:
            raise StackError(f"{_VARIABLES[name][0]} is set: {name} is not this stack's to run.")
        if name not in self._servers:
            raise StackError("The stack has not been started.")
        return self._servers[name]

    def _make_directories(self) -> None:
        try:
            self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            for name in ("logs", "run"):
                (self.directory / name).mkdir(mode=0o700, exist_ok=True)
            if not os.access(self.directory / "logs", os.W_OK | os.X_OK):
                raise PermissionError(f"no right to write in {self.directory / 'logs'}")
        except OSError as error:
            raise StackError(
                f"{self.directory} cannot be used ({error}); it may belong to another user."
            ) from error

    def _take_lock(self) -> IO[str]:
        try:
            lock = (self.directory / "lock").open("a+")
        except OSError as error:
            raise StackError(f"{self.directory} cannot be used ({error}).") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise StackError(
                f"A stack is already running in {self.directory} (process {holder}):"
                " stop it first, or choose another directory."
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        return lock

    def _credentials(self) -> dict[str, str]:
        """Random, made once; the file is readable by its owner only."""
        path = self.directory / "credentials.json"
        known: dict[str, str] = {}
        with contextlib.suppress(FileNotFoundError):
            known = json.loads(path.read_text())
        missing = [name for name in _CREDENTIALS if name not in known]
        if missing:
            # Those that are there stay: servers were made with them.
            known |= {name: secrets.token_hex(20) for name in missing}
            draft = path.with_suffix(".new")
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
                json.dump(known, f)
            draft.replace(path)
        return known

    def _build(self, ports: Mapping[str, int]) -> dict[str, Server]:
        keys = self._credentials()
        servers: dict[str, Server] = {}
        if "postgres" in ports:
            servers["postgres"] = PostgresServer(
                self.directory,
                ports["postgres"],
                superuser_password=keys["superuser_password"],
                password=keys["password"],
                api_password=keys["api_password"],
                settings=self._settings,
            )
        if "valkey" in ports:
            servers["valkey"] = ValkeyServer(self.directory, ports["valkey"])
        if "s3" in ports:
            servers["s3"] = S3Server(
                self.directory,
                ports["s3"],
                bucket=_BUCKET,
                region=_REGION,
                access_key=keys["s3_access_key"],
                secret_key=keys["s3_secret_key"],
            )
        return servers


def as_api(database_url: str, password: str) -> str:
    """The same database for the login ``docmill_api`` with this password."""
    url = make_url(database_url).set(username="docmill_api", password=password)
    return url.render_as_string(hide_password=False)


def _start(server: Server) -> None:
    """Start it, on another port if its own was taken between being chosen and being used."""
    for attempts_left in (2, 1, 0):
        try:
            return server.start()
        except ServerFailed:
            if is_free(server.port) or not attempts_left:
                raise
            server.port = free_port()
