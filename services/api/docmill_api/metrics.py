"""What the api counts, in files that gunicorn's master adds up. See docs/metrics.md."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Counter(
    "docmill_http_requests_total",
    "Requests answered, by the route's template; `none` where there is no such route.",
    ("method", "route", "status"),
)
REQUEST_SECONDS = Histogram(
    "docmill_http_request_duration_seconds",
    "How long an answer took, without the wait for a free thread.",
    ("method", "route"),
    buckets=_SECONDS,
)
SEARCH_SECONDS = Histogram(
    "docmill_search_duration_seconds",
    "How long a part of a search took: to `embed` its query, or in the `database`.",
    ("mode", "phase"),
    buckets=_SECONDS,
)
SEARCHES_DEGRADED = Counter(
    "docmill_searches_degraded_total",
    "Hybrid searches that went by words alone, since the query could not be embedded.",
)
CHATS = Counter(
    "docmill_chats_total",
    "Questions answered, by what: a `model`, `quotes` of passages, or `nothing`, since nothing"
    " that was found has the answer.",
    ("answered_by",),
)
LOGIN_FAILURES = Counter(
    "docmill_login_failures_total",
    "Logins refused, by what was wrong: `password` (or e-mail), `refresh_token` (unknown, expired),"
    " `refresh_token_reused` (copied; its session was ended).",
    ("kind",),
)
RATE_LIMITED = Counter(
    "docmill_rate_limited_total",
    "Requests refused with 429, by the limit that was used up.",
    ("limit",),
)
UPLOADS = Counter("docmill_uploads_total", "Uploads `reserved` and then `confirmed`.", ("step",))
UPLOAD_BYTES = Counter(
    "docmill_upload_bytes_total", "Bytes of uploads `reserved` and then `confirmed`.", ("step",)
)
EVENT_STREAMS = Gauge(
    "docmill_event_streams", "Event streams that are open.", multiprocess_mode="livesum"
)
EVENT_STREAMS_ENDED = Counter(
    "docmill_event_streams_ended_total",
    "Event streams that ended, by why: `finished` (with the file), `hung_up`, `too_slow`, `refused`"
    " (the token expired), `aged`, `shutdown`, `failed` (the database was away).",
    ("reason",),
)

for _kind in ("password", "refresh_token", "refresh_token_reused"):
    LOGIN_FAILURES.labels(_kind)
