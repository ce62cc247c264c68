"""What a secret in the settings must be like: long enough, and not copied from a README."""

import re
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr, ValidationInfo

#: HMAC-SHA256 is only as strong as its key: RFC 7518, 3.2, asks for at least the hash's 256 bits.
SHORTEST_SECRET_BYTES = 32
#: What stands in READMEs to be replaced, and in a random secret never.
_PLACEHOLDERS = re.compile(
    r"change[-_ ]?(me|it|this)|replace[-_ ]?(me|this)|your[-_ ]|example|default|password"
    r"|(jwt|super|my)[-_ ]?secret|secret[-_ ]?key",
    re.IGNORECASE,
)
_FEWEST_CHARACTERS = 8
#: Of a server, which slows down whoever guesses.
SHORTEST_PASSWORD_BYTES = 12
#: The names that images and guides give to accounts and their passwords alike.
_DEFAULTS = re.compile(r"minio|postgres|docmill|development|admin|secret", re.IGNORECASE)


def require_strength(secret: SecretStr) -> SecretStr:
    """The secret; a ValueError, which does not show it, when it is too short or a placeholder."""
    value = secret.get_secret_value()
    if len(value.encode()) < SHORTEST_SECRET_BYTES:
        raise ValueError(
            f"must have at least {SHORTEST_SECRET_BYTES} bytes; make one with: openssl rand -hex 32"
        )
    if _PLACEHOLDERS.search(value) or len(set(value)) < _FEWEST_CHARACTERS:
        raise ValueError("looks like a placeholder; make one with: openssl rand -hex 32")
    return secret


def require_strong_password(password: SecretStr, info: ValidationInfo) -> SecretStr:
    """The password of a server, in the same way; DEVELOPMENT=true takes any."""
    _check(password.get_secret_value(), info, "")
    return password


def require_strong_url(url: str, info: ValidationInfo) -> str:
    """The URL, if its password is none that everybody knows; DEVELOPMENT=true takes any.

    Without a password the server knows its caller by other means, such as a certificate.
    """
    _check(unquote(urlsplit(url).password or "") or None, info, "its password ")
    return url


def _check(password: str | None, info: ValidationInfo, which: str) -> None:
    if password is None or info.data.get("development"):
        return
    if len(password.encode()) < SHORTEST_PASSWORD_BYTES:
        raise ValueError(
            f"{which}must have at least {SHORTEST_PASSWORD_BYTES} bytes; make one with: "
            "openssl rand -hex 24"
        )
    found = _PLACEHOLDERS.search(password) or _DEFAULTS.search(password)
    if found or len(set(password)) < _FEWEST_CHARACTERS:
        raise ValueError(f"{which}looks like a default; make one with: openssl rand -hex 24")
