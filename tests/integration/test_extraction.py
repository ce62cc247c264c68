"""The cage: whatever a file does to its parser, the worker lives and the file has a reason."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from docmill_ingest import child_process
from docmill_ingest.blocks import Block, PageCount, PageImage
from docmill_ingest.extraction import Extractor
from docmill_ingest.limits import ExtractionLimits
from docmill_shared import media_types as m
from docmill_shared.errors import LeaseLost, PermanentError, TransientError
from docmill_shared.states import FailureReason
from tests import documents

MakeExtractor = Callable[..., Extractor]
LONG = "A paragraph of some length, as there are many in a book.\n\n" * 20_000


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeExtractor]:
    """An extractor with the limits that a test needs."""
    with contextlib.ExitStack() as stack:

        def build(*, ocr: bool = True, **limits: float) -> Extractor:
            folder = tmp_path / "work"
            folder.mkdir(exist_ok=True)
            return stack.enter_context(
                Extractor(
                    limits=ExtractionLimits(**limits),  # type: ignore[arg-type] # int or float
                    ocr=ocr,
                    work_directory=folder,
                )
            )

        yield build


@pytest.fixture
def lying(make: MakeExtractor, monkeypatch: pytest.MonkeyPatch) -> Extractor:
    """An extractor whose child does what the file says."""
    monkeypatch.setattr(child_process, "CHILD_MODULE", "tests.integration.lying_child")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return make(seconds=100, scanned_pages=3)


def test_a_child_stays_warm_from_file_to_file(make: MakeExtractor, tmp_path: Path) -> None:
    extractor = make()
    text = documents.write(tmp_path / "a", "One.\n\nTwo.")
    pdf = documents.write(tmp_path / "b", documents.pdf("Three."))
    assert list(extractor.extract(text, m.TEXT)) == [Block("One."), Block("Two.")]
    pid = extractor.child_pid
    assert list(extractor.extract(pdf, m.PDF)) == [PageCount(1), Block("Three.", 1)]
    assert extractor.child_pid == pid


def test_a_failed_file_leaves_the_child_as_it_was(make: MakeExtractor, tmp_path: Path) -> None:
    extractor = make()
    extractor.warm_up(m.PDF)
    pid = extractor.child_pid
    _fails(extractor, documents.write(tmp_path / "a", " "), m.TEXT, FailureReason.NO_TEXT)
    broken = documents.write(tmp_path / "b", documents.encrypted_pdf())
    _fails(extractor, broken, m.PDF, FailureReason.ENCRYPTED)
    assert extractor.child_pid == pid


def test_a_bug_in_a_parser_fails_the_file_and_is_in_the_log(
    make: MakeExtractor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = documents.repacked(
        documents.word(lambda document: document.add_paragraph("Hello")),
        {"word/document.xml": lambda xml: xml[: len(xml) // 2]},
    )
    path = documents.write(tmp_path / "file", broken)
    _fails(make(), path, m.DOCX, FailureReason.CORRUPT)
    assert "XMLSyntaxError" in caplog.text


def test_blocks_arrive_while_the_file_is_still_being_read(
    make: MakeExtractor, tmp_path: Path
) -> None:
    """The pipe holds the child back, so a book is never in memory as a whole."""
    extractor = make()
    pieces = extractor.extract(documents.write(tmp_path / "book", LONG), m.TEXT)
    assert next(pieces) == Block(LONG[:56])
    assert extractor.child_pid is not None
    assert sum(1 for _ in pieces) == 20_000 - 1


def test_a_file_that_takes_too_long(make: MakeExtractor, tmp_path: Path) -> None:
    extractor = make(seconds=1)  # also for the good file at the end, which takes a moment
    sheet = documents.excel(Data=[[f"cell {row}", row] for row in range(60_000)])
    path = documents.write(tmp_path / "file", sheet)
    _fails(extractor, path, m.XLSX, FailureReason.EXTRACTION_TIMEOUT)
    assert extractor.child_pid is None
    _still_works(extractor, tmp_path)


def test_a_slow_consumer_costs_the_file_nothing(
    make: MakeExtractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a clock that the consumer's hours are added to
    away = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + away[0])
    monkeypatch.setattr("docmill_ingest.extraction.time", clock)
    extractor = make(seconds=100)
    count = 0
    for _ in extractor.extract(documents.write(tmp_path / "book", LONG), m.TEXT):
        count += 1
        if count % 10_000 == 1:
            away[0] += 3_600
    assert count == 20_000


def test_a_page_read_by_ocr_buys_time(make: MakeExtractor, tmp_path: Path) -> None:
    """A scan of many pages is slow and not hostile: each page brings its own seconds."""
    scan = documents.picture("Minutes of the meeting", size=(1240, 1754))
    path = documents.write(tmp_path / "scan", documents.scanned_pdf(scan, scan))
    extractor = make(seconds=1.5, scanned_page_seconds=100)  # the model alone takes longer to load
    assert Block("Minutes of the meeting", 1) in list(extractor.extract(path, m.PDF))


def test_a_file_that_takes_too_much_memory(make: MakeExtractor, tmp_path: Path) -> None:
    extractor = make(ocr=False, memory_bytes=24 * 1024**2)
    image = documents.image_bytes(documents.picture("Big", size=(6000, 6000)), compress_level=1)
    path = documents.write(tmp_path / "file", image)
    _fails(extractor, path, m.PNG, FailureReason.EXTRACTION_MEMORY)
    _still_works(extractor, tmp_path)


def test_the_memory_of_libraries_and_models_is_not_the_files(
    make: MakeExtractor, tmp_path: Path
) -> None:
    extractor = make(ocr=True, memory_bytes=700 * 1024**2)
    scan = documents.picture("Minutes of the meeting", size=(1240, 1754))
    path = documents.write(tmp_path / "scan", documents.scanned_pdf(scan))
    assert Block("Minutes of the meeting", 1) in list(extractor.extract(path, m.PDF))


def test_closing_the_generator_early_ends_the_child(make: MakeExtractor, tmp_path: Path) -> None:
    extractor = make()
    pieces = extractor.extract(documents.write(tmp_path / "book", LONG), m.TEXT)
    next(pieces)
    pid = _pid(extractor)
    pieces.close()  # type: ignore[attr-defined] # it is a generator
    assert not _alive(pid)
    _still_works(extractor, tmp_path)


def test_an_extraction_that_was_abandoned_does_not_reach_into_the_next(
    make: MakeExtractor, tmp_path: Path
) -> None:
    extractor = make()
    abandoned = extractor.extract(documents.write(tmp_path / "book", LONG), m.TEXT)
    next(abandoned)
    _still_works(extractor, tmp_path)
    pid = extractor.child_pid
    abandoned.close()  # type: ignore[attr-defined] # it is a generator
    assert extractor.child_pid == pid


def test_a_lost_lease_stops_the_extraction(make: MakeExtractor, tmp_path: Path) -> None:
    extractor = make()
    questions = iter(range(100))

    def should_stop() -> None:
        if next(questions) == 2:
            raise LeaseLost("gone")

    sheet = documents.excel(Data=[[f"cell {row}", row] for row in range(60_000)])
    path = documents.write(tmp_path / "file", sheet)
    with pytest.raises(LeaseLost):
        for _ in extractor.extract(path, m.XLSX, should_stop=should_stop):
            pass
    assert extractor.child_pid is None


def test_images_belong_to_the_caller(make: MakeExtractor, tmp_path: Path) -> None:
    extractor = make(ocr=False)
    scan = documents.picture("Page", size=(620, 877))
    path = documents.write(tmp_path / "scan", documents.scanned_pdf(scan, scan, scan))
    images = [piece for piece in extractor.extract(path, m.PDF) if isinstance(piece, PageImage)]
    assert [image.page for image in images] == [1, 2, 3]
    extractor.close()
    assert sorted((tmp_path / "work").iterdir()) == sorted(Path(image.path) for image in images)


def test_no_more_than_one_picture_waits_for_a_slow_reader(
    make: MakeExtractor, tmp_path: Path
) -> None:
    extractor = make(ocr=False)
    scan = documents.picture("Page", size=(620, 877))
    path = documents.write(tmp_path / "scan", documents.scanned_pdf(*[scan] * 10))
    for piece in extractor.extract(path, m.PDF):
        if isinstance(piece, PageImage):
            time.sleep(0.05)
            Path(piece.path).unlink()
            assert len(list((tmp_path / "work").rglob("*.jpg"))) <= 1


def test_nothing_is_left_behind(make: MakeExtractor, tmp_path: Path) -> None:
    extractor = make()
    _still_works(extractor, tmp_path)
    pieces = extractor.extract(documents.write(tmp_path / "book", LONG), m.TEXT)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined] # it is a generator
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGSEGV, FailureReason.CORRUPT),
        (signal.SIGABRT, FailureReason.CORRUPT),
        (signal.SIGBUS, FailureReason.CORRUPT),
        (signal.SIGXCPU, FailureReason.EXTRACTION_TIMEOUT),
    ],
)
def test_a_parser_that_crashes(
    lying: Extractor, tmp_path: Path, number: signal.Signals, reason: FailureReason
) -> None:
    _fails(lying, documents.write(tmp_path / "file", f"signal {number.value}"), m.TEXT, reason)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_small_child_that_is_killed_from_outside_is_not_the_files_fault(
    lying: Extractor, tmp_path: Path, number: signal.Signals
) -> None:
    path = documents.write(tmp_path / "file", f"signal {number.value}")
    with pytest.raises(TransientError):
        list(lying.extract(path, m.TEXT))


def test_a_native_library_that_runs_out_of_memory(lying: Extractor, tmp_path: Path) -> None:
    path = documents.write(tmp_path / "file", "shout what():  std::bad_alloc")
    _fails(lying, path, m.TEXT, FailureReason.EXTRACTION_MEMORY)


def test_what_a_child_says_is_logged_within_bounds(
    lying: Extractor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _fails(lying, documents.write(tmp_path / "file", "shout !"), m.TEXT, FailureReason.CORRUPT)
    assert 10 < len(caplog.records) < 100


def test_endless_talk_does_not_stop_the_clock(
    lying: Extractor, make: MakeExtractor, tmp_path: Path
) -> None:
    path = documents.write(tmp_path / "file", "babble !")
    _fails(make(seconds=2), path, m.TEXT, FailureReason.EXTRACTION_TIMEOUT)


def test_endless_text_comes_to_an_end(
    lying: Extractor, make: MakeExtractor, tmp_path: Path
) -> None:
    """The consumer's time does not count, so without a bound on text this would go on for ever."""
    path = documents.write(tmp_path / "file", "repeat " + json.dumps(BLOCK))
    _fails(make(characters=10_000), path, m.TEXT, FailureReason.TOO_LARGE)


