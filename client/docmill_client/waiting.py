"""Waiting until files have been ingested, by looking at them."""

from collections.abc import Callable, Collection, Iterator
from time import monotonic, sleep

from docmill_client.answers import File
from docmill_client.api import Api
from docmill_client.errors import NotFound, WaitedTooLong

#: The files that are waited for, as they are now.
OnLook = Callable[[list[File]], None]

_POLL_FIRST, _POLL_MOST = 0.1, 1.0


def wait(
    api: Api, file_ids: Collection[str], on_look: OnLook | None, timeout: float
) -> dict[str, File]:
    """The files by id once none changes any more by itself.

    One request per look, however many files, and in the long run one look per second. A file that
    vanished (its bytes were never there) is missing from the answer.

    Raises:
        WaitedTooLong: after ``timeout`` seconds.
    """
    deadline = monotonic() + timeout
    pause = _POLL_FIRST
    before: set[tuple[str, str]] = set()
    while True:
        found = _look_for(api, set(file_ids))
        if on_look is not None:
            on_look(list(found.values()))
        unfinished = [file for file in found.values() if not file.is_final]
        if not unfinished:
            return found
        if monotonic() > deadline:
            raise WaitedTooLong(f"{unfinished[0].name} was not finished in {timeout:g} s.")
        # Quick while files come and go, cheap while a large one takes its time.
        now = {(file.id, file.status) for file in found.values()}
        pause = _POLL_FIRST if now != before else min(pause * 1.25, _POLL_MOST)
        before = now
        sleep(pause)


def newest(api: Api, **filters: str) -> Iterator[File]:
    """The account's files, newest first."""
    return (File.of(each) for each in api.pages("/v1/files", **filters))


def _look_for(api: Api, wanted: set[str]) -> dict[str, File]:
    """The wanted files; reads no further into the list than it must."""
    if len(wanted) == 1:
        [file_id] = wanted
        try:
            return {file_id: File.of(api.get(f"/v1/files/{file_id}"))}
        except NotFound:
            return {}
    found: dict[str, File] = {}
    for file in newest(api):
        if file.id in wanted:
            found[file.id] = file
            if len(found) == len(wanted):
                break
    return found
