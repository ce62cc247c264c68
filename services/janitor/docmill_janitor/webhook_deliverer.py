"""Delivers webhooks, in threads of the janitor's worker that do nothing else.

The queue is the table itself: a look every second, and at once while there is more. So a target
that is slow takes nobody's place in the janitor's queues, and Redis may be away.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from dramatiq import Broker, Middleware, Worker
from sqlalchemy.exc import SQLAlchemyError

from docmill_janitor import webhook_attempts
from docmill_janitor.resources import Resources
from docmill_janitor.webhook_calls import WebhookCaller
from docmill_janitor.webhook_slots import SLOTS, Slots
from docmill_shared.database import autocommit
from docmill_shared.observability import get_logger
from docmill_shared.webhooks import attempts
from docmill_shared.webhooks.attempts import Claim

_log = get_logger(__name__)

LOOK_EVERY_SECONDS = 1.0
#: A call that took longer is that of an ailing target, whatever it answered.
SLOW_SECONDS = 3.0


class Deliverer:
    """Looks for what is due and sends it; nothing happens before ``start``."""

    def __init__(self, resources: Resources, caller: WebhookCaller, key: bytes) -> None:
        self._resources = resources
        self._caller = caller
        self._key = key
        self._slots = Slots()
        self._calls = ThreadPoolExecutor(SLOTS, thread_name_prefix="webhook")
        self._look = threading.Event()
        self._stopping = threading.Event()
        self._more = False
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more; what is being sent goes on."""
        self._stopping.set()
        self._look.set()

    def close(self) -> None:
        """Stop, and return once nothing is being sent any more."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join()
        self._calls.shutdown()

    def turn(self) -> int:
        """Claim what there are slots for, and hand it to the threads; return how much it was."""
        if not self._slots.free:
            return 0
        now = self._resources.now()
        with autocommit(self._resources.engine) as connection:
            waiting = attempts.due(connection, now=now)
            wanted = self._slots.take(waiting)
            self._more = bool(waiting)
            claims: list[Claim] = []
            try:
                if wanted:
                    claims = attempts.claim(connection, wanted, now=now)
            finally:
                for webhook_id, count in wanted.items():
                    unused = count - sum(each.webhook_id == webhook_id for each in claims)
                    if unused:
                        self._slots.give_back(webhook_id, unused)
        for each in claims:
            self._calls.submit(self._attempt, each, now)
        return len(claims)

    def _attempt(self, held: Claim, now: datetime) -> None:
        well = False
        try:
            answer = webhook_attempts.attempt(
                self._resources.engine, self._caller, self._key, held, now=now
            )
            # An answer is one, good or bad: it is silence that costs the others their time.
            well = answer.status is not None and answer.seconds < SLOW_SECONDS
        except Exception as error:  # noqa: BLE001 - the lease ends, and it is sent again
            _log.error("a delivery was not settled", delivery_id=str(held.id), exc_info=error)
        finally:
            self._slots.give_back(held.webhook_id, well=well)
            if self._more:
                self._look.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._look.clear()
            try:
                self.turn()
            except SQLAlchemyError as error:
                _log.warning("webhooks wait for the database", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - or nothing would be delivered any more
                _log.error("looking for deliveries failed", exc_info=error)
            self._look.wait(LOOK_EVERY_SECONDS)


class WebhookDelivery(Middleware):
    """Lets a worker process deliver webhooks, if ``WEBHOOK_KEY`` is set."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._deliverer: Deliverer | None = None

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Called by Dramatiq once its threads run."""
        settings = self._resources.settings
        if settings.webhook_key is None:
            _log.info("no webhooks, since WEBHOOK_KEY is not set")
            return
        caller = WebhookCaller(allow_private=settings.webhook_allow_private_targets)
        key = settings.webhook_key.get_secret_value().encode()
        self._deliverer = Deliverer(self._resources, caller, key)
        self._deliverer.start()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Called by Dramatiq within a second of SIGTERM."""
        if self._deliverer is not None:
            self._deliverer.stop()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Called by Dramatiq when its threads have ended."""
        if self._deliverer is not None:
            self._deliverer.close()
