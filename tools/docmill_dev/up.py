"""``docmill up``: everything runs, its logs scroll by, other terminals work with it."""

import os
import shlex
import shutil
import sys
import time
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from docmill_dev import session, terminal
from docmill_dev.development import PROCESSES, Development
from docmill_dev.log_lines import LogFollower
from docmill_dev.session import Session
from docmill_dev.stack import StackError

_LOOK_SECONDS = 0.2


def run(directory: Path, console: Console) -> None:
    """Run until a signal unwinds this function.

    Raises:
        StackError: docmill runs here already.
        ServerFailed, ProcessFailed: something did not start, or has ended.
    """
    running = session.running(directory)
    if running is not None:
        raise StackError(f"docmill is running here already, at {running.url}")
    console.print(Text("\nStarting docmill\n", "bold"))
    try:
        with Development(directory, step=partial(terminal.step, console)) as development:
            account = development.demo_session()
            account.write(directory)
            console.print()
            console.print(_welcome(account, catches_mail=development.mail is not None))
            console.print()
            follower = LogFollower(directory / "logs", PROCESSES, console)
            try:
                while True:
                    follower.show_new()
                    development.require_alive()
                    time.sleep(_LOOK_SECONDS)
            finally:
                session.remove(directory)
                console.print(Text("\nStopping …", "bold"))
    finally:
        console.print()


def _welcome(account: Session, *, catches_mail: bool) -> Panel:
    docmill = command()
    table = Table.grid(padding=(0, 2))
    table.add_row("API", Text(account.url, "bold cyan"))
    table.add_row("Documentation", Text(f"{account.url}/docs", "cyan"))
    table.add_row("Demo account", Text(account.email, "bold"))
    table.add_row("Password", account.password)
    table.add_row()
    table.add_row("In another terminal", Text(f"{docmill} ingest report.pdf notes.md", "green"))
    table.add_row("", Text(f"{docmill} files", "green"))
    table.add_row("", Text(f'{docmill} search "your question"', "green"))
    table.add_row("", Text(f'{docmill} chat "your question"', "green"))
    table.add_row("", Text(f"{docmill} jobs", "green"))
    if catches_mail:
        table.add_row("", Text(f"{docmill} mail", "green"))
    table.add_row()
    table.add_row("Stop everything", "Ctrl-C")
    return Panel(table, title=Text("docmill is running", "bold green"), padding=(1, 2))


def command() -> str:
    """How to call this program from the folder that the user is in."""
    called = Path(sys.argv[0])
    found = shutil.which("docmill")
    if found is not None and Path(found).resolve() == called.resolve():
        return "docmill"
    relative = os.path.relpath(called)
    return shlex.quote(relative if len(relative) < len(str(called)) else str(called))
