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
        ("report.pdf. . ", "report.pdf"),
        ("..hidden.txt", "..hidden.txt"),
        ("re\u200bport\ufeff.p\u00addf", "report.pdf"),
        ("👩\u200d🔬.txt", "👩\u200d🔬.txt"),
        ("\\\\server\\share\\a.txt", "a.txt"),
        ("....//....//etc/passwd.txt", "passwd.txt"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("Aux .tar.gz", "_Aux .tar.gz"),
        ("LPT1.pdf", "_LPT1.pdf"),
        ("com\u00b9.txt", "_com\u00b9.txt"),
        ("console.txt", "console.txt"),
        ("com10.txt", "com10.txt"),
        ("nul", "_nul"),
    ],
)
def test_names_lose_their_folders_and_nothing_else(given: str, cleaned: str) -> None:
    assert file_names.clean(given) == cleaned


@pytest.mark.parametrize(
    "given",
    ["", " ", ".", "..", ". .", "\u200b", "a\u061cb", "a\u200eb", "con." + "x" * 252,
     "a/", "a\\", "../..", "a\x00b", "a\nb", "a\x7fb", "a\x85b", "a\u2028b",
     "a\u202efdp.exe", "a\u2066b", "\ud800", "x" * 256],
)  # fmt: skip
def test_names_that_lie_or_cannot_be_shown_are_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        file_names.clean(given)


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("report.pdf", "attachment; filename=\"report.pdf\"; filename*=UTF-8''report.pdf"),
        (
            "résumé 🎉.pdf",
            'attachment; filename="resume _.pdf";'
            " filename*=UTF-8''r%C3%A9sum%C3%A9%20%F0%9F%8E%89.pdf",
        ),
        (
            'a"; filename="evil.exe',
            'attachment; filename="a_; filename=_evil.exe";'
            " filename*=UTF-8''a%22%3B%20filename%3D%22evil.exe",
        ),
        ("100%*'.txt", "attachment; filename=\"100___.txt\"; filename*=UTF-8''100%25%2A%27.txt"),
    ],
)
def test_a_download_has_the_name_in_both_forms(name: str, disposition: str) -> None:
    assert file_names.attachment(name) == disposition
