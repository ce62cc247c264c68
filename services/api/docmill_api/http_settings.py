"""How the api meets the network: rate limits, proxies in front of it, browsers of other sites."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from docmill_api import rates
from docmill_api.rates import Rate
from docmill_shared.settings import DemoSettings

#: A browser's Origin header: scheme, host, port if it is not the scheme's own; nothing else.
_ORIGIN = re.compile(
    r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:.]+\](:\d{1,5})?", re.ASCII
)


def _rate(text: str) -> str:
    rates.parse(text)
    return text


def _origins(text: str) -> str:
    for origin in _split(text):
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                "must be origins such as https://app.example.org, without a path,"
                " separated by commas; or *"
            )
    return text


def _split(text: str) -> list[str]:
    return [each for each in (part.strip() for part in text.split(",")) if each]


RateText = Annotated[str, AfterValidator(_rate)]
Origins = Annotated[str, AfterValidator(_origins)]

#: In demo mode, where everybody who passes by has the same account and the same quota to waste.
_DEMO_RATES = {
    "rate_limit_login": "5/5 minutes",
    "rate_limit_login_email": "5/5 minutes",
    "rate_limit_register": "5/hour",
    "rate_limit_refresh": "20/15 minutes",
    "rate_limit_upload": "20/hour",
    "rate_limit_search": "60/15 minutes",
    "rate_limit_chat": "20/hour",
    "rate_limit_webhook": "10/hour",
    "rate_limit_other": "300/15 minutes",
}


class HttpSettings(DemoSettings):
    """Rates are written like ``10/minute`` or ``5/15 minutes``; ``off`` is no limit."""

    rate_limits: bool = Field(
        True,
        description="Whether requests are limited at all; false for tests and on a machine of "
        "one's own.",
    )
    rate_limit_login: RateText = Field(
        "20/minute",
        description="Logins from one address; the same for whatever else asks for a password. "
        "A rate such as 10/minute or 5/15 minutes lets so many through at once, and then as many "
        "over each such time; `off`: no limit. In demo mode each of these has a stricter default.",
    )
    rate_limit_login_email: RateText = Field(
        "10/minute", description="Logins to one account, from wherever."
    )
    rate_limit_register: RateText = Field("20/hour", description="Registrations from one address.")
    rate_limit_refresh: RateText = Field("60/minute", description="Refreshes from one address.")
    rate_limit_upload: RateText = Field(
        "600/minute",
        description="Reservations and confirmations of one account; of many files at once "
        "they count as one, and the quotas bound the files.",
    )
    rate_limit_search: RateText = Field("120/minute", description="Searches of one account.")
    rate_limit_chat: RateText = Field(
        "30/minute", description="Questions of one account, each of which a model may be paid for."
    )
    rate_limit_webhook: RateText = Field(
        "30/minute", description="Test calls and repeated deliveries of webhooks of one account."
    )
    rate_limit_other: RateText = Field(
        "1200/minute",
        description="All other requests of one account; without one, or with a token that is not "
        "valid, of one address. An IPv6 address counts as its network of 64 bits.",
    )
    trusted_proxies: int = Field(
        0,
        ge=0,
        le=10,
        description="Proxies in front of the api, each of which adds to X-Forwarded-For and sets "
        "X-Forwarded-Proto. 0: those headers are ignored, since clients can send what they like.",
    )
    cors_origins: Origins = Field(
        "",
        description="Origins whose pages may call the api from a browser, separated by commas, "
        "such as https://app.example.org; `*`: all. Not set: none.",
    )

    def rate(self, name: str) -> Rate | None:
        """The rate of the setting ``rate_limit_NAME``; None: no limit."""
        setting = f"rate_limit_{name}"
        if not self.rate_limits:
            return None
        if self.demo_mode and setting not in self.model_fields_set:
            return rates.parse(_DEMO_RATES[setting])
        return rates.parse(getattr(self, setting))

    @property
    def allowed_origins(self) -> frozenset[str]:
        """What CORS_ORIGINS lists."""
        return frozenset(_split(self.cors_origins))
