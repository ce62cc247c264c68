"""Which request, message and file a log line belongs to, on every line, whoever logs it.

An HTTP request's id travels as an option of the messages that it sends, so that one search of the
logs finds a request and all that came of it. Receivers that do not know the option ignore it.
"""

from dramatiq import Broker, MessageProxy, Middleware
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

_OPTION = "request_id"


def travelling() -> dict[str, str]:
    """The options of a message that is sent here and now."""
    request_id = get_contextvars().get(_OPTION)
    return {} if request_id is None else {_OPTION: str(request_id)}


class LogContext(Middleware):
    """Binds the ids of a message in the thread that runs its actor, and nothing of the one before.

    ``file_id``, ``owner_id`` and ``attempt`` are bound where they become known.
    """

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Called by Dramatiq in a worker thread."""
        clear_contextvars()
        bind_contextvars(message_id=message.message_id, actor=message.actor_name)
        request_id = message.options.get(_OPTION)
        if request_id is not None:
            bind_contextvars(**{_OPTION: request_id})
