"""What an error of the Gemini API means to docmill, and what of it may be repeated.

Errors arrive as ``google.rpc.Status`` in JSON (https://cloud.google.com/apis/design/errors). Their
messages can quote content, and even a key ("Consumer 'api_key:...' has been suspended"), so only
codes, reasons and field paths are passed on, and only if they look like such.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from google.genai.errors import APIError

from docmill_shared.errors import (
    ConfigurationError,
    DocmillError,
    ProviderUnavailable,
    RateLimited,
    TextRejected,
)

#: Timed out, conflict, too early, cancelled: the 4xx that pass by themselves.
_TRANSIENT_4XX = frozenset({408, 409, 425, 499})

#: Bad request, too large, unprocessable: it is about what was sent.
_CONTENT_4XX = frozenset({400, 413, 422})

_CODE = re.compile(r"[A-Z][A-Z_]{2,63}")
_FIELD = re.compile(r"[A-Za-z_.]{1,64}(\[\d{1,4}\][A-Za-z_.]{0,64})*")
_PLACE = re.compile(r"requests\[(\d{1,4})\]")
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def from_api_error(error: APIError, *, model_setting: str) -> DocmillError:
    """The docmill error for an answer other than 200; ``model_setting`` names the variable."""
    status = error.code
    reasons = _codes(detail.get("reason") for detail in _details(error))
    answer = " ".join([f"Gemini answered {status}", *_codes([error.status]), *reasons])

    if status == 429:
        return RateLimited(answer, _retry_after(error))
    if status >= 500 or status in _TRANSIENT_4XX:
        return ProviderUnavailable(answer)
    if status in (401, 403) or any(reason.startswith("API_KEY") for reason in reasons):
        return ConfigurationError(f"GEMINI_API_KEY was refused: {answer}")
    if error.status == "FAILED_PRECONDITION":  # A region without service, or no billing.
        return ConfigurationError(f"The account of GEMINI_API_KEY may not do this: {answer}")
    if status in _CONTENT_4XX:
        fields = sorted(set(_fields(error)))
        return TextRejected(" ".join([answer, *fields]), _place(error, fields))
    return ConfigurationError(f"Check {model_setting} and GEMINI_BASE_URL: {answer}")


def _details(error: APIError) -> Iterator[Mapping[str, Any]]:
    """The typed details of a google.rpc.Status; none when the body is something else."""
    body = error.details
    inner = body.get("error") if isinstance(body, Mapping) else None
    details = inner.get("details") if isinstance(inner, Mapping) else None
    if isinstance(details, list):
        yield from (detail for detail in details if isinstance(detail, Mapping))


def _codes(values: Any) -> list[str]:
    """Those values that look like INVALID_ARGUMENT: safe to repeat."""
    return [value for value in values if isinstance(value, str) and _CODE.fullmatch(value)]


def _fields(error: APIError) -> Iterator[str]:
    """The paths of the fields that a google.rpc.BadRequest complains about."""
    for detail in _details(error):
        violations = detail.get("fieldViolations")
        for violation in violations if isinstance(violations, list) else []:
            field = violation.get("field") if isinstance(violation, Mapping) else None
            if isinstance(field, str) and _FIELD.fullmatch(field):
                yield field


def _place(error: APIError, fields: list[str]) -> int | None:
    """The first text of the batch that is complained about, in a field or in the message."""
    found = _PLACE.search(" ".join([*fields, str(error.message or "")]))
    return int(found.group(1)) if found else None


def _retry_after(error: APIError) -> float | None:
    """How long to wait, in seconds: the longer of RetryInfo and the Retry-After header."""
    wishes = [_duration(detail.get("retryDelay")) for detail in _details(error)]
    headers = getattr(error.response, "headers", None) or {}
    wishes.append(_header_seconds(headers.get("retry-after")))
    return max((wish for wish in wishes if wish is not None), default=None)


def _duration(value: Any) -> float | None:
    """A google.protobuf.Duration in JSON, such as "17s" or "0.5s"."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(found.group(1)) if found else None


def _header_seconds(value: str | None) -> float | None:
    """Retry-After is a number of seconds or an HTTP date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
