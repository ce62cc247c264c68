"""The ``docmill`` command. Each command parses, calls one function, and ends with 0, 1 or 2.

The operators' commands are in :mod:`.operate`; what the exit codes mean, in :mod:`.invocation`.
"""

import os
import sys
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from docmill_dev import citations, mailbox, operate, session, terminal
from docmill_dev.conversation import Conversation
from docmill_dev.file_lines import listed
from docmill_dev.invocation import FAILED, Data, answering, directory_of
from docmill_dev.processes import end_on_signals
from docmill_dev.stack import Stack
from docmill_dev.uploads import upload_and_wait

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
_OPERATE = "Operate (admins)"
_CHECK = "Check and configure"

mail_app = typer.Typer(add_completion=False)
app.add_typer(mail_app, name="mail", rich_help_panel=_USE)

Documents = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", exists=True, dir_okay=False, readable=True, show_default=False
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
        if not demonstration.run(shown, directory_of(data), terminal.output()):
            raise typer.Exit(FAILED)


@app.command(rich_help_panel=_RUN)
def up(data: Data = None) -> None:
    """Start everything and follow the logs until Ctrl-C."""
    from docmill_dev import up as running

    with answering():
        try:
            with end_on_signals():
                running.run(directory_of(data), terminal.output())
        except (KeyboardInterrupt, SystemExit):
            return  # the normal end of it


@app.command(rich_help_panel=_RUN)
def stack(data: Data = None) -> None:
    """Start only PostgreSQL, Valkey and S3; print how to reach them."""
    import shlex
    import signal

    with answering():
        try:
            with end_on_signals(), Stack(directory_of(data)) as servers:
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
    with answering(), session.connect(os.environ, directory_of(data)) as client:
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
    with answering(), session.connect(os.environ, directory_of(data)) as client:
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
    with answering(), session.connect(os.environ, directory_of(data)) as client:
        console = terminal.output()
        found = client.search(query, limit=limit, mode=mode.value)
        console.print()
        citations.show(console, found, query)


@app.command(rich_help_panel=_USE)
def chat(
    question: Annotated[
        str | None, typer.Argument(metavar="QUESTION", show_default="a conversation")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=20, help="Passages that an answer may rest on.")
    ] = 8,
    data: Data = None,
) -> None:
    """Answer questions from the files, and name the passages that say so."""
    with answering(), session.connect(os.environ, directory_of(data)) as client:
        conversation = Conversation(client, terminal.output(), limit)
        if question is None:
            conversation.run()
        else:
            conversation.ask(question)


@mail_app.callback(invoke_without_command=True)
def mail(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    data: Data = None,
) -> None:
    """List the mail that docmill sent while it ran here, newest first; show N reads one."""
    if context.invoked_subcommand is not None:
        return
    with answering():
        console = terminal.output()
        found = mailbox.newest(directory_of(data), limit)
        if not found:
            console.print("No mail yet. Everybody who registers is sent one.")
            return
        mailbox.show_list(console, found, datetime.now(UTC))
        console.print("\nRead one with: docmill mail show 1")


@mail_app.command("show")
def show_mail(
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="1 is the newest.")] = 1,
    data: Data = None,
) -> None:
    """Print the text of one mail."""
    with answering():
        mailbox.show(terminal.output(), mailbox.find(directory_of(data), number))


app.add_typer(operate.jobs_app, name="jobs", rich_help_panel=_OPERATE)
app.add_typer(operate.queues_app, name="queues", rich_help_panel=_OPERATE)
app.add_typer(operate.dead_app, name="dead", rich_help_panel=_OPERATE)
app.command(rich_help_panel=_OPERATE)(operate.grant)


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


def _unique(paths: list[Path]) -> list[Path]:
    """Each once, however often the caller's wildcards matched it."""
    return list(dict.fromkeys(paths))
