"""What browsers are told: headers of every answer, and pages of other sites."""

from collections.abc import Callable, Iterator

import pytest

from docmill_api.resources import Resources
from docmill_shared.errors import ConfigurationError
from tests.integration.api.driver import Account, Api, settings_from

APP = "https://app.example.org"
Make = Callable[..., Api]


@pytest.fixture
def make(api_environment: dict[str, str], api: Api) -> Iterator[Make]:
    """An api with these settings."""
    made = []

    def make(**changes: object) -> Api:
        made.append(Resources.from_settings(settings_from(api_environment, **changes)))
        return Api(made[-1], api.owner)

    yield make
    for resources in made:
        resources.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/nothing"),
        ("GET", "/v1/me"),
        ("PUT", "/v1/me"),
        ("POST", "/v1/auth/login"),
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
        ("OPTIONS", "/v1/files"),
    ],
)
def test_every_answer_tells_browsers_to_do_nothing_with_it(
    api: Api, method: str, path: str
) -> None:
    headers = api.call(method, path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "Strict-Transport-Security" not in headers
    assert headers["Cache-Control"] == (
        "no-store" if "doc" not in path and "openapi" not in path else "no-cache, public"
    )


def test_a_bug_has_them_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("docmill_api.sessions.refresh", fail)
    answer = api.call("POST", "/v1/auth/refresh", {"refresh_token": "x"})
    assert answer.status_code == 500
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_https_stays_https_if_a_proxy_that_is_believed_says_it_was(make: Make) -> None:
    forwarded = {"X-Forwarded-Proto": "https"}
    behind = make(trusted_proxies=1).call("GET", "/healthz", headers=forwarded)
    assert "max-age=63072000" in behind.headers["Strict-Transport-Security"]
    alone = make().call("GET", "/healthz", headers=forwarded)
    assert "Strict-Transport-Security" not in alone.headers


def preflight(api: Api, path: str, origin: str, method: str = "POST") -> dict[str, str]:
    answer = api.call(
        "OPTIONS",
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
        },
    )
    assert (answer.status_code, answer.data) == (204, b"")
    return dict(answer.headers)


def test_a_page_of_an_allowed_origin_may_call_and_read(make: Make, account: Account) -> None:
    open_to = make(cors_origins=f"{APP}, http://localhost:5173")
    for origin in (APP, "http://localhost:5173"):
        # When the browser asks first, without a token, as it does
        allowed = preflight(open_to, "/v1/files", origin)
        # Then the request may be made
        assert allowed["Access-Control-Allow-Origin"] == origin
        assert "PATCH" in allowed["Access-Control-Allow-Methods"]
        for header in ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"):
            assert header in allowed["Access-Control-Allow-Headers"]
        assert int(allowed["Access-Control-Max-Age"]) > 60
        # And its answer may be read, a refusal as well
        for token, status in ((account.access, 200), ("wrong", 401)):
            headers = {"Origin": origin, "Authorization": f"Bearer {token}"}
            answer = open_to.call("GET", "/v1/me", headers=headers)
            assert answer.status_code == status
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            for header in ("X-Request-ID", "Retry-After", "RateLimit", "Location"):
                assert header in answer.headers["Access-Control-Expose-Headers"]
            assert "Origin" in answer.headers["Vary"]
            assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://app.example.org.evil.example",
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://APP.example.org/",
        "null",
    ],
)
def test_a_page_of_another_origin_may_not(make: Make, account: Account, origin: str) -> None:
    open_to = make(cors_origins=APP)
    assert "Access-Control-Allow-Origin" not in preflight(open_to, "/v1/files", origin)
    headers = {"Origin": origin, "Authorization": f"Bearer {account.access}"}
    answer = open_to.call("GET", "/v1/me", headers=headers)
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    assert "Origin" in answer.headers["Vary"]


def test_a_preflight_costs_neither_database_nor_redis(make: Make) -> None:
    nowhere = "127.0.0.1:1"
    open_to = make(
        cors_origins=APP,
        rate_limits=True,
        api_database_url=f"postgresql://u:4b1d9c27e0f85a36@{nowhere}/d",
        redis_url=f"redis://{nowhere}",
    )
    assert preflight(open_to, "/v1/files", APP)["Access-Control-Allow-Origin"] == APP


def test_everybody_may_be_allowed_but_without_credentials(make: Make) -> None:
    answer = make(cors_origins="*").call("GET", "/healthz", headers={"Origin": APP})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_unless_it_is_set_nobody_is_allowed(api: Api) -> None:
    asked = {"Origin": APP, "Access-Control-Request-Method": "POST"}
    for answer in (
        api.call("OPTIONS", "/v1/files", headers=asked),
        api.call("GET", "/healthz", headers={"Origin": APP}),
    ):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    "origins",
    ["app.example.org", "https://app.example.org/", f"{APP}/path", "https://*", f"{APP} x"],
)
def test_what_is_no_origin_ends_the_start(
    api_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, origins: str
) -> None:
    from docmill_api.settings import ApiSettings

    for name, value in {**api_environment, "CORS_ORIGINS": origins}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="CORS_ORIGINS is wrong: must be origins such as"):
        ApiSettings.load()
