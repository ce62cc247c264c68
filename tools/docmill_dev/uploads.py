"""Upload files and watch them being ingested: used by ``docmill ingest`` and the demo.

In a terminal the files under way have bars; a file that is finished becomes a plain line above
them, the same line that a pipe gets.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from docmill_client import ApiError, Client, File, UploadRefused
from docmill_dev.file_lines import elided, ended_line, refused_line
from docmill_dev.terminal import count, size

#: More bars than this would not fit a small window; the others wait unseen.
_MOST_BARS = 12
#: A stage is reported about once a second, so a short one may still be shown during the next.
_DOING = {
    "fetch": "reading",
    "dedupe": "reading",
    "extract": "reading",
    "chunk": "cutting",
    "embed": "embedding",
    "store": "storing",
}


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    files: list[File] = field(default_factory=list)  #: in the order in which they ended
    refused: int = 0  #: not accepted by the API

    @property
    def failed(self) -> int:
        """How many did not become searchable, duplicates aside."""
        return self.refused + sum(file.status == "FAILED" for file in self.files)

    @property
    def duplicates(self) -> int:
        """How many were there already."""
        return sum(file.status == "DUPLICATE" for file in self.files)

    @property
    def chunks(self) -> int:
        """How many passages became searchable."""
        return sum(file.chunk_count or 0 for file in self.files if file.status == "COMPLETED")


def upload_and_wait(
    client: Client,
    paths: Collection[Path],
    console: Console,
    *,
    visibility: str = "private",
    wait: bool = True,
    on_look: Callable[[], None] = lambda: None,
) -> Outcome:
    """Upload each file as any client would, and show each until it has ended.

    ``on_look`` is called whenever the files are looked at; what it raises ends the wait.
    """
    outcome = Outcome()
    with _bars(console) as bars:
        under_way: dict[str, Path] = {}
        for path in paths:
            try:
                file = client.upload(
                    path, wait=False, visibility=visibility, on_progress=bars.uploading(path)
                )
            except (ApiError, UploadRefused) as error:
                outcome.refused += 1
                bars.end(path)
                console.print(refused_line(path.name, error.code, error.detail))
                continue
            under_way[file.id] = path
            if wait:
                bars.uploaded(path)
            else:
                bars.end(path)
                console.print(ended_line(file))
                outcome.files.append(file)
        if wait and under_way:
            _watch(client, under_way, console, bars, outcome, on_look)
    return outcome


def _watch(
    client: Client,
    under_way: dict[str, Path],
    console: Console,
    bars: "_Bars",
    outcome: Outcome,
    on_look: Callable[[], None],
) -> None:
    ended: set[str] = set()

    def look(files: list[File]) -> None:
        on_look()
        for file in files:
            if not file.is_final:
                bars.show(under_way[file.id], file)
            elif file.id not in ended:
                ended.add(file.id)
                outcome.files.append(file)
                bars.end(under_way[file.id])
                twin = client.file(file.duplicate_of) if file.duplicate_of else None
                console.print(ended_line(file, twin))

    found = client.wait(under_way, look)
    for file_id in under_way.keys() - found.keys():
        outcome.refused += 1
        name = under_way[file_id].name
        console.print(refused_line(name, "gone", "The file was deleted before it was ingested."))


@contextmanager
def _bars(console: Console) -> Iterator["_Bars"]:
    """Bars in a terminal; in a pipe nothing is shown."""
    progress = Progress(
        TextColumn("    {task.description}", style="bold", markup=False),
        BarColumn(bar_width=18, pulse_style="cyan"),
        TextColumn("{task.fields[doing]}", style="dim", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        yield _Bars(progress)


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._of: dict[Path, TaskID] = {}

    def uploading(self, path: Path) -> Callable[[int, int], None]:
        """A bar for the upload of this file; to be called with what was sent of how much."""
        self._begin(path, total=1)

        def show(sent: int, total: int) -> None:
            doing = f"uploading {size(sent)} of {size(total)}"
            self._progress.update(self._of[path], completed=sent, total=total, doing=doing)

        return show

    def uploaded(self, path: Path) -> None:
        """From here on the bar tells of the ingestion."""
        # A new one, because rich cannot make an old one endless, which it is until pages are known.
        self.end(path)
        self._begin(path, total=None)

    def show(self, path: Path, file: File) -> None:
        """How far the file is."""
        doing = [_DOING.get(file.stage or "", "waiting")]
        if file.page_count:
            doing.append(f"page {file.pages_done:,}/{file.page_count:,}")
        if file.chunks_done:
            doing.append(count(file.chunks_done, "passage"))
        self._progress.update(
            self._of[path],
            total=file.page_count or None,
            completed=file.pages_done,
            doing=", ".join(doing),
        )

    def end(self, path: Path) -> None:
        """Take the bar away and show one that waited for room."""
        self._progress.remove_task(self._of.pop(path))
        hidden = [task.id for task in self._progress.tasks if not task.visible]
        if hidden:
            self._progress.update(hidden[0], visible=True)

    def _begin(self, path: Path, total: float | None) -> None:
        self._of[path] = self._progress.add_task(
            elided(path.name, 28), total=total, doing="", visible=len(self._of) < _MOST_BARS
        )
