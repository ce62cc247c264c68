"""The ``docmill`` command. Each command parses, calls one function, and ends with 0, 1 or 2.

0: all is well; 1: something failed, for example a file; 2: wrong usage, or nothing to connect to.
Whatever a person can do something about is one sentence on stderr, never a traceback.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from docmill_dev import citations, places, session, terminal
from docmill_dev.client import ClientError, Unreachable
from docmill_dev.corpus_manifest import ManifestError
from docmill_dev.file_lines import listed
from docmill_dev.processes import ProcessFailed, end_on_signals
from docmill_dev.servers import ServerFailed
from docmill_dev.session import NoSession
from docmill_dev.stack import Stack, StackError
from docmill_dev.uploads import upload_and_wait

FAILED, CANNOT_CONNECT, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    help="Turn files into searchable, cited passages in your own Postgres.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    # A traceback of typer's own shows local variables, and so passwords.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_RUN = "Run docmill on this machine"
_USE = "Work with the docmill that runs here"
_CHECK = "Check and configure"

Documents = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", exists=True, dir_okay=False, readable=True, show_default=False
    ),
]
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


class Mode(StrEnum):
    """How passages are found."""

    HYBRID = "hybrid"
    SEMANTIC = "semantic"
    TEXT = "text"


@app.command(rich_help_panel=_RUN)
def demo(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE...]",
            exists=True,
            dir_okay=False,
            readable=True,
            show_default="the files of examples/",
        ),
    ] = None,
    ask: Annotated[
        list[str] | None, typer.Option(help="A question to the files; may be repeated.")
    ] = None,
    data: Data = None,
) -> None:
    """Start everything, ingest files, ask questions, stop."""
    from docmill_dev import demo as demonstration

    with answering(), end_on_signals():
        shown = demonstration.Demo.of_examples()
        if files:
            shown = demonstration.Demo(_unique(files), [])
        if ask:
            shown = demonstration.Demo(shown.files, ask)
        if not demonstration.run(shown, _directory(data), terminal.output()):
            raise typer.Exit(FAILED)


@app.command(rich_help_panel=_RUN)
def up(data: Data = None) -> None:
    """Start everything and follow the logs until Ctrl-C."""
    from docmill_dev import up as running

    with answering():
        try:
            with end_on_signals():
                running.run(_directory(data), terminal.output())
        except (KeyboardInterrupt, SystemExit):
            return  # the normal end of it


@app.command(rich_help_panel=_RUN)
def stack(data: Data = None) -> None:
    """Start only PostgreSQL, Valkey and S3; print how to reach them."""
    import shlex
    import signal

    with answering():
        try:
            with end_on_signals(), Stack(_directory(data)) as servers:
                for name, value in servers.environment().items():
                    print(f"export {name}={shlex.quote(value)}", flush=True)
                print("\nThe servers run until Ctrl-C.", file=sys.stderr, flush=True)
                while True:
                    signal.pause()
        except (KeyboardInterrupt, SystemExit):
            return


@app.command(rich_help_panel=_USE)
def ingest(
    files: Documents,
    public: Annotated[bool, typer.Option("--public", help="Let every account find it.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the end.")] = False,
    data: Data = None,
) -> None:
    """Upload files and wait until they are searchable."""
    with answering(), session.connect(os.environ, _directory(data)) as client:
        outcome = upload_and_wait(
            client,
            _unique(files),
            terminal.output(),
            visibility="public" if public else "private",
            wait=not no_wait,
        )
        if outcome.failed:
            raise typer.Exit(FAILED)


@app.command(rich_help_panel=_USE)
def files(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    data: Data = None,
) -> None:
    """List the files and what became of them."""
    with answering(), session.connect(os.environ, _directory(data)) as client:
        console = terminal.output()
        found = list(islice(client.files(), limit + 1))
        if not found:
            console.print("No files yet. Add some with: docmill ingest FILE...")
            return
        console.print(listed(found[:limit], datetime.now(UTC)))
        if len(found) > limit:
            console.print(f"\nThere are more: docmill files --limit {limit * 2}")


@app.command(rich_help_panel=_USE)
def search(
    query: Annotated[str, typer.Argument(metavar="QUESTION", show_default=False)],
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many passages.")] = 3,
    mode: Annotated[Mode, typer.Option(help="By meaning, by words, or by both.")] = Mode.HYBRID,
    data: Data = None,
) -> None:
    """Find the passages that answer a question."""
    with answering(), session.connect(os.environ, _directory(data)) as client:
        console = terminal.output()
        found = client.search(query, limit, mode.value)
        console.print()
        citations.show(console, found, query)


@app.command(rich_help_panel=_CHECK)
def corpus(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="Has a manifest.json."),
    ],
) -> None:
    """Ingest a folder of documents; compare with what is expected."""
    from docmill_dev import corpus as checking

    with answering(), end_on_signals():
        if not checking.run(folder, terminal.output()):
            raise typer.Exit(FAILED)


@app.command(rich_help_panel=_CHECK)
def env() -> None:
    """Print every setting of the services, as for .env.example."""
    from docmill_dev import settings_file

    print(settings_file.text(), end="")


@contextmanager
def answering() -> Iterator[None]:
    """Turn what can go wrong into a sentence and an exit code."""
    try:
        yield
    except (NoSession, Unreachable, ManifestError) as error:
        terminal.complain(str(error))
        raise typer.Exit(CANNOT_CONNECT) from None
    except (ClientError, StackError, ServerFailed, ProcessFailed, TimeoutError) as error:
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


def _directory(data: Path | None) -> Path:
    return data if data is not None else places.data_directory()


def _unique(paths: list[Path]) -> list[Path]:
    """Each once, however often the caller's wildcards matched it."""
    return list(dict.fromkeys(paths))
