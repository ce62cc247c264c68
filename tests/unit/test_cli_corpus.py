"""The corpus check: what is expected of documents, and what counts as right."""

import json
from pathlib import Path

import pytest

from docmill_dev.corpus import Actual
from docmill_dev.corpus_manifest import ManifestError, Row, accounts, load


def row(**changes: object) -> Row:
    values: dict[str, object] = {
        "path": Path("a.pdf"),
        "media_type": "application/pdf",
        "status": "COMPLETED",
        "reason": None,
        "phrase": "bottles of water",
        "page": 2,
        "is_optional": False,
    }
    return Row(**{**values, **changes})  # type: ignore[arg-type]


COMPLETED = Actual("COMPLETED", chunks=3, phrase_found=True, pages_of_phrase=(1, 2))


def test_the_phrase_on_its_page_is_right() -> None:
    assert COMPLETED.problems(row()) == []
    assert Actual("COMPLETED", chunks=1).problems(row(phrase=None, page=None)) == []


@pytest.mark.parametrize(
    ("actual", "expected", "problem"),
    [
        (COMPLETED, row(page=3), "page 3"),
        (Actual("COMPLETED", chunks=3, phrase_found=False), row(), "bottles of water"),
        (Actual("COMPLETED"), row(phrase=None), "no passage"),
        (Actual("DUPLICATE"), row(), "COMPLETED was expected"),
        (Actual("FAILED", reason="corrupt"), row(), "COMPLETED was expected"),
        (COMPLETED, row(status="FAILED", reason="encrypted"), "FAILED was expected"),
        (
            Actual("FAILED", reason="corrupt"),
            row(status="FAILED", reason="encrypted"),
            "encrypted was expected",
        ),
        (Actual("REFUSED", reason="unsupported_type"), row(), "COMPLETED was expected"),
        (
            Actual("REFUSED", reason="too_large"),
            row(status="FAILED", reason="empty_file"),
            "FAILED was expected",
        ),
        (
            Actual("REFUSED", reason="too_large"),
            row(status="REFUSED", reason="unsupported_type"),
            "unsupported_type was expected",
        ),
    ],
)
def test_anything_else_is_said(actual: Actual, expected: Row, problem: str) -> None:
    assert problem in "; ".join(actual.problems(expected))


def test_what_must_fail_may_be_refused_for_the_same_reason() -> None:
    refused = Actual("REFUSED", reason="empty_file")

    assert refused.problems(row(status="FAILED", reason="empty_file")) == []


def test_an_optional_document_may_be_refused() -> None:
    refused = Actual("REFUSED", reason="unsupported_type")

    assert refused.problems(row(is_optional=True)) == []


def test_a_manifest_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    entry = {"file": "a.txt", "mime": "text/plain", "status": "COMPLETED", "page": 1}
    entry["note"] = "optional: as you like"
    (tmp_path / "manifest.json").write_text(json.dumps({"files": [entry]}))

    (read,) = load(tmp_path)

    assert (read.path.name, read.page, read.phrase, read.is_optional) == ("a.txt", 1, None, True)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "no json",
        "[]",
        '{"files": []}',
        '{"files": [{"file": "a.txt"}]}',
        '{"files": [{"file": "missing.txt", "status": "COMPLETED"}]}',
        '{"files": [{"file": "a.txt", "status": "FINE"}]}',
        '{"files": [{"file": "a.txt", "status": "COMPLETED", "page": "two"}]}',
    ],
)
def test_what_is_no_manifest_is_refused_with_a_sentence(
    tmp_path: Path, content: str | None
) -> None:
    (tmp_path / "a.txt").write_text("a")
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)

    with pytest.raises(ManifestError, match=r"manifest\.json"):
        load(tmp_path)


def test_equal_documents_get_different_accounts(tmp_path: Path) -> None:
    rows = []
    for name, content in {"a": "same", "b": "other", "c": "same", "d": "same"}.items():
        path = tmp_path / name
        path.write_text(content)
        rows.append(row(path=path))

    assert accounts(rows) == [0, 0, 1, 2]
