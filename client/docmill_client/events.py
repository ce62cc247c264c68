"""Following what happens to files, across connections that break."""

import json
from collections.abc import Iterator
from time import sleep

import httpx

from docmill_client.answers import FINAL, Event
from docmill_client.api import Api
from docmill_client.errors import RateLimited, Unavailable
from docmill_client.streams import messages
from docmill_client.transport import unreachable

#: The last event of a file that was deleted.
GONE = "deleted"


def follow(api: Api, path: str, last_event_id: str | None, *, to_the_end: bool) -> Iterator[Event]:
    """The events of a stream. One that breaks is opened again where it broke off.

    With ``to_the_end`` it ends with the event after which nothing more happens by itself.

    Raises:
        DocmillError: it could not be opened, in as many attempts in a row as a call has.
    """
    retries = api.transport.retries
    failed, wished = 0, 0.0
    while True:
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        pause: float | None = None
        try:
            with api.stream(path, headers) as blocks:
                if blocks is None:
                    return  # the server says that there will be nothing more
                failed = 0
                for message in messages(blocks):
                    last_event_id = message.id or last_event_id
                    wished = message.retry if message.retry is not None else wished
                    data = json.loads(message.data)
                    yield Event(message.id, message.event, data)
                    if to_the_end and (message.event == GONE or data.get("status") in FINAL):
                        return
        except httpx.TransportError as error:
            failed += 1
            if failed >= retries.attempts:
                raise unreachable(error, api.transport.url) from None
        except (Unavailable, RateLimited) as refusal:
            failed += 1
            pause = refusal.retry_after
            if failed >= retries.attempts or (pause or 0.0) > retries.longest_pause:
                raise
        sleep(retries.pause(max(failed, 1), max(pause or 0.0, wished)))
