"""Rates as people write them."""

import pytest

from docmill_api import rates
from docmill_api.rates import Rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/minute", Rate(10, 60)),
        ("1/second", Rate(1, 1)),
        ("5/15 minutes", Rate(5, 900)),
        (" 1000 / 2 Days ", Rate(1000, 172_800)),
        ("3/hours", Rate(3, 3600)),
        ("off", None),
        ("OFF", None),
    ],
)
def test_what_a_rate_says(text: str, rate: Rate | None) -> None:
    assert rates.parse(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "0/minute",
        "-1/minute",
        "1.5/minute",
        "10/month",
        "10/0 minutes",
        "ten/minute",
        "٣/minute",
    ],
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 10/minute"):
        rates.parse(text)
