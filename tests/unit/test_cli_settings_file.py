"""``docmill env``."""

import re

from docmill_dev import settings_file
from tests.settings_fields import fields


def test_every_variable_is_there_once_with_its_meaning() -> None:
    text = settings_file.text()

    for name, field in fields().items():
        assert len(re.findall(rf"^(?:# )?{name}=", text, re.M)) == 1, name
        assert field.description, name
    flat = " ".join(text.replace("\n# ", " ").split())
    for field in fields().values():
        assert " ".join((field.description or "").split()).rstrip(".") in flat


def test_only_what_must_be_set_is_not_a_comment() -> None:
    required = {name for name, field in fields().items() if field.is_required()}

    assert set(re.findall(r"^([A-Z0-9_]+)=$", settings_file.text(), re.M)) == required


def test_lines_fit_a_terminal() -> None:
    assert max(map(len, settings_file.text().splitlines())) <= 79
