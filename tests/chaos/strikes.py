"""How each fault is done, and undone."""

from collections.abc import Callable
from functools import partial
from typing import Any

from docmill_dev.servers import Server
from docmill_dev.stack import Stack
from tests.chaos.fleet import Fleet
from tests.chaos.ground import Ground
from tests.chaos.schedule import Fault, FaultKind

K = FaultKind

#: What is still to be done about a fault, after so many seconds.
Later = tuple[float, Callable[[], None]]

#: Calls that fail in a row. RetryInfo asks for this many seconds.
_FAILING_CALLS = 3
_RETRY_INFO_SECONDS = 2.0
#: A call that hangs this long has timed out at the client; see ``GEMINI_TIMEOUT_SECONDS``.
HANG_SECONDS = 8.0
#: Faults that take the answer of a call that was paid for.
LOSE_ANSWERS = frozenset({K.PROVIDER_HANG, K.PROVIDER_DROP})
_NAMES = {K.KILL_JANITOR: "janitor", K.KILL_SCHEDULER: "scheduler"}
#: The emulator's controls for each.
_PROVIDER: dict[FaultKind, dict[str, Any]] = {
    K.PROVIDER_429: {
        "fail_next": _FAILING_CALLS,
        "fail_status": 429,
        "retry_info_seconds": _RETRY_INFO_SECONDS,
    },
    K.PROVIDER_500: {
        "fail_next": _FAILING_CALLS,
        "fail_status": 500,
        "retry_info_seconds": None,
    },
    K.PROVIDER_503: {
        "fail_next": _FAILING_CALLS,
        "fail_status": 503,
        "retry_info_seconds": None,
    },
    K.PROVIDER_HANG: {"hang_next": 1},
    K.PROVIDER_DROP: {"drop_next": 1},
}


def strike(fault: Fault, ground: Ground, fleet: Fleet) -> Later | None:
    """Do it, and return what must follow. What this fleet does not have is left alone."""
    match fault.kind:
        case K.KILL_WORKER | K.KILL_JANITOR | K.KILL_SCHEDULER:
            name = _NAMES.get(fault.kind, f"ingest-{fault.target}")
            if fleet.has(name):
                fleet.kill(name)
        case K.TERM_WORKER:
            fleet.terminate(f"ingest-{fault.target}")
        case K.FLUSHALL:
            ground.flush()
        case K.VALKEY_RESTART | K.POSTGRES_RESTART:
            _server(fault.kind, ground.stack).restart()
        case K.VALKEY_KILL | K.POSTGRES_KILL | K.S3_OUTAGE:
            server = _server(fault.kind, ground.stack)
            server.kill()
            return fault.seconds, server.start
        case _:
            return _trouble_provider(fault.kind, ground)
    return None


def _server(kind: FaultKind, stack: Stack) -> Server:
    if kind in (K.VALKEY_RESTART, K.VALKEY_KILL):
        return stack.valkey
    return stack.s3 if kind is K.S3_OUTAGE else stack.postgres


def _trouble_provider(kind: FaultKind, ground: Ground) -> Later | None:
    ground.provider(**_PROVIDER[kind])
    if kind is K.PROVIDER_HANG:
        return HANG_SECONDS, partial(ground.provider, hang_next=0, release_hung=True)
    return None
