"""What answers of the Gemini API become, beyond those that the emulator gives."""

from typing import Any

import pytest
from google.genai.errors import APIError

from docmill_shared.errors import (
    ConfigurationError,
    DocmillError,
    ProviderUnavailable,
    RateLimited,
    TextRejected,
)
from docmill_shared.gemini_errors import from_api_error


def translated(code: int, body: Any) -> DocmillError:
    return from_api_error(APIError(code, body), model_setting="EMBEDDING_MODEL")


def status(code: int, name: str, *details: dict[str, Any]) -> DocmillError:
    return translated(code, {"error": {"code": code, "status": name, "details": list(details)}})


@pytest.mark.parametrize(
    ("code", "name", "kind"),
    [
        (302, "", ConfigurationError),
        (400, "FAILED_PRECONDITION", ConfigurationError),
        (400, "INVALID_ARGUMENT", TextRejected),
        (401, "UNAUTHENTICATED", ConfigurationError),
        (404, "NOT_FOUND", ConfigurationError),
        (405, "", ConfigurationError),
        (408, "", ProviderUnavailable),
        (413, "", TextRejected),
        (429, "RESOURCE_EXHAUSTED", RateLimited),
        (499, "CANCELLED", ProviderUnavailable),
        (500, "INTERNAL", ProviderUnavailable),
        (599, "", ProviderUnavailable),
    ],
)
def test_each_status_says_who_acts(code: int, name: str, kind: type[DocmillError]) -> None:
    error = status(code, name)

    assert type(error) is kind
    assert str(code) in str(error)
    assert name in str(error)


def test_a_reason_is_passed_on_and_an_expired_key_is_recognised() -> None:
    disabled = status(403, "PERMISSION_DENIED", {"reason": "SERVICE_DISABLED"})
    expired = status(400, "INVALID_ARGUMENT", {"reason": "API_KEY_EXPIRED"})

    assert "SERVICE_DISABLED" in str(disabled)
    assert isinstance(expired, ConfigurationError)


def test_only_what_looks_like_a_code_or_a_path_is_passed_on() -> None:
    error = status(
        400,
        "not a code: secret",
        {"reason": "because of secret"},
        {"fieldViolations": [{"field": "requests[3].content.parts[0].text"}]},
        {"fieldViolations": [{"field": "requests[1] = secret"}, {"field": 7}, "x"]},
    )

    assert isinstance(error, TextRejected)
    assert error.index == 3
    assert str(error) == "Gemini answered 400 requests[3].content.parts[0].text"


@pytest.mark.parametrize(
    "body",
    [{}, [], [{}], "text", None, {"error": "text"}, {"error": {"details": "x"}}, {"error": [1]}],
    ids=str,
)
def test_bodies_of_any_shape_are_survived(body: Any) -> None:
    assert isinstance(translated(503, body), ProviderUnavailable)
    assert isinstance(translated(429, body), RateLimited)
    assert isinstance(translated(400, body), TextRejected)


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("17s", 17.0), ("0.5s", 0.5), ("soon", None), ("-3s", None), (17, None), ("1e9s", None)],
)
def test_a_retry_delay_is_a_duration_or_nothing(delay: Any, seconds: float | None) -> None:
    error = status(429, "RESOURCE_EXHAUSTED", {"retryDelay": delay})

    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds
