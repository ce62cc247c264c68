"""The composition root: everything the api works with, built here and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from docmill_api.health import Health
from docmill_api.passages import SESSION_SETTINGS
from docmill_api.settings import ApiSettings
from docmill_api.tokens import AccessTokens
from docmill_shared.broker import HardenedRedisBroker, create_broker
from docmill_shared.database import create_engine
from docmill_shared.embedding import Embedder, build_embedder
from docmill_shared.objects import ObjectStore, S3ObjectStore

#: A query is one short text. A provider that needs longer than this is as good as away, and would
#: meanwhile hold one of the threads that serve requests.
QUERY_EMBEDDING_SECONDS = 10.0


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
        engine = create_engine(settings, "docmill-api")
        event.listen(engine, "connect", _prepare_session)
        return cls(
            settings=settings,
            engine=engine,
            objects=S3ObjectStore(settings),
            broker=create_broker(settings),
            make_embedder=lambda: _query_embedder(settings),
        )

    @cached_property
    def embedder(self) -> Embedder:
        """Built when first asked for, so that the api starts without loading weights."""
        return self.make_embedder()

    @cached_property
    def access_tokens(self) -> AccessTokens:
        """Signs and verifies access tokens."""
        return AccessTokens(
            self.settings.jwt_secret.get_secret_value(),
            minutes=self.settings.access_token_minutes,
        )

    @cached_property
    def health(self) -> Health:
        """Whether the database, the object store and the queue are there."""
        return Health(self.engine, self.objects, self.broker)

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
        self.engine.dispose()
        self.broker.client.close()
        if "embedder" in self.__dict__:
            self.embedder.close()


def _query_embedder(settings: ApiSettings) -> Embedder:
    key = settings.gemini_api_key
    return build_embedder(
        settings.provider,
        api_key=key.get_secret_value() if key else None,
        model=settings.embedding_model,
        base_url=settings.gemini_base_url,
        timeout=min(settings.gemini_timeout_seconds, QUERY_EMBEDDING_SECONDS),
    )


def _prepare_session(connection: DBAPIConnection, _: object) -> None:
    """Once per connection, so that no search pays a round trip for it."""
    cursor = connection.cursor()
    for statement in SESSION_SETTINGS:
        cursor.execute(statement)
    cursor.close()
    connection.commit()