BLOCK = {"kind": "block", "text": "x", "page": 1, "level": 0}
IMAGE = {"kind": "image", "name": "a.jpg", "media_type": "image/jpeg", "page": 1}


@pytest.mark.parametrize(
    "lie",
    [
        "raw ffffffff",
        "raw 0000000401020304",
        "say []",
        "say {}",
        "say " + "[" * 100_000,
        'say {"kind": "surprise"}',
        'say {"kind": "started"}',
        'say {"kind": "failed", "reason": "because", "detail": ""}',
        'say {"kind": "pages", "total": -1}',
        "say " + json.dumps({**BLOCK, "page": 0}),
        "say " + json.dumps({**BLOCK, "page": "1"}),
        "say " + json.dumps({**BLOCK, "level": 99}),
        "say " + json.dumps({**BLOCK, "text": "NUL \0"}),
        "say " + json.dumps({**BLOCK, "text": None}),
        "say " + json.dumps(IMAGE),
        "say " + json.dumps({**IMAGE, "name": "../../../../etc/passwd"}),
        "say " + json.dumps({**IMAGE, "name": "/etc/passwd"}),
        "say " + json.dumps({**IMAGE, "media_type": "text/html"}),
        "link /etc/passwd",
        'repeat {"kind": "reading"}',
        "mute !",
        "exit 3",
    ],
)
def test_nothing_that_a_child_says_is_believed_unchecked(
    lying: Extractor, tmp_path: Path, lie: str
) -> None:
    _fails(lying, documents.write(tmp_path / "file", lie), m.TEXT, FailureReason.CORRUPT)
    assert lying.child_pid is None


