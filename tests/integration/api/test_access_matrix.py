"""Every route, called by everyone: generated from the route table, so that none is forgotten."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert
from werkzeug.test import TestResponse

from docmill_api.app import create_app
from docmill_api.resources import Resources
from docmill_api.tokens import AccessTokens
from docmill_shared.api_keys import KeyScope
from docmill_shared.messages import INGEST_QUEUE
from docmill_shared.schema import Webhook, WebhookDelivery
from tests.conftest import SECRET, WEBHOOK_KEY
from tests.integration.api.driver import PASSWORD, Account, Api, problem, settings_from


class Who(StrEnum):
    """The columns of the matrix. ``owner`` is a plain user; nobody else owns what is asked for."""

    ANONYMOUS = "anonymous"
    OTHER = "other user"
    OWNER = "owner"
    CONTRIBUTOR = "contributor"
    ADMIN = "admin"
    REVOKED = "revoked token"
    EXPIRED = "expired token"
    SMALL_KEY = "API key with too small a scope"


@dataclass(frozen=True)
class Call:
    """A request for something of the owner's, and what it answers to whom it is allowed."""

    allowed: set[int]
    body: Callable[["World"], Any] = lambda world: None
    #: Makes what the path names: its parameters' values.
    given: Callable[["World"], dict[str, str]] = lambda world: {}


class World:
    """The accounts, and things of the owner's to be asked for."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.owner = api.account()
        self.accounts = {
            Who.OWNER: self.owner,
            Who.OTHER: api.account(),
            Who.CONTRIBUTOR: api.account("contributor"),
            Who.ADMIN: api.account("admin"),
        }
        self._keys: dict[tuple[KeyScope, ...], str] = {}
        self.tokens = {who: account.access for who, account in self.accounts.items()}
        expired = AccessTokens(SECRET, minutes=-5)
        self.tokens[Who.EXPIRED] = expired.issue(self.owner.id, uuid4()).encoded
        self.tokens[Who.REVOKED] = self._revoked()

    def _revoked(self) -> str:
        credentials = {"email": self.owner.email, "password": PASSWORD}
        token: str = self.api.call("POST", "/v1/auth/login", credentials).json["access_token"]  # type: ignore[index]
        headers = {"Authorization": f"Bearer {token}"}
        assert self.api.call("POST", "/v1/auth/logout", headers=headers).status_code == 204
        return token

    def key(self, *scopes: KeyScope) -> str:
        """A key of the owner's with these scopes alone."""
        if scopes not in self._keys:
            body = {"name": "k", "scopes": [str(each) for each in scopes]}
            made: Any = self.owner.post("/v1/api-keys", body).json
            self._keys[scopes] = made["key"]
        return self._keys[scopes]

    def file(self) -> dict[str, str]:
        """A COMPLETED file."""
        return {"file_id": self.api.file_with_chunks(self.owner, ["a passage of the owner's"])}

    def uploaded(self) -> dict[str, str]:
        """A PENDING file whose bytes are there."""
        return {"file_id": self.owner.upload()}

    def queued(self) -> dict[str, str]:
        """A file that waits."""
        return {"file_id": self.owner.confirmed()}

    def failed(self) -> dict[str, str]:
        """A file that FAILED."""
        given = self.queued()
        self.api.set_file(given["file_id"], status="FAILED", failure_reason="corrupt")
        return given

    def webhook(self) -> dict[str, str]:
        """A webhook."""
        webhook_id = uuid4()
        with self.api.owner.begin() as connection:
            connection.execute(
                insert(Webhook).values(
                    id=webhook_id,
                    owner_id=self.owner.id,
                    url="https://example.org/hook",
                    events=["file.completed"],
                )
            )
        return {"webhook_id": str(webhook_id)}

    def delivery(self) -> dict[str, str]:
        """A delivery that FAILED."""
        given, delivery_id = self.webhook(), uuid4()
        with self.api.owner.begin() as connection:
            connection.execute(
                insert(WebhookDelivery).values(
                    id=delivery_id,
                    webhook_id=given["webhook_id"],
                    owner_id=self.owner.id,
                    event="file.completed",
                    payload={},
                    status="FAILED",
                )
            )
        return {**given, "delivery_id": str(delivery_id)}

    def api_key(self) -> dict[str, str]:
        """An API key."""
        made: Any = self.owner.post("/v1/api-keys", {"name": "k", "scopes": ["search"]}).json
        return {"key_id": made["id"]}


