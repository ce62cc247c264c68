"""Lines of the terminal: files, durations, logs."""

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import RenderableType

from docmill_client import File
from docmill_dev import terminal
from docmill_dev.file_lines import elided, ended_line, listed, refused_line
from docmill_dev.log_lines import is_worth_showing, readable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def file(**changes: object) -> File:
    values: dict[str, object] = {
        "id": "1",
        "name": "report.pdf",
        "media_type": "application/pdf",
        "size_bytes": 12_345,
        "visibility": "private",
        "status": "COMPLETED",
        "stage": None,
        "pages_done": 5,
        "page_count": 5,
        "chunks_done": 14,
        "chunk_count": 14,
        "reason": None,
        "detail": None,
        "duplicate_of": None,
        "sha256": None,
        "created_at": NOW,
        "queued_at": NOW,
        "finished_at": NOW + timedelta(seconds=0.84),
    }
    return File(**{**values, **changes})  # type: ignore[arg-type]


def printed(what: RenderableType) -> str:
    console = terminal.output()
    with console.capture() as capture:
        console.print(what)
    text = capture.get()
    assert all(len(line) <= 80 for line in text.splitlines())
    return text


def test_a_completed_file_shows_pages_passages_and_seconds() -> None:
    words = printed(ended_line(file())).split()

    assert words == ["✓", "report.pdf", "COMPLETED", "5", "pages", "14", "passages", "0.8", "s"]


def test_a_failed_file_shows_its_reason_and_its_whole_sentence() -> None:
    detail = "The PDF is protected by a password; remove the protection and upload it again. " * 3
    failed = file(status="FAILED", reason="encrypted", detail=detail, chunk_count=None)

    for shown in (printed(ended_line(failed)), printed(listed([failed], NOW))):
        assert "encrypted" in shown
        assert " ".join(detail.split()) in " ".join(shown.split())


def test_a_duplicate_names_the_other_file_where_its_name_differs() -> None:
    duplicate = file(status="DUPLICATE", duplicate_of="2")

    assert "of older.pdf" in printed(ended_line(duplicate, file(id="2", name="older.pdf")))
    assert "is here already" in printed(ended_line(duplicate, file(id="2")))


def test_a_refused_file_shows_code_and_sentence() -> None:
    shown = printed(refused_line("a.bmp", "unsupported_type", "This type is not accepted."))

    assert "REFUSED    unsupported_type" in shown
    assert "This type is not accepted." in shown


def test_long_names_keep_beginning_and_extension_even_when_public() -> None:
    name = "layout-parser-paper-with-very-many-empty-pages.pdf"

    assert elided(name, 20) == "layout-parser…es.pdf"
    assert ".pdf (public)" in printed(listed([file(name=name, visibility="public")], NOW))


def test_brackets_in_names_are_no_markup() -> None:
    name = "a[bold] [/b] :smile:.pdf"

    assert name in printed(ended_line(file(name=name)))
    assert name in printed(listed([file(name=name)], NOW))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.04, "0.0 s"), (9.9, "9.9 s"), (9.96, "10 s"), (99.4, "99 s"), (125, "2 min 05 s")],
)
def test_durations(value: float, shown: str) -> None:
    assert terminal.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (48_193, "48 kB"), (3_202_320, "3.2 MB")],
)
def test_sizes(value: int, shown: str) -> None:
    assert terminal.size(value) == shown


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        (timedelta(seconds=-3), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=1, hours=3), "1 day ago"),
        (timedelta(days=30), "2026-01-30"),
    ],
)
def test_how_long_ago(passed: timedelta, shown: str) -> None:
    assert terminal.ago(NOW - passed, NOW) == shown


REQUEST = (
    "2026-03-01T12:00:00.12Z [info     ] request                              "
    "[docmill_api.access] method={method} ms=4.7 "
    "path=/v1/files/d31df9bf-08f4-4a7c-ba78-4e4f3f2ee589/confirm request_id=ab status={status}"
)


def test_a_request_becomes_one_short_line() -> None:
    shown = readable(REQUEST.format(method="POST", status=202)).plain

    assert shown.endswith(" POST /v1/files/d31df9bf…/confirm 202 4.7 ms")


def test_requests_that_only_read_are_shown_only_when_they_fail() -> None:
    assert not is_worth_showing(REQUEST.format(method="GET", status=200))
    assert is_worth_showing(REQUEST.format(method="GET", status=503))
    assert is_worth_showing(REQUEST.format(method="POST", status=202))


def test_fields_are_kept_and_what_repeats_itself_is_not() -> None:
    shown = readable(
        "2026-03-01T12:00:00.12Z [warning  ] failed                               "
        "[docmill_ingest.outcomes] detail='It is a zip archive.' reason=type_mismatch"
        " service=ingest"
    ).plain

    assert shown.endswith(" failed detail='It is a zip archive.' reason=type_mismatch")


def test_the_logger_of_a_consumer_is_left_out_as_well() -> None:
    shown = readable(
        "2026-03-01T12:00:00.12Z [critical ] Consumer encountered a connection error: Connection"
        " closed by server. [dramatiq.worker.ConsumerThread(ingest_bulk.DQ)] service=ingest"
    ).plain

    assert shown.endswith("0 Consumer encountered a connection error: Connection closed by server.")


def test_a_line_of_an_unknown_form_stays_as_it_is() -> None:
    assert readable("Traceback (most recent call last):").plain == (
        "Traceback (most recent call last):"
    )
