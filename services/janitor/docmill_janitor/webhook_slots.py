"""Who may be called now: a few slots, shared so that no target keeps others waiting.

What is remembered of a webhook is remembered by this process alone and may be lost.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock
from urllib.parse import urlsplit
from uuid import UUID

from docmill_shared.webhooks.attempts import DueWebhook

#: Calls at the same time.
SLOTS = 16
#: Of these for one webhook that answered well the last time; any other has one.
EACH_WEBHOOK = 4
EACH_HOST = 8
EACH_OWNER = 8
#: For all webhooks together that did not answer well, and for those and the new ones: the rest is
#: for those of whom it is known that they cost little time.
AILING = 8
UNPROVEN = 12
#: Webhooks that are remembered.
_REMEMBERED = 10_000


@dataclass(slots=True)
class _Known:
    turn: int = 0  #: when it had its last, counted in turns of all
    well: bool | None = None  #: None: it is new


@dataclass(slots=True)
class _InFlight:
    host: str
    owner_id: UUID
    calls: int = 0


class Slots:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[UUID, _Known] = OrderedDict()
        self._in_flight: dict[UUID, _InFlight] = {}
        self._hosts: Counter[str] = Counter()
        self._owners: Counter[UUID] = Counter()
        self._turns = 0

    @property
    def free(self) -> int:
        """How many nobody has."""
        with self._lock:
            return SLOTS - self._owners.total()

    def take(self, due: Iterable[DueWebhook]) -> dict[UUID, int]:
        """Slots for these webhooks, those first whose last turn was longest ago."""
        with self._lock:
            taken: dict[UUID, int] = {}
            candidates = sorted(due, key=lambda each: self._last(each.id).turn)
            # Round by round, so that nobody has a second slot before everybody has one.
            while candidates:
                candidates = [each for each in candidates if self._take_one(each)]
                for each in candidates:
                    taken[each.id] = taken.get(each.id, 0) + 1
            for webhook_id in taken:
                self._turns += 1
                self._remember(webhook_id).turn = self._turns
            return taken

    def give_back(self, webhook_id: UUID, count: int = 1, *, well: bool | None = None) -> None:
        """After a call, which went well or not; None: there was none."""
        with self._lock:
            mine = self._in_flight[webhook_id]
            mine.calls -= count
            self._hosts[mine.host] -= count
            self._owners[mine.owner_id] -= count
            if not mine.calls:
                del self._in_flight[webhook_id]
            if not self._hosts[mine.host]:
                del self._hosts[mine.host]
            if not self._owners[mine.owner_id]:
                del self._owners[mine.owner_id]
            if well is not None:
                self._remember(webhook_id).well = well

    def _take_one(self, webhook: DueWebhook) -> bool:
        if self._owners.total() >= SLOTS or self._owners[webhook.owner_id] >= EACH_OWNER:
            return False
        mine, well = self._in_flight.get(webhook.id), self._last(webhook.id).well
        if mine is not None and mine.calls >= (EACH_WEBHOOK if well else 1):
            return False
        if well is False and self._calls(False) >= AILING:
            return False
        if not well and self._calls(False) + self._calls(None) >= UNPROVEN:
            return False
        host = host_of(webhook.url)
        if self._hosts[host] >= EACH_HOST:
            return False
        if mine is None:
            mine = self._in_flight[webhook.id] = _InFlight(host, webhook.owner_id)
        mine.calls += 1
        # Of the call that began first, should the URL have changed since.
        self._hosts[mine.host] += 1
        self._owners[mine.owner_id] += 1
        return True

    def _calls(self, well: bool | None) -> int:
        return sum(
            each.calls
            for webhook_id, each in self._in_flight.items()
            if self._last(webhook_id).well is well
        )

    def _last(self, webhook_id: UUID) -> _Known:
        return self._known.get(webhook_id, _NEW)

    def _remember(self, webhook_id: UUID) -> _Known:
        known = self._known.setdefault(webhook_id, _Known())
        self._known.move_to_end(webhook_id)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return known


_NEW = _Known()


def host_of(url: str) -> str:
    """The host, of a URL that was checked when it came in."""
    return urlsplit(url).hostname or ""
