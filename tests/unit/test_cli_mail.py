"""``docmill mail``: the mail that the development server caught, as a person reads it."""

from email.message import EmailMessage
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from docmill_dev.cli import app


def keep(directory: Path, number: int, *, html_only: bool = False, **headers: str) -> None:
    mail = EmailMessage()
    for name, value in {"From": "docmill <docmill@localhost>", **headers}.items():
        mail[name] = value
    if html_only:
        mail.set_content("<p>Only <b>this</b></p>", subtype="html")
    else:
        mail.set_content(f"Text of number {number}.\n\nGrüße")
        mail.add_alternative("<p>HTML</p>", subtype="html")
    folder = directory / "mail"
    folder.mkdir(exist_ok=True)
    name = f"20300101T12000{number}.000000-000001.eml"
    (folder / name).write_bytes(mail.as_bytes().replace(b"\n", b"\r\n"))


def docmill(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_the_newest_is_the_first(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        keep(tmp_path, number, To=f"user{number}@example.org", Subject="Welcome to docmill")
    result = docmill("mail", "--data", tmp_path, "--limit", 2)
    assert result.exit_code == 0
    first, second, *rest = result.stdout.splitlines()
    assert first.split()[:5] == ["1", "user3@example.org", "Welcome", "to", "docmill"]
    assert second.split()[:2] == ["2", "user2@example.org"]
    assert "user1" not in str(rest)


def test_one_is_read(tmp_path: Path) -> None:
    for number in (1, 2):
        keep(tmp_path, number, To=f"user{number}@example.org", Subject="Größe")
    result = docmill("mail", "show", 2, "--data", tmp_path)
    assert result.exit_code == 0
    assert "To: user1@example.org" in result.stdout
    assert "Subject: Größe" in result.stdout
    assert "Text of number 1.\n\nGrüße" in result.stdout
    assert "HTML" not in result.stdout
    assert "Text of number 2." in docmill("mail", "show", "--data", tmp_path).stdout


def test_html_alone_is_shown_as_it_is(tmp_path: Path) -> None:
    keep(tmp_path, 1, html_only=True, To="a@example.org")
    assert "<p>Only <b>this</b></p>" in docmill("mail", "show", "1", "--data", tmp_path).stdout


def test_a_mail_cannot_give_the_terminal_orders(tmp_path: Path) -> None:
    keep(tmp_path, 1, To="a@example.org", Subject="[red]x[/red]")
    [path] = (tmp_path / "mail").iterdir()
    path.write_bytes(path.read_bytes().replace(b"Text of", b"\x1b[2Jof"))
    result = docmill("mail", "show", 1, "--data", tmp_path)
    assert "\x1b" not in result.stdout
    assert "[2Jof number 1." in result.stdout
    assert "[red]x[/red]" in result.stdout
    assert "[red]x[/red]" in docmill("mail", "--data", tmp_path).stdout


@pytest.mark.parametrize(
    ("caught", "number", "sentence"),
    [
        (0, 1, "There is no mail number 1; there is no mail yet."),
        (2, 3, "There is no mail number 3; the oldest is number 2."),
    ],
)
def test_what_is_not_there_is_a_sentence(
    tmp_path: Path, caught: int, number: int, sentence: str
) -> None:
    for each in range(caught):
        keep(tmp_path, each, To="a@example.org")
    result = docmill("mail", "show", number, "--data", tmp_path)
    assert result.exit_code == 1
    assert sentence in " ".join(result.stderr.split())


def test_before_the_first_mail(tmp_path: Path) -> None:
    result = docmill("mail", "--data", tmp_path)
    assert result.exit_code == 0
    assert result.stdout.startswith("No mail yet.")
