"""Logs: structlog over the standard library, JSON in production, coloured in a terminal."""

import logging
import os
import sys
import threading
from types import TracebackType

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from docmill_shared.settings import EnvironmentSettings

Logger = structlog.stdlib.BoundLogger


def configure_logging(service: str, settings: EnvironmentSettings) -> None:
    """Send every log line of this process, libraries' included, to stderr in one format."""

    def name_service(
        _: object, __: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    before: list[structlog.typing.Processor] = [
        name_service,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    if settings.log_format == "json":
        render: list[structlog.typing.Processor] = [
            # Without locals: those hold secrets and other people's text.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
    else:
        colors = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        render = [
            structlog.dev.ConsoleRenderer(
                colors=colors, pad_event_to=36, exception_formatter=structlog.dev.plain_traceback
            )
        ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    # Python would write these by itself, in forms of its own.
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    # Some of them also log headers and signed URLs below this level.
    for noisy in (
        *("apscheduler", "urllib3", "httpx", "httpcore", "google_genai", "unstructured"),
        *("dramatiq", "redis", "alembic"),
    ):
        logging.getLogger(noisy).setLevel(max(root.level, logging.WARNING))


def get_logger(name: str) -> Logger:
    """A structured logger; event names are short sentences, data goes into fields."""
    logger: Logger = structlog.stdlib.get_logger(name)
    return logger


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):  # somebody at a terminal, who knows
        sys.__excepthook__(kind, error, trace)
    else:
        get_logger(__name__).critical("uncaught", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(found: threading.ExceptHookArgs) -> None:
    name = found.thread.name if found.thread is not None else None
    error = found.exc_value or found.exc_type()
    trace = (found.exc_type, error, found.exc_traceback)
    get_logger(__name__).error("uncaught in a thread", thread=name, exc_info=trace)
