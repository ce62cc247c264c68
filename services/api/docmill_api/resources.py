"""The composition root: everything the api works with, built here and nowhere else."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from threading import BoundedSemaphore
from typing import Self

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from docmill_api.answering import Answerer, build_answerer
from docmill_api.event_hub import EventHub
from docmill_api.health import Health
from docmill_api.identity_provider import IdentityProvider
from docmill_api.passages import SESSION_SETTINGS
from docmill_api.rate_limiter import RateLimiter
from docmill_api.request_slots import RequestSlots
from docmill_api.settings import ApiSettings
from docmill_api.tokens import AccessTokens
from docmill_shared.broker import HardenedRedisBroker, create_broker
from docmill_shared.database import create_engine
from docmill_shared.embedding import Embedder, build_embedder
from docmill_shared.keyvalue import connect
from docmill_shared.objects import ObjectStore, S3ObjectStore
from docmill_shared.progress import TIMEOUT_SECONDS, ProgressLog
from docmill_shared.row_security import CallerCursor

#: A query is one short text. A provider that needs longer than this is as good as away, and would
#: meanwhile hold one of the threads that serve requests.
QUERY_EMBEDDING_SECONDS = 10.0
#: A model that writes for longer has lost its reader, and meanwhile holds a thread.
ANSWER_SECONDS = 20.0
#: A confirmation asks for one object's size and a deletion deletes one: a store that needs longer
#: is as good as away, and every request that waits for it holds a thread.
STORE_SECONDS = 5.0
#: The same of a queue, which answers in milliseconds; files that it does not take wait in Postgres.
QUEUE_SECONDS = 2.0
#: Half of the connections to the store that a process keeps; the rest is for single requests.
STORE_CALLS = 8


@dataclass
class Resources:
    """One process's connections and settings. Everything connects on first use."""

    settings: ApiSettings
    engine: Engine
    objects: ObjectStore
    broker: HardenedRedisBroker
    make_embedder: Callable[[], Embedder]

    @classmethod
    def from_settings(cls, settings: ApiSettings) -> Self:
        """The resources that the settings describe."""
        engine = create_engine(settings, "docmill-api", cursor_factory=CallerCursor)
        event.listen(engine, "connect", _prepare_session)
        return cls(
            settings=settings,
            engine=engine,
            objects=S3ObjectStore(settings, answer_seconds=STORE_SECONDS),
            broker=create_broker(settings, answer_seconds=QUEUE_SECONDS),
            make_embedder=lambda: _query_embedder(settings),
        )

    @cached_property
    def embedder(self) -> Embedder:
        """Built when first asked for, so that the api starts without loading weights."""
        return self.make_embedder()

    @cached_property
    def answerer(self) -> Answerer | None:
        """The model that answers questions; None: none is configured."""
        settings = self.settings
        if settings.provider != "gemini":
            return None
        return build_answerer(
            api_key=_gemini_key(settings),
            model=settings.chat_model,
            base_url=settings.gemini_base_url,
            timeout=min(settings.gemini_timeout_seconds, ANSWER_SECONDS),
        )

    @cached_property
    def answer_slots(self) -> BoundedSemaphore:
        """Questions that are with the model at once: half of the requests of this process."""
        return BoundedSemaphore(max(1, self.settings.api_threads // 2))

    @cached_property
    def access_tokens(self) -> AccessTokens:
        """Signs and verifies access tokens."""
        return AccessTokens(
            self.settings.jwt_secret.get_secret_value(),
            minutes=self.settings.access_token_minutes,
            previous=self.settings.previous_secrets,
        )

    @cached_property
    def identity_provider(self) -> IdentityProvider | None:
        """Verifies the tokens of another issuer; None: no other is trusted."""
        settings = self.settings
        if not (settings.oidc_issuer and settings.oidc_audience and settings.oidc_jwks_url):
            return None
        return IdentityProvider(
            settings.oidc_issuer, settings.oidc_audience, settings.oidc_jwks_url
        )

    @cached_property
    def rate_limiter(self) -> RateLimiter:
        """Counts requests against the limits of the settings."""
        return RateLimiter(self.settings.redis_url)

    @cached_property
    def health(self) -> Health:
        """Whether the database, the object store and the queue are there."""
        return Health(self.engine, self.objects, self.broker)

    @cached_property
    def request_slots(self) -> RequestSlots:
        """How many requests are worked on at once."""
        return RequestSlots(self.settings.api_threads)

    @cached_property
    def progress(self) -> ProgressLog:
        """What happens to files, told to those who listen, in whichever process."""
        return ProgressLog.connect(self.settings)

    @cached_property
    def events(self) -> EventHub:
        """Those who listen in this process."""
        return EventHub(
            lambda: connect(self.settings, seconds=TIMEOUT_SECONDS),
            limit=self.settings.api_event_streams,
        )

    @cached_property
    def store_calls(self) -> ThreadPoolExecutor:
        """Asks the object store about several objects at once, for all requests of the process."""
        return ThreadPoolExecutor(STORE_CALLS, thread_name_prefix="store")

    def warm_up(self) -> None:
        """Load the weights of a local embedder now, not during somebody's first search.

        Gemini's is left alone: there is nothing to load, and a call would be paid for.
        """
        if self.settings.provider == "local":
            self.embedder.embed_query("warm-up")

    def close(self) -> None:
        """Give every connection back."""
        if "health" in self.__dict__:
            self.health.close()
        if "store_calls" in self.__dict__:
            self.store_calls.shutdown(cancel_futures=True)
        if "rate_limiter" in self.__dict__:
            self.rate_limiter.close()
        if "events" in self.__dict__:
            self.events.end()
        if "progress" in self.__dict__:
            self.progress.close()
        self.engine.dispose()
        self.broker.client.close()
        if "embedder" in self.__dict__:
            self.embedder.close()
        if self.__dict__.get("answerer"):
            self.__dict__["answerer"].close()


def _query_embedder(settings: ApiSettings) -> Embedder:
    return build_embedder(
        settings.provider,
        api_key=_gemini_key(settings),
        model=settings.embedding_model,
        base_url=settings.gemini_base_url,
        timeout=min(settings.gemini_timeout_seconds, QUERY_EMBEDDING_SECONDS),
    )


def _gemini_key(settings: ApiSettings) -> str | None:
    return settings.gemini_api_key.get_secret_value() if settings.gemini_api_key else None


def _prepare_session(connection: DBAPIConnection, _: object) -> None:
    """Once per connection, so that no search pays a round trip for it."""
    cursor = connection.cursor()
    for statement in SESSION_SETTINGS:
        cursor.execute(statement)
    cursor.close()
    connection.commit()
