"""``.env.example`` is what ``docmill env`` prints: every variable, its default and its meaning."""

from pathlib import Path

from typer.testing import CliRunner

from docmill_dev.cli import app
from tests.settings_fields import fields

EXAMPLE = Path(__file__).parents[2] / ".env.example"


def test_it_is_what_the_settings_say() -> None:
    printed = CliRunner().invoke(app, ["env"]).stdout
    assert EXAMPLE.read_text() == printed, "run: docmill env > .env.example"


def test_it_names_every_variable() -> None:
    text = EXAMPLE.read_text()
    missing = [name for name in fields() if f"{name}=" not in text]
    assert missing == []
