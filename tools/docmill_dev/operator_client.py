"""A client of the operators' API: queues, jobs and dead letters. The account must be an admin."""

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import cast
from urllib.parse import quote

from docmill_client import Client, DocmillError, Forbidden
from docmill_dev.operator_answers import (
    DeadLetter,
    DeadLetterDetails,
    Job,
    Queue,
    Run,
    RunDetails,
    Worker,
)

_UNDER_WAY = frozenset({"queued", "running"})
_POLL_FIRST, _POLL_MOST = 0.1, 1.0


class NotAdmin(DocmillError):
    """The account may not do this; the message says how it may."""


class Operator:
    """What an admin can see and do. Errors are those of :class:`Client`, and :class:`NotAdmin`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def queues(self) -> list[Queue]:
        """Every queue."""
        with self._as_admin():
            return cast("list[Queue]", self._client.get("/v1/admin/queues")["items"])

    def workers(self) -> list[Worker]:
        """Every worker process."""
        with self._as_admin():
            return cast("list[Worker]", self._client.get("/v1/admin/workers")["items"])

    def pause_queue(self, name: str) -> None:
        """Hand out nothing more of it."""
        self._order("POST", "queues", name, "pause")

    def resume_queue(self, name: str) -> None:
        """Hand out what waits."""
        self._order("POST", "queues", name, "resume")

    def jobs(self) -> list[Job]:
        """The schedule."""
        with self._as_admin():
            return cast("list[Job]", self._client.get("/v1/admin/jobs")["items"])

    def job(self, name: str) -> Job:
        """One job of the schedule; the error for another name suggests one."""
        jobs = {job["name"]: job for job in self.jobs()}
        if name not in jobs:
            close = difflib.get_close_matches(name, jobs, n=1)
            hint = f"Did you mean {close[0]}?" if close else "See: docmill jobs"
            raise DocmillError(f"The schedule has no job {name}. {hint}")
        return jobs[name]

    def pause_job(self, name: str) -> None:
        """Let its times pass by."""
        self._order("POST", "jobs", self.job(name)["name"], "pause")

    def resume_job(self, name: str) -> None:
        """Run it again from its next time on."""
        self._order("POST", "jobs", self.job(name)["name"], "resume")

    def run_job(self, name: str, *, dry_run: bool) -> RunDetails:
        """Ask for a run; it is queued."""
        path = _path("jobs", self.job(name)["name"], "runs")
        with self._as_admin():
            return cast("RunDetails", self._client.request("POST", path, {"dry_run": dry_run}))

    def run(self, run_id: str) -> RunDetails:
        """One run of the history."""
        with self._as_admin():
            return cast("RunDetails", self._client.get(_path("runs", run_id)))

    def wait_for_run(
        self, run_id: str, timeout: float, on_look: Callable[[RunDetails], None]
    ) -> RunDetails:
        """The run at its end.

        Raises:
            TimeoutError: after ``timeout`` seconds.
        """
        deadline, pause = monotonic() + timeout, _POLL_FIRST
        while True:
            run = self.run(run_id)
            on_look(run)
            if run["status"] not in _UNDER_WAY:
                return run
            if monotonic() > deadline:
                raise TimeoutError(
                    f"The run of {run['job']} is still {run['status']} after {timeout:g} s;"
                    " later its end will be in: docmill jobs history"
                )
            sleep(pause)
            pause = min(pause * 1.5, _POLL_MOST)

    def runs(self, *, job: str | None = None, failed: bool = False) -> Iterator[Run]:
        """The history, newest first."""
        filters: dict[str, object] = {"job": job} if job else {}
        if failed:
            filters["failed"] = "true"
        with self._as_admin():
            yield from cast("Iterator[Run]", self._client.pages("/v1/admin/runs", **filters))

    def dead_letters(self, queue: str | None = None) -> Iterator[DeadLetter]:
        """The dead letters, those that died last first."""
        filters: dict[str, object] = {"queue": queue} if queue else {}
        with self._as_admin():
            pages = self._client.pages("/v1/admin/dead-letters", **filters)
            yield from cast("Iterator[DeadLetter]", pages)

    def dead_letter(self, beginning: str) -> DeadLetterDetails:
        """The one dead letter whose id begins so."""
        found = [each for each in self.dead_letters() if each["id"].startswith(beginning)]
        exact = [each for each in found if each["id"] == beginning]
        if not found:
            raise DocmillError(f"No dead letter has an id that begins with {beginning}.")
        if len(found) > 1 and not exact:
            raise DocmillError(
                f"{len(found)} dead letters have an id that begins with {beginning}:"
                " give more of it."
            )
        letter = (exact or found)[0]
        with self._as_admin():
            answer = self._client.get(_path("dead-letters", letter["queue"], letter["id"]))
        return cast("DeadLetterDetails", answer)

    def retry(self, letter: DeadLetter) -> None:
        """Send it again."""
        self._order("POST", "dead-letters", letter["queue"], letter["id"], "retry")

    def delete(self, letter: DeadLetter) -> None:
        """Throw it away."""
        self._order("DELETE", "dead-letters", letter["queue"], letter["id"])

    def retry_all(self, queue: str) -> tuple[int, int]:
        """Send all of a queue again; how many were, and how many cannot be read and stay."""
        body: dict[str, object] = {"queue": queue}
        retried = 0
        while True:
            with self._as_admin():
                done = self._client.request("POST", "/v1/admin/dead-letters/retry", body)
            retried += done["retried"]
            if not done["more"]:
                return retried, done["unreadable"]
            # Those that die anew meanwhile are not met again.
            body["died_before"] = done["died_before"]

    def _order(self, method: str, *parts: str) -> None:
        with self._as_admin():
            self._client.request(method, _path(*parts))

    @contextmanager
    def _as_admin(self) -> Iterator[None]:
        try:
            yield
        except Forbidden as error:
            if error.code != "forbidden":
                raise
            email = self._client.email
            raise NotAdmin(
                f"{email} is not an admin. Make it one with: docmill grant {email} admin"
            ) from None


def _path(*parts: str) -> str:
    return "/v1/admin/" + "/".join(quote(part, safe="") for part in parts)