NEW_FILE = {"name": "a.txt", "size_bytes": 5}
NEW_WEBHOOK = {"url": "https://example.org/hook", "events": ["file.completed"]}

#: What anybody may ask without saying who they are.
PUBLIC = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("POST", "/v1/auth/register"),
    ("POST", "/v1/auth/login"),
    ("POST", "/v1/auth/refresh"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
}

_FILE, _WEBHOOK = "/v1/files/<uuid:file_id>", "/v1/webhooks/<uuid:webhook_id>"
_DELIVERY = f"{_WEBHOOK}/deliveries/<uuid:delivery_id>"
_ADMIN = "/v1/admin"
_QUEUE: dict[str, str] = {"queue": INGEST_QUEUE}
QUESTION = [{"role": "user", "content": "Which passage?"}]

#: How each of the other routes is called so that it does what it is for.
CALLS: dict[tuple[str, str], Call] = {
    ("GET", "/v1/me"): Call({200}),
    ("POST", "/v1/me/password"): Call(
        {403}, lambda world: {"current_password": "not it", "new_password": "something else"}
    ),
    ("DELETE", "/v1/me"): Call({403}, lambda world: {"password": "not it"}),
    ("POST", "/v1/api-keys"): Call({201}, lambda world: {"name": "k", "scopes": ["search"]}),
    ("GET", "/v1/api-keys"): Call({200}),
    ("DELETE", "/v1/api-keys/<uuid:key_id>"): Call({204}, given=World.api_key),
    ("GET", "/v1/usage"): Call({200}),
    ("POST", "/v1/search"): Call({200}, lambda world: {"query": "passage", "mode": "text"}),
    ("POST", "/v1/chat"): Call({200}, lambda world: {"messages": QUESTION}),
    ("GET", "/v1/events"): Call({200}),
    ("POST", "/v1/files"): Call({201}, lambda world: NEW_FILE),
    ("POST", "/v1/files/bulk"): Call({200, 201, 207}, lambda world: {"files": [NEW_FILE]}),
    ("POST", "/v1/files/confirm"): Call(
        {200, 202, 207}, lambda world: {"ids": [world.uploaded()["file_id"]]}
    ),
    ("GET", "/v1/files"): Call({200}),
    ("GET", _FILE): Call({200}, given=World.file),
    ("PATCH", _FILE): Call({200}, lambda world: {"name": "b.txt"}, World.file),
    ("DELETE", _FILE): Call({204}, given=World.file),
    ("POST", f"{_FILE}/confirm"): Call({202}, given=World.uploaded),
    ("GET", f"{_FILE}/download"): Call({200}, given=World.file),
    ("GET", f"{_FILE}/chunks"): Call({200}, given=World.file),
    ("POST", f"{_FILE}/retry"): Call({202}, given=World.failed),
    ("POST", f"{_FILE}/cancel"): Call({200}, given=World.queued),
    ("GET", f"{_FILE}/events"): Call({200}, given=World.file),
    ("POST", "/v1/webhooks"): Call({201}, lambda world: NEW_WEBHOOK),
    ("GET", "/v1/webhooks"): Call({200}),
    ("GET", _WEBHOOK): Call({200}, given=World.webhook),
    ("PATCH", _WEBHOOK): Call({200}, lambda world: {"description": "x"}, World.webhook),
    ("DELETE", _WEBHOOK): Call({204}, given=World.webhook),
    ("POST", f"{_WEBHOOK}/rotate-secret"): Call({200}, given=World.webhook),
    ("POST", f"{_WEBHOOK}/test"): Call({202}, given=World.webhook),
    ("GET", f"{_WEBHOOK}/deliveries"): Call({200}, given=World.webhook),
    ("GET", _DELIVERY): Call({200}, given=World.delivery),
    ("POST", f"{_DELIVERY}/redeliver"): Call({202}, given=World.delivery),
    ("GET", f"{_ADMIN}/audit"): Call({200}),
    ("GET", f"{_ADMIN}/queues"): Call({200}),
    ("POST", f"{_ADMIN}/queues/<queue>/pause"): Call({204}, given=lambda world: _QUEUE),
    ("POST", f"{_ADMIN}/queues/<queue>/resume"): Call({204}, given=lambda world: _QUEUE),
    ("GET", f"{_ADMIN}/workers"): Call({200}),
    ("GET", f"{_ADMIN}/jobs"): Call({200}),
    # What is not there: an admin learns that, and nobody else does.
    ("POST", f"{_ADMIN}/jobs/<job>/pause"): Call({404}, given=lambda world: {"job": "none"}),
    ("POST", f"{_ADMIN}/jobs/<job>/resume"): Call({404}, given=lambda world: {"job": "none"}),
    ("POST", f"{_ADMIN}/jobs/<job>/runs"): Call(
        {404}, lambda world: {}, lambda world: {"job": "none"}
    ),
    ("GET", f"{_ADMIN}/runs"): Call({200}),
    ("GET", f"{_ADMIN}/runs/<uuid:run_id>"): Call(
        {404}, given=lambda world: {"run_id": str(uuid4())}
    ),
    ("GET", f"{_ADMIN}/dead-letters"): Call({200}),
    ("GET", f"{_ADMIN}/dead-letters/<queue>/<dead_id>"): Call(
        {404}, given=lambda world: {**_QUEUE, "dead_id": "none"}
    ),
    ("POST", f"{_ADMIN}/dead-letters/<queue>/<dead_id>/retry"): Call(
        {404}, given=lambda world: {**_QUEUE, "dead_id": "none"}
    ),
    ("POST", f"{_ADMIN}/dead-letters/retry"): Call({200}, lambda world: {"queue": INGEST_QUEUE}),
    ("DELETE", f"{_ADMIN}/dead-letters/<queue>/<dead_id>"): Call(
        {404}, given=lambda world: {**_QUEUE, "dead_id": "none"}
    ),
    ("POST", "/v1/auth/logout"): Call({204}),
}

