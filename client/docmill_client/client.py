"""One account's view of one docmill."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from docmill_client import events, uploads, waiting
from docmill_client.answers import Chunk, Event, File, Found, Json, Message, Reply, latest
from docmill_client.api import Api
from docmill_client.authorization import Authorization, GivenToken, Login
from docmill_client.retries import Retries
from docmill_client.transport import Call, Transport
from docmill_client.uploads import OnProgress, Uploaded, Wish
from docmill_client.waiting import OnLook

AnyPath = str | PathLike[str]
_HOUR = 3_600.0


class Client:
    """Everything that an account can do with its files.

    Constructing it connects to nothing. Calls that do the same however often they arrive are
    repeated when the network or the server fails for a moment: at most three times, with growing
    pauses, and after the time that the server asks for. Threads may share a client.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        email: str | None = None,
        password: str | None = None,
        timeout: float = 60.0,
        retries: Retries | None = None,
    ) -> None:
        """A client with an API key or an access token, or with an account's password.

        ``timeout``: seconds without a byte after which a call is given up.
        """
        self._transport = Transport(url, timeout=timeout, retries=retries or Retries())
        self._login: Login | None = None
        authorization: Authorization
        if token is not None and email is None and password is None:
            authorization = GivenToken(token)
        elif token is None and email is not None and password is not None:
            authorization = self._login = Login(self._transport, email, password)
        else:
            raise ValueError("Give a token, or an e-mail address and a password.")
        self._api = Api(self._transport, authorization)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give its connections back."""
        self._transport.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return self._transport.url

    @property
    def email(self) -> str:
        """The account that was named; empty with a token."""
        return self._login.email if self._login else ""

    def register(self) -> None:
        """Make the account that was named; raises ``Conflict`` if there is one."""
        self._account().register()

    def log_in(self) -> None:
        """Log in now; otherwise the first call does."""
        self._account().log_in()

    def log_out(self) -> None:
        """End the session now; its tokens are refused from then on."""
        self._account().log_out()

    def upload(
        self,
        path: AnyPath,
        *,
        wait: bool = True,
        visibility: str = "private",
        name: str | None = None,
        media_type: str | None = None,
        bulk: bool = False,
        find_duplicate: bool = False,
        on_progress: OnProgress | None = None,
        timeout: float = _HOUR,
    ) -> File:
        """Send a file; with ``wait``, return once it is searchable, a duplicate, or has failed.

        Which of them, its ``status`` says. It is read as it is sent, and ``on_progress`` is told
        the bytes sent and the bytes in all. ``find_duplicate`` reads it once more before: where
        the account has these bytes already, nothing is sent and that file is the answer.

        Raises:
            OSError: the file cannot be read.
            WaitedTooLong: it is uploaded, and not ingested in ``timeout`` seconds.
            NotFound: it was deleted meanwhile.
        """
        wish = Wish(Path(path), name, media_type, visibility, bulk, find_duplicate)
        file = uploads.upload(self._api, wish, on_progress)
        if not wait or file.is_final:
            return file
        return self.wait([file.id], timeout=timeout).get(file.id) or self.file(file.id)

    def upload_many(
        self,
        paths: Iterable[AnyPath],
        *,
        wait: bool = True,
        visibility: str = "private",
        bulk: bool = True,
        find_duplicate: bool = False,
        on_progress: Callable[[Path, int, int], None] | None = None,
        at_once: int = 4,
        timeout: float = _HOUR,
    ) -> list[Uploaded]:
        """Send files, several at once; what became of each, in the order of ``paths``.

        An error of one is in its place of the answer and does not keep the others. ``on_progress``
        is called by several threads.
        """
        wish = partial(Wish, visibility=visibility, bulk=bulk, find_duplicate=find_duplicate)
        wishes = [wish(Path(path)) for path in paths]
        sent = uploads.upload_many(self._api, wishes, on_progress, at_once)
        if not wait:
            return sent
        unfinished = {each.file.id for each in sent if each.file and not each.file.is_final}
        ended = self.wait(unfinished, timeout=timeout) if unfinished else {}
        return [each.after(ended) for each in sent]

    def wait(
        self,
        file_ids: Collection[str],
        on_look: OnLook | None = None,
        timeout: float = _HOUR,
    ) -> dict[str, File]:
        """The files by id, once nothing more happens to any of them by itself.

        ``on_look`` is told how they are, about once a second. A file that was deleted meanwhile
        is missing from the answer.

        Raises:
            WaitedTooLong: after ``timeout`` seconds.
        """
        return waiting.wait(self._api, file_ids, on_look, timeout)

    def file(self, file_id: str) -> File:
        """One file."""
        return File.of(self._api.get(f"/v1/files/{file_id}"))

    def files(self, **filters: Any) -> Iterator[File]:
        """The account's files, newest first; ``status="FAILED"`` for some of them."""
        return waiting.newest(self._api, **filters)

    def chunks(self, file_id: str) -> Iterator[Chunk]:
        """The passages of a file, in order."""
        return (Chunk.of(each) for each in self._api.pages(f"/v1/files/{file_id}/chunks"))

    def rename(self, file_id: str, name: str) -> File:
        """Give a file another name."""
        return File.of(self.request("PATCH", f"/v1/files/{file_id}", {"name": name}))

    def set_visibility(self, file_id: str, visibility: str) -> File:
        """Make a file ``public`` or ``private``; searches follow at once."""
        return File.of(self.request("PATCH", f"/v1/files/{file_id}", {"visibility": visibility}))

    def download_url(self, file_id: str) -> str:
        """Where its bytes can be had for an hour, without a token."""
        return str(self._api.get(f"/v1/files/{file_id}/download")["url"])

    def download(self, file_id: str, path: AnyPath) -> None:
        """Write its bytes to ``path``: in full, or nothing appears there.

        Raises:
            OSError: it cannot be written.
        """
        target = Path(path)
        draft = target.with_name(f".{target.name}.{uuid4().hex}.part")
        try:
            with (
                self._transport.download(self.download_url(file_id)) as blocks,
                draft.open("xb") as file,
            ):
                file.writelines(blocks)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)

    def retry(self, file_id: str) -> File:
        """Ingest a FAILED file again."""
        return File.of(self.request("POST", f"/v1/files/{file_id}/retry"))

    def cancel(self, file_id: str) -> File:
        """Stop a file that is not finished."""
        return File.of(self.request("POST", f"/v1/files/{file_id}/cancel"))

    def delete(self, file_id: str) -> None:
        """Delete a file: no longer found from now on."""
        self._api.call(Call("DELETE", f"/v1/files/{file_id}", repeatable=True))

    def search(
        self,
        query: str,
        *,
        limit: int = 5,
        mode: str = "hybrid",
        scope: str = "all",
        file_ids: Collection[str] | None = None,
    ) -> Found:
        """The passages that answer ``query``, each with its file, pages and headings.

        ``mode``: by meaning (``semantic``), by words (``text``) or by both. ``scope``: ``mine``,
        ``public`` or ``all``.
        """
        wish: Json = {"query": query, "limit": limit, "mode": mode, "scope": scope}
        if file_ids is not None:
            wish["file_ids"] = list(file_ids)
        # It changes nothing, so it may be asked again.
        return Found.of(self._api.call(Call("POST", "/v1/search", body=wish, repeatable=True)))

    def chat(
        self,
        question: str,
        *,
        history: Sequence[Message] = (),
        scope: str = "all",
        file_ids: Collection[str] | None = None,
        limit: int = 8,
    ) -> Reply:
        """The answer to ``question``, with the passages that it rests on: at most ``limit``.

        ``history``: what was said before, as the last ``Reply`` has it; the server keeps none of
        it. ``scope``: as in a search.
        """
        messages = (*latest(history), Message("user", question))
        wish: Json = {
            "messages": [{"role": each.role, "content": each.content} for each in messages],
            "scope": scope,
            "limit": limit,
        }
        if file_ids is not None:
            wish["file_ids"] = list(file_ids)
        # It changes nothing, so it may be asked again.
        body = self._api.call(Call("POST", "/v1/chat", body=wish, repeatable=True))
        return Reply.of(body, messages)

    def events(
        self, file_id: str | None = None, *, last_event_id: str | None = None
    ) -> Iterator[Event]:
        """What happens to the account's files, without end; or to one file, until it is finished.

        A connection that breaks is opened again and misses nothing. ``last_event_id`` goes on
        where an earlier reader stopped.
        """
        path = "/v1/events" if file_id is None else f"/v1/files/{file_id}/events"
        return events.follow(self._api, path, last_event_id, to_the_end=file_id is not None)

    def get(self, path: str, **parameters: Any) -> Json:
        """What a GET answers: for routes that have no method here."""
        return self._api.get(path, **parameters)

    def pages(self, path: str, **filters: Any) -> Iterator[Json]:
        """What a list has, page after page: for routes that have no method here."""
        return self._api.pages(path, **filters)

    def request(self, method: str, path: str, body: Json | None = None) -> Json:
        """What any other request answers; it is sent once."""
        return self._api.call(Call(method, path, body=body))

    def _account(self) -> Login:
        if self._login is None:
            raise ValueError("This client has a token and no account.")
        return self._login
