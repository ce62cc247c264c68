"""Server-sent events as they go over the wire (the HTML standard, 9.2)."""

MEDIA_TYPE = "text/event-stream"
#: Said every now and then, so that proxies and clients see that the connection lives.
HEARTBEAT = b": heartbeat\n\n"


def event(name: str, data: str, event_id: str | None = None) -> bytes:
    """An event; ``data`` is one line. Without an id, the last one that was sent stays."""
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


def comment(text: str) -> bytes:
    """Something for people who look at the stream."""
    return f": {text}\n\n".encode()


def retry(milliseconds: int) -> bytes:
    """How long the client waits before it comes back."""
    return f"retry: {milliseconds}\n\n".encode()