#: The scope that a key lacks when it has all the others; none for what no key may do.
SCOPES = {
    "/v1/files": {"GET": KeyScope.FILES_READ, "other": KeyScope.FILES_WRITE},
    "/v1/events": {"GET": KeyScope.FILES_READ},
    "/v1/usage": {"GET": KeyScope.FILES_READ},
    "/v1/search": {"other": KeyScope.SEARCH},
    "/v1/chat": {"other": KeyScope.SEARCH},
    "/v1/webhooks": {"GET": KeyScope.WEBHOOKS, "other": KeyScope.WEBHOOKS},
}


@cache
def routes() -> frozenset[tuple[str, str]]:
    """The route table of the app, which connects to nothing."""
    settings = settings_from(
        {
            "API_DATABASE_URL": "postgresql://api:Jq3TzX0vB8mLwN5r@localhost/none",
            "REDIS_URL": "redis://localhost",
            "S3_ENDPOINT": "http://localhost",
            "S3_ACCESS_KEY": "Jq3TzX0vB8mLwN5r",
            "S3_SECRET_KEY": "zX0vB8mLwN5rJq3TK1",
            "JWT_SECRET": SECRET,
            "WEBHOOK_KEY": WEBHOOK_KEY,
        }
    )
    app = create_app(Resources.from_settings(settings))
    return frozenset(
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith("/docs/")
    )


PRIVATE = sorted(routes() - PUBLIC)


@pytest.fixture(scope="module")
def world(api: Api) -> World:
    return World(api)


