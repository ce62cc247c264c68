"""E-mail addresses as docmill stores and compares them."""

import re

LONGEST = 254
#: Something, an at sign, something, without spaces or control characters. Whether it exists, only
#: a letter to it would tell.
_FORM = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")


def normalised(address: str) -> str:
    """The address in lower case.

    Raises:
        ValueError: it is none.
    """
    lowered = address.strip().lower()
    if len(lowered) > LONGEST or not lowered.isprintable() or not _FORM.fullmatch(lowered):
        raise ValueError("must be an e-mail address")
    return lowered
