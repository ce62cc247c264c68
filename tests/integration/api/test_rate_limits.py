"""Rate limits: whom they count, what a refusal looks like, and that none is evaded."""

import random
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
import sqlalchemy
from werkzeug.test import TestResponse

from docmill_api import rate_limiter, rate_limits
from docmill_api.rate_limiter import Limit
from docmill_api.rates import Rate
from docmill_api.resources import Resources
from docmill_dev.stack import Stack
from tests.integration.api.driver import PASSWORD, Account, Api, problem, settings_from

Make = Callable[..., Api]
SLOW = {
    "rate_limits": True,
    "rate_limit_login": "5/hour",
    "rate_limit_login_email": "3/hour",
    "rate_limit_register": "2/hour",
    "rate_limit_refresh": "4/hour",
    "rate_limit_upload": "3/hour",
    "rate_limit_search": "2/hour",
    "rate_limit_chat": "1/hour",
    "rate_limit_webhook": "2/hour",
    "rate_limit_other": "6/hour",
}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is not taken to be away because this machine is busy."""
    monkeypatch.setattr(rate_limiter, "PATIENCE_SECONDS", 60.0)


@pytest.fixture
def make(api_environment: dict[str, str], api: Api) -> Iterator[Make]:
    """An api with these limits, or with others."""
    made = []

    def make(**changes: object) -> Api:
        settings = settings_from(api_environment, **{**SLOW, **changes})
        made.append(Resources.from_settings(settings))
        return Api(made[-1], api.owner)

    yield make
    for resources in made:
        resources.close()


@pytest.fixture
def limited(make: Make) -> Api:
    return make()


def somewhere() -> str:
    """An address that no other test calls from."""
    return f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"


def call(
    api: Api, method: str, path: str, body: object = None, *, address: str, **options: Any
) -> TestResponse:
    environ = {"REMOTE_ADDR": address}
    return api.call(method, path, body, environ_base=environ, **options)


def log_in(api: Api, email: str, address: str, password: str = "wrong") -> TestResponse:
    return call(
        api, "POST", "/v1/auth/login", {"email": email, "password": password}, address=address
    )


def statuses(answers: list[TestResponse]) -> list[int]:
    return [answer.status_code for answer in answers]


def test_logins_from_one_address_are_limited(limited: Api) -> None:
    here = somewhere()
    # When somebody tries one password on many accounts
    tries = [log_in(limited, f"{uuid4().hex}@example.org", here) for _ in range(6)]
    # Then the sixth is refused, and says for how long
    assert statuses(tries) == [401] * 5 + [429]
    problem(tries[-1], 429, "rate_limited")
    assert 0 < int(tries[-1].headers["Retry-After"]) <= 3600 / 5
    # And nobody else notices
    assert log_in(limited, f"{uuid4().hex}@example.org", somewhere()).status_code == 401


def test_logins_to_one_account_are_limited_from_wherever_and_whether_or_not_it_exists(
    limited: Api, account: Account
) -> None:
    for email in (account.email, f"{uuid4().hex}@example.org"):
        spellings = (email, email.upper(), f" {email} ", email)
        answers = [log_in(limited, spelling, somewhere()) for spelling in spellings]
        assert statuses(answers) == [401, 401, 401, 429]
        # The right password does not help whoever found it after all
        assert log_in(limited, email, somewhere(), PASSWORD).status_code == 429


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/auth/register", {"email": "no", "password": "x"}, [422, 422, 429]),
        ("/v1/auth/refresh", {"refresh_token": "x"}, [401] * 4 + [429]),
        ("/v1/auth/login", {"email": ["x"]}, [422] * 5 + [429]),
        ("/openapi.json", None, [200] * 6 + [429]),
        ("/v1/me", None, [401] * 6 + [429]),
    ],
)
def test_other_requests_without_an_account_are_limited_by_address(
    limited: Api, path: str, body: object, expected: list[int]
) -> None:
    here, method = somewhere(), "GET" if body is None else "POST"
    answers = [call(limited, method, path, body, address=here) for _ in expected]
    assert statuses(answers) == expected


def test_bodies_that_are_no_json_count_as_well(limited: Api) -> None:
    here = somewhere()
    for data in (b"{", b"[" * 50_000, b"\xff", b"null", b"x" * 2 * 1024**2):
        answer = call(
            limited,
            "POST",
            "/v1/auth/login",
            address=here,
            data=data,
            content_type="application/json",
        )
        assert answer.status_code in {400, 413, 422}
    assert log_in(limited, "a@example.org", here).status_code == 429


def test_an_account_is_counted_and_not_its_address(limited: Api, api: Api) -> None:
    here, there = somewhere(), somewhere()
    one, other = api.account(), api.account()

    def ask(account: Account, address: str, path: str = "/v1/me") -> TestResponse:
        bearer = {"Authorization": f"Bearer {account.access}"}
        return call(limited, "GET", path, address=address, headers=bearer)

    # When one account uses up what it has, from two addresses
    answers = [ask(one, address) for address in (here, there) * 3]
    assert statuses(answers) == [200] * 6
    problem(ask(one, here), 429, "rate_limited")
    # Then another at the same address still has everything
    assert ask(other, here).status_code == 200
    # And what has a limit of its own still works for the first
    body = {"query": "x"}
    bearer = {"Authorization": f"Bearer {one.access}"}
    searches = [
        call(limited, "POST", "/v1/search", body, address=here, headers=bearer) for _ in range(3)
    ]
    assert statuses(searches) == [200, 200, 429]
    question = {"messages": [{"role": "user", "content": "x"}]}
    chats = [
        call(limited, "POST", "/v1/chat", question, address=here, headers=bearer) for _ in range(2)
    ]
    assert statuses(chats) == [200, 429]
    uploads = [
        call(
            limited,
            "POST",
            "/v1/files",
            {"name": "a.txt", "size_bytes": 1},
            address=here,
            headers=bearer,
        )
        for _ in range(4)
    ]
    assert statuses(uploads) == [201, 201, 201, 429]


def test_an_api_key_counts_as_its_account(limited: Api, account: Account) -> None:
    created = account.post("/v1/api-keys", {"name": "k", "scopes": ["search"]}).json
    assert created is not None
    answers = [
        call(
            limited,
            "POST",
            "/v1/search",
            {"query": "x"},
            address=somewhere(),
            headers={"Authorization": f"Bearer {credential}"},
        )
        for credential in (account.access, created["key"], created["key"])
    ]
    assert statuses(answers) == [200, 200, 429]


def test_answers_say_what_is_left(limited: Api, account: Account) -> None:
    answer = log_in(limited, account.email, somewhere(), PASSWORD)
    assert answer.headers["RateLimit-Policy"] == '"login";q=5;w=3600, "login_email";q=3;w=3600'
    assert answer.headers["RateLimit"] == '"login";r=4;t=720, "login_email";r=2;t=1200'


def test_every_route_that_has_a_limit_of_its_own_exists(api: Api) -> None:
    routes = {
        (method, rule.rule)
        for rule in api.app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    assert set(rate_limits.NAMES) <= routes


def test_probes_are_free(limited: Api) -> None:
    here = somewhere()
    answers = [call(limited, "GET", "/healthz", address=here) for _ in range(20)]
    assert set(statuses(answers)) == {200}
    assert "RateLimit" not in answers[0].headers


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP"])
def test_a_forged_header_evades_nothing(limited: Api, header: str) -> None:
    here = somewhere()
    answers = [
        call(limited, "GET", "/v1/me", address=here, headers={header: f"for={somewhere()}"})
        for _ in range(7)
    ]
    assert statuses(answers) == [401] * 6 + [429]


def test_behind_a_proxy_its_word_counts_and_what_the_client_wrote_before_it_does_not(
    make: Make,
) -> None:
    behind, proxy, client = make(trusted_proxies=1), somewhere(), somewhere()
    answers = [
        call(
            behind,
            "GET",
            "/v1/me",
            address=proxy,
            headers={"X-Forwarded-For": f"{somewhere()}, {client}"},
        )
        for _ in range(7)
    ]
    assert statuses(answers) == [401] * 6 + [429]
    # Another client of the same proxy is another client
    other = {"X-Forwarded-For": f"{client}, {somewhere()}"}
    assert call(behind, "GET", "/v1/me", address=proxy, headers=other).status_code == 401


def test_an_ipv6_network_is_one_address(limited: Api) -> None:
    network = f"2001:db8:{random.randrange(65536):x}:{random.randrange(65536):x}"
    addresses = [f"{network}:{number:x}::1" for number in range(7)]
    answers = [call(limited, "GET", "/v1/me", address=address) for address in addresses]
    assert statuses(answers) == [401] * 6 + [429]
    # And an IPv4 address is the same one in either notation
    plain = somewhere()
    mixed = [plain, f"::ffff:{plain}"] * 3
    answers = [call(limited, "GET", "/v1/me", address=address) for address in [*mixed, plain]]
    assert statuses(answers) == [401] * 6 + [429]


def test_a_request_costs_one_round_trip(limited: Api, account: Account) -> None:
    log_in(limited, account.email, somewhere())  # the script is known and a connection open
    client: redis.Redis = redis.Redis.from_url(limited.resources.settings.redis_url)

    def commands() -> int:
        return int(client.info("stats")["total_commands_processed"])

    def took(ask: Callable[[], object]) -> int:
        before = commands()
        ask()
        # The script's own commands count as well: TIME, and GET and SET for each key.
        return commands() - before - 1

    evaluations = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert took(lambda: log_in(limited, account.email, somewhere())) == 1 + 1 + 2 * 2
    assert took(lambda: call(limited, "GET", "/v1/me", address=somewhere())) == 1 + 1 + 2
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - evaluations == 2
    client.close()


def test_a_demo_is_stricter_unless_it_was_told_otherwise(make: Make) -> None:
    usual = dict.fromkeys(SLOW, None)
    del usual["rate_limits"]
    settings = make().resources.settings.model_dump()
    plain = {name: value for name, value in settings.items() if name not in usual}
    kind = type(make().resources.settings)
    production, demo = kind(**plain), kind(**{**plain, "demo_mode": True})
    for name in usual:
        limit = name.removeprefix("rate_limit_")
        lax, strict = production.rate(limit), demo.rate(limit)
        assert lax is not None
        assert strict is not None
        assert strict.count / strict.seconds < lax.count / lax.seconds, name
    told = kind(**{**plain, "demo_mode": True, "rate_limit_login": "20/minute"})
    assert told.rate("login") == production.rate("login")


def test_limits_can_be_turned_off_one_by_one(make: Make) -> None:
    here = somewhere()
    without = make(rate_limit_other="off")
    answers = [call(without, "GET", "/v1/me", address=here) for _ in range(20)]
    assert set(statuses(answers)) == {401}
    assert "RateLimit" not in answers[0].headers


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """A stack whose Redis these tests may stop."""
    with (
        tempfile.TemporaryDirectory(prefix="docmill-limits-") as directory,
        Stack(Path(directory), environ={}, postgres_settings={"fsync": "off"}) as running,
    ):
        yield running


def test_without_redis_the_limits_hold_and_nobody_waits(
    make: Make, own_stack: Stack, account: Account, eventually: Callable[..., None]
) -> None:
    limited = make(redis_url=own_stack.valkey.url, rate_limit_login="4/hour")
    here = somewhere()
    assert log_in(limited, account.email, here, PASSWORD).status_code == 200
    # When Redis goes away
    own_stack.valkey.stop()
    # Then whoever comes first does not wait for it: refused is not tried again, as clients do
    started = time.monotonic()
    limited.resources.rate_limiter.take([Limit("first", here, Rate(1, 60))])
    assert time.monotonic() - started < 2
    answers = [log_in(limited, f"{uuid4().hex}@example.org", here) for _ in range(3)] + [
        log_in(limited, account.email, here, PASSWORD) for _ in range(2)
    ]
    # And this process counts at the same rate, and logins work
    assert statuses(answers) == [401, 401, 401, 200, 429]
    assert answers[-1].headers["Retry-After"]
    # And when Redis is back, what all processes count there holds again
    own_stack.valkey.start()
    keys = redis.Redis.from_url(own_stack.valkey.url)

    def counted_in_redis() -> bool:
        call(limited, "GET", "/v1/me", address=somewhere())
        return bool(keys.keys("docmill:rate:other:*"))

    eventually(counted_in_redis, what="limits are kept in Redis again")
    keys.close()


def test_a_redis_that_hangs_delays_one_request_and_only_for_a_moment(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limiter, "PATIENCE_SECONDS", 0.25)
    monkeypatch.setattr(rate_limiter, "PAUSE_SECONDS", 600.0)
    # Given an address that takes connections and says nothing
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        limited = make(redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}")
        here = somewhere()
        started = time.monotonic()
        assert call(limited, "GET", "/v1/me", address=here).status_code == 401
        # Less than the seconds for which the queue's client would wait
        assert time.monotonic() - started < 4
        silent.accept()[0].close()
        # Then those that follow do not ask
        for _ in range(5):
            assert call(limited, "GET", "/v1/me", address=here).status_code == 401
        assert call(limited, "GET", "/v1/me", address=here).status_code == 429
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_the_database_is_not_asked_for_it(limited: Api, account: Account) -> None:
    statements = []
    sqlalchemy.event.listen(
        limited.resources.engine, "before_cursor_execute", lambda *args: statements.append(args[2])
    )
    bearer = {"Authorization": f"Bearer {account.access}"}
    assert call(limited, "GET", "/v1/me", address=somewhere(), headers=bearer).status_code == 200
    assert len(statements) == 1