def test_a_child_that_cannot_start_is_not_the_files_fault(
    make: MakeExtractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "CHILD_MODULE", "docmill_ingest.no_such_module")
    path = documents.write(tmp_path / "file", "text")
    with pytest.raises(TransientError):
        list(make().extract(path, m.TEXT))


def test_a_child_that_died_between_two_files_is_replaced(
    make: MakeExtractor, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    extractor = make()
    extractor.warm_up()
    os.kill(_pid(extractor), signal.SIGKILL)
    eventually(lambda: extractor.child_pid is None)
    _still_works(extractor, tmp_path)


def test_the_child_holds_no_secret(
    make: MakeExtractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:password@host/database")
    monkeypatch.setenv("GEMINI_API_KEY", "key")
    extractor = make()
    extractor.warm_up()
    environment = Path(f"/proc/{_pid(extractor)}/environ").read_bytes()
    assert b"PATH=" in environment
    assert b"password" not in environment
    assert b"GEMINI" not in environment
    opened = [str(entry.readlink()) for entry in Path(f"/proc/{_pid(extractor)}/fd").iterdir()]
    assert all(name.startswith(("pipe:", "/dev/null")) for name in opened), opened


def test_the_child_has_no_network_where_the_platform_allows_it(
    make: MakeExtractor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        extractor = make()
        extractor.warm_up()
    ours, its = (Path(f"/proc/{pid}/ns/net").readlink() for pid in ("self", _pid(extractor)))
    assert ("no-network" in caplog.text) == (ours != its)
    assert "dies-with-parent" in caplog.text


def test_the_child_dies_with_its_parent(tmp_path: Path, eventually: Callable[..., None]) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from docmill_ingest.extraction import Extractor\n"
        "from docmill_ingest.limits import ExtractionLimits\n"
        "extractor = Extractor(limits=ExtractionLimits(), ocr=False,"
        f" work_directory=Path({str(tmp_path)!r}))\n"
        "extractor.warm_up(); print(extractor.child_pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert _alive(pid)
        parent.kill()
        parent.wait()
        eventually(lambda: not _alive(pid))


def _still_works(extractor: Extractor, folder: Path) -> None:
    path = documents.write(folder / "good", "All is well.")
    assert list(extractor.extract(path, m.TEXT)) == [Block("All is well.")]


def _fails(
    extractor: Extractor, path: Path, media_type: m.MediaType, reason: FailureReason
) -> None:
    with pytest.raises(PermanentError) as caught:
        list(extractor.extract(path, media_type))
    assert caught.value.reason is reason, caught.value.detail
    assert caught.value.detail.endswith(".")


def _pid(extractor: Extractor) -> int:
    assert extractor.child_pid is not None
    return extractor.child_pid


def _alive(pid: int) -> bool:
    """Whether the process runs; one that ended and waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