@pytest.fixture(autouse=True)
def nothing_is_left(api: Api) -> Iterator[None]:
    """No messages, no paused queue, and not so many webhooks that there may be no more."""
    yield
    api.resources.broker.client.flushdb()
    with api.owner.begin() as connection:
        connection.execute(delete(Webhook))


def call(world: World, route: tuple[str, str], who: Who) -> TestResponse:
    method, rule = route
    described = CALLS[route]
    path = rule
    for name, value in described.given(world).items():
        for converter in ("uuid:", ""):
            path = path.replace(f"<{converter}{name}>", value)
    assert "<" not in path, "every parameter of the path has a value"
    token = world.key(*_all_but_needed(method, rule)) if who == Who.SMALL_KEY else None
    token = token or world.tokens.get(who)
    if rule == "/v1/auth/logout" and who in world.accounts:
        # It ends the session that it is called in, which the other tests need.
        token = _another_session(world.accounts[who])
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    # Not read to its end: a stream has none.
    return world.api.call(method, path, described.body(world), headers=headers, buffered=False)


def _all_but_needed(method: str, rule: str) -> list[KeyScope]:
    for prefix, scopes in SCOPES.items():
        if rule.startswith(prefix):
            needed = scopes.get(method, scopes.get("other"))
            return [each for each in KeyScope if each != needed]
    return list(KeyScope)


def test_every_route_is_in_the_matrix() -> None:
    assert set(PRIVATE) == set(CALLS), "say in CALLS how a new route is called"


@pytest.mark.parametrize("who", Who, ids=str)
@pytest.mark.parametrize("route", PRIVATE, ids=" ".join)
def test_who_may(world: World, route: tuple[str, str], who: Who) -> None:
    rule = route[1]
    # When this caller asks for something of the owner's
    answer = call(world, route, who)
    # Then whoever has shown no good credential is told only that
    try:
        if who in {Who.ANONYMOUS, Who.REVOKED, Who.EXPIRED}:
            problem(answer, 401, _CODES[who])
        elif who == Who.SMALL_KEY:
            refusal = "insufficient_scope" if _has_scope(rule) else "api_key_not_allowed"
            problem(answer, 403, refusal)
        elif rule.startswith(_ADMIN) and who != Who.ADMIN:
            problem(answer, 403, "forbidden")
        elif "<" in rule and not rule.startswith(_ADMIN) and who != Who.OWNER:
            # 404 and not 403: that it exists is not for them to know
            assert answer.status_code == 404, answer.text
            assert _told(answer) == _told(_nothing_there(world, route, who))
        else:
            assert answer.status_code in CALLS[route].allowed, answer.text
    finally:
        answer.close()


_CODES = {
    Who.ANONYMOUS: "unauthenticated",
    Who.REVOKED: "token_revoked",
    Who.EXPIRED: "token_expired",
}


def _has_scope(rule: str) -> bool:
    return any(rule.startswith(prefix) for prefix in SCOPES)


def _another_session(account: Account) -> str:
    credentials = {"email": account.email, "password": PASSWORD}
    tokens: Any = account.api.call("POST", "/v1/auth/login", credentials).json
    return str(tokens["access_token"])


def _nothing_there(world: World, route: tuple[str, str], who: Who) -> TestResponse:
    """The same request for what nobody has."""
    method, rule = route
    path = rule
    for name in ("file_id", "webhook_id", "delivery_id", "key_id"):
        path = path.replace(f"<uuid:{name}>", str(uuid4()))
    headers = {"Authorization": f"Bearer {world.tokens[who]}"}
    return world.api.call(method, path, CALLS[route].body(world), headers=headers)


def _told(answer: TestResponse) -> dict[str, Any]:
    body: dict[str, Any] = dict(answer.json or {})
    body.pop("request_id")
    return body


@pytest.mark.parametrize("route", sorted(PUBLIC & routes()), ids=" ".join)
def test_public_routes_ask_for_nothing(api: Api, route: tuple[str, str]) -> None:
    method, rule = route
    answer = api.call(method, rule, {} if method == "POST" else None)
    assert answer.status_code == (422 if method == "POST" else 200), answer.text
