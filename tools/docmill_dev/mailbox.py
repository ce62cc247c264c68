"""The mail that the development server has caught, read again from its files."""

import email
import email.policy
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from docmill_dev.terminal import ago, harmless


class NoSuchMail(LookupError):
    """There is no mail of this number; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Caught:
    """One mail. ``at`` is when it was taken."""

    at: datetime
    message: EmailMessage

    def header(self, name: str) -> str:
        """One header, decoded, on one line; empty when there is none."""
        return " ".join(str(self.message.get(name, "")).split())

    def text(self) -> str:
        """The plain text; the HTML's source where there is no other."""
        body = self.message.get_body(("plain", "html"))
        return "" if body is None else "\n".join(str(body.get_content()).splitlines())


def newest(directory: Path, limit: int) -> list[Caught]:
    """At most ``limit`` mails of a data directory, the newest first."""
    files = sorted((directory / "mail").glob("*.eml"), reverse=True)
    return [_read(path) for path in islice(files, limit)]


def find(directory: Path, number: int) -> Caught:
    """The mail that ``newest`` lists at this place, counted from 1."""
    found = newest(directory, number)
    if len(found) < number:
        there = f"the oldest is number {len(found)}" if found else "there is no mail yet"
        raise NoSuchMail(f"There is no mail number {number}; {there}.")
    return found[-1]


def show_list(console: Console, mails: list[Caught], now: datetime) -> None:
    """A line for each mail, behind the number by which it is shown."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(justify="right")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    for number, mail in enumerate(mails, 1):
        cells = (mail.header("To"), mail.header("Subject"), ago(mail.at, now))
        table.add_row(Text(str(number), "bold"), *(Text(harmless(cell)) for cell in cells))
    console.print(table)


def show(console: Console, mail: Caught) -> None:
    """The headers that a person reads, and the text."""
    for name in ("From", "To", "Date", "Subject"):
        line = Text.assemble((f"{name}: ", "dim"), harmless(mail.header(name)))
        console.print(line, soft_wrap=True)
    console.print()
    for each in mail.text().splitlines():
        console.print(Text(harmless(each)), soft_wrap=True)


def _read(path: Path) -> Caught:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    at = datetime.strptime(path.name.partition("-")[0], "%Y%m%dT%H%M%S.%f")
    assert isinstance(message, EmailMessage)
    return Caught(at.replace(tzinfo=UTC), message)
