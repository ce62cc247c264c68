"""Which limits a request counts against, and the answer when one of them is used up.

Accounts are counted by their id, however they authenticate; whoever is not authenticated, by their
address. Nothing is counted twice: a request costs one round trip to Redis, after its credentials
were checked and before its route is called.

Answers carry ``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers-10), and
a refusal ``Retry-After`` as well.
"""

import hashlib
import ipaddress
import math
from collections.abc import Callable

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from docmill_api import metrics
from docmill_api.current import caller, resources
from docmill_api.problems import Problem
from docmill_api.rate_limiter import Limit, Standing

#: By method and route; everything else is ``other``.
NAMES = {
    ("POST", "/v1/auth/login"): "login",
    # They ask for the password again, and a stolen token must not help to guess it.
    ("POST", "/v1/me/password"): "login",
    ("DELETE", "/v1/me"): "login",
    ("POST", "/v1/auth/register"): "register",
    ("POST", "/v1/auth/refresh"): "refresh",
    ("POST", "/v1/files"): "upload",
    ("POST", "/v1/files/bulk"): "upload",
    ("POST", "/v1/files/<uuid:file_id>/confirm"): "upload",
    ("POST", "/v1/files/confirm"): "upload",
    ("POST", "/v1/search"): "search",
    ("POST", "/v1/chat"): "chat",
    # They make docmill call somebody else's server.
    ("POST", "/v1/webhooks/<uuid:webhook_id>/test"): "webhook",
    ("POST", "/v1/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/redeliver"): "webhook",
}
#: Asked every few seconds by a cluster, from addresses that clients share with it.
_FREE = frozenset({"/healthz", "/readyz"})


def register(app: Flask) -> None:
    """Put the headers on this app's answers."""
    app.after_request(_show)


def count_anonymous() -> None:
    """Before every request of a public blueprint: refuse with 429 when its address had enough."""
    if request.path in _FREE:
        return
    name = _name()
    who = [(name, f"address:{_address()}")]
    if name == "login":
        email = _email()
        if email is not None:
            who.append(("login_email", f"email:{email}"))
    _take(who)


def counted(authenticate: Callable[[], None]) -> Callable[[], None]:
    """Authenticate, and count the request for its account; for its address where that fails."""

    def authenticate_and_count() -> None:
        try:
            authenticate()
        except Problem:
            _take([("other", f"address:{_address()}")])
            raise
        _take([(_name(), f"user:{caller().id}")])

    return authenticate_and_count


def _take(who: list[tuple[str, str]]) -> None:
    settings = resources().settings
    limits = [
        Limit(name, counted_by, rate)
        for name, counted_by in who
        if (rate := settings.rate(name)) is not None
    ]
    if not limits:
        return
    standings = resources().rate_limiter.take(limits)
    g.rate_limits = standings
    used_up = max(standings, key=lambda standing: standing.wait)
    if used_up.wait:
        metrics.RATE_LIMITED.labels(used_up.name).inc()
        seconds = max(1, math.ceil(used_up.wait))
        raise Problem(
            429,
            "rate_limited",
            f"Too many requests; try again in {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )


def _show(response: Response) -> Response:
    standings: list[Standing] = g.get("rate_limits", [])
    if standings:
        response.headers["RateLimit-Policy"] = ", ".join(
            f'"{each.name}";q={each.rate.count};w={each.rate.seconds}' for each in standings
        )
        response.headers["RateLimit"] = ", ".join(
            f'"{each.name}";r={each.remaining};t={math.ceil(each.reset)}' for each in standings
        )
    return response


def _name() -> str:
    rule = request.url_rule.rule if request.url_rule is not None else ""
    return NAMES.get((request.method, rule), "other")


def _address() -> str:
    """The caller's address; of IPv6 the network of 64 bits, which anybody has to themselves."""
    text = request.remote_addr or "unknown"
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        # A socket without addresses, or a proxy that has a name for its client.
        return hashlib.sha256(text.encode()).hexdigest()[:32]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _email() -> str | None:
    """The digest of the e-mail that logs in, if the body has one; the route says what is wrong."""
    try:
        body = request.get_json(silent=True)
    except (HTTPException, RecursionError):
        return None
    email = body.get("email") if isinstance(body, dict) else None
    if not isinstance(email, str):
        return None
    normalised = email.strip().lower().encode(errors="replace")
    return hashlib.sha256(normalised).hexdigest()[:32]
