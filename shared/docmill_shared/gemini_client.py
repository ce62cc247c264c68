"""The one way to Google's Gemini API: the google-genai SDK, with docmill's errors.

Embedding, vision and chat each hold a client. It guarantees that a call is one HTTP request with
a deadline, and that neither the key nor any content reaches an exception.
"""

import importlib
import json
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import pydantic

from docmill_shared.errors import ConfigurationError, DocmillError, ProviderUnavailable

try:
    from google import genai
    from google.genai import errors
except ImportError:
    raise ConfigurationError(
        "Gemini is asked for, but google-genai is not installed: docmill-shared[gemini]"
    ) from None

from docmill_shared.gemini_errors import from_api_error

T = TypeVar("T")

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"


def _transport_errors() -> tuple[type[Exception], ...]:
    """What a lost connection raises: the SDK speaks through httpx2 or httpx, as installed."""
    found: list[type[Exception]] = []
    for name in ("httpx2", "httpx"):
        try:
            found.append(importlib.import_module(name).RequestError)
        except ImportError:
            continue
    return tuple(found)


_NO_ANSWER = _transport_errors()

#: What the SDK raises on an answer of 200 that is not the JSON of this API.
_NONSENSE = (
    errors.UnknownApiResponseError,
    json.JSONDecodeError,
    UnicodeDecodeError,
    pydantic.ValidationError,
)


class GeminiClient:
    """A connection pool to the Gemini API; safe to use from several threads."""

    def __init__(
        self, *, api_key: str | None, base_url: str | None = None, timeout: float = 60.0
    ) -> None:
        """Connect to nothing yet.

        ``base_url`` None means Google. ``timeout``, in seconds, bounds the wait to connect and
        each silence of the server. Raises ``ConfigurationError`` for an unusable key or URL.
        """
        key = (api_key or "").strip()
        if not key:
            raise ConfigurationError("GEMINI_API_KEY is not set, and the provider is gemini")
        if not (key.isascii() and key.isprintable()):
            raise ConfigurationError("GEMINI_API_KEY holds characters that no key has")
        url = (base_url or DEFAULT_BASE_URL).rstrip("/")
        if urlsplit(url).scheme not in ("http", "https"):
            raise ConfigurationError("GEMINI_BASE_URL must start with http:// or https://")
        if timeout <= 0:
            raise ConfigurationError("GEMINI_TIMEOUT_SECONDS must be above 0 seconds")

        # Everything that the SDK would otherwise take from its own environment variables
        # (Vertex AI, base URL, API version) is said here: docmill's settings decide.
        self._sdk = genai.Client(
            vertexai=False,
            api_key=key,
            http_options={
                "base_url": url,
                "api_version": "v1beta",
                "timeout": max(1, round(timeout * 1000)),
                # Retries are the database's: they survive the process and know the quota.
                "retry_options": {"attempts": 1},
                # A redirect would carry the key's header to another host.
                "client_args": {"follow_redirects": False},
            },
        )

    def ask(self, call: Callable[[genai.Client], T], *, model_setting: str) -> T:
        """Run one SDK call and speak docmill's errors.

        ``model_setting`` is the variable to name when the API does not know the model. Raises
        ``RateLimited``, ``ProviderUnavailable``, ``TextRejected`` or ``ConfigurationError``.
        """
        failure: DocmillError
        try:
            return call(self._sdk)
        except errors.APIError as error:
            failure = from_api_error(error, model_setting=model_setting)
        except _NO_ANSWER as error:
            failure = ProviderUnavailable(f"Gemini did not answer ({type(error).__name__})")
        except _NONSENSE as error:
            failure = ProviderUnavailable(f"Gemini's answer is unreadable ({type(error).__name__})")
        # Raised out here, so that the SDK's error, which quotes the request's content and holds
        # the key in its headers, is not this one's __context__.
        raise failure

    def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        self._sdk.close()
