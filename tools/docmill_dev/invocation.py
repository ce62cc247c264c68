"""What all commands of ``docmill`` share: the folder they work with, and how they end.

0: all is well; 1: something failed, for example a file; 2: wrong usage, or nothing to connect to.
Whatever a person can do something about is one sentence on stderr, never a traceback.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from docmill_client import DocmillError, Unreachable
from docmill_dev import places, terminal
from docmill_dev.corpus_manifest import ManifestError
from docmill_dev.mailbox import NoSuchMail
from docmill_dev.processes import ProcessFailed
from docmill_dev.servers import ServerFailed
from docmill_dev.session import NoSession
from docmill_dev.stack import StackError

FAILED, CANNOT_CONNECT, INTERRUPTED = 1, 2, 130

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="DOCMILL_DATA",
        file_okay=False,
        help="Folder for all data.",
        show_default=".docmill of this checkout",
    ),
]


def directory_of(data: Path | None) -> Path:
    """The folder that was named, or the usual one."""
    return data if data is not None else places.data_directory()


@contextmanager
def answering() -> Iterator[None]:
    """Turn what can go wrong into a sentence and an exit code."""
    try:
        yield
    except (NoSession, Unreachable, ManifestError) as error:
        terminal.complain(str(error))
        raise typer.Exit(CANNOT_CONNECT) from None
    except (
        DocmillError,
        NoSuchMail,
        StackError,
        ServerFailed,
        ProcessFailed,
        TimeoutError,
    ) as error:
        terminal.complain(str(error))
        raise typer.Exit(FAILED) from None
    except BrokenPipeError:
        # The reader has seen enough (as with head); Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except OSError as error:
        terminal.complain(f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "))
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        terminal.complain("interrupted.")
        raise typer.Exit(INTERRUPTED) from None
