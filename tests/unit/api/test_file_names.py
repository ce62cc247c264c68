"""Names of files, as clients give them."""

import pytest

from docmill_api import file_names


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("report.pdf", "report.pdf"),
        ("  report.pdf ", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\fakepath\\a b.pdf", "a b.pdf"),
        ("/a.txt", "a.txt"),
        (".env.txt", ".env.txt"),
        ("re\u0301sume\u0301.txt", "r\u00e9sum\u00e9.txt"),
        ("보고서 🎉.pdf", "보고서 🎉.pdf"),
        ("'; drop table files; --.txt", "'; drop table files; --.txt"),
        ("x" * 255, "x" * 255),
    ],
)
def test_names_lose_their_folders_and_nothing_else(given: str, cleaned: str) -> None:
    assert file_names.clean(given) == cleaned


@pytest.mark.parametrize(
    "given",
    ["", " ", ".", "..", "a/", "a\\", "../..", "a\x00b", "a\nb", "a\x7fb", "a\x85b", "a\u2028b",
     "a\u202efdp.exe", "a\u2066b", "\ud800", "x" * 256],
)  # fmt: skip
def test_names_that_lie_or_cannot_be_shown_are_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        file_names.clean(given)
