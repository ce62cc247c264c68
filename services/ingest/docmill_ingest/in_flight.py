"""Several calls under way, their results in order, and never more input taken than needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_flight(
    executor: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    window: int,
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order, with up to ``window`` calls at once.

    Unlike ``executor.map`` it takes the next item only when there is room for it, so whatever
    produces the items is held back by whatever consumes the results. When a call fails or the
    consumer stops, calls that have not begun are cancelled and the rest are waited for.
    """
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            # With the context of this thread, so that what is logged there names the file, too.
            pending.append(executor.submit(copy_context().run, function, item))
            while len(pending) >= window or (pending and pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        for future in pending:
            if not future.cancelled():
                future.exception()
