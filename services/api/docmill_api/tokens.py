"""Access tokens: JWTs signed with HS256, valid for minutes, each with an id that can be revoked.

The algorithm is fixed here and never taken from the token, so neither ``none`` nor a confusion of
keys gets through. The key is found by its id (``kid``), so secrets can be rotated: the newest one
signs, and earlier ones verify what they signed until it has expired.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt

ISSUER = "docmill"
_ALGORITHM = "HS256"
#: How far two pods' clocks may differ.
LEEWAY = timedelta(seconds=10)


class TokenInvalid(Exception):
    """The token was not issued by whom it names, or was altered."""


class TokenExpired(Exception):
    """The token was valid once."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a token says, and its encoded form."""

    user_id: UUID
    jti: UUID
    #: The family of the refresh token that it was issued with; of an identity provider's: ``jti``.
    session_id: UUID
    issued_at: datetime
    expires_at: datetime
    encoded: str


class AccessTokens:
    """Issues tokens with one key; verifies those of this one and of earlier ones."""

    def __init__(self, secret: str, *, minutes: int, previous: Sequence[str] = ()) -> None:
        self._lifetime = timedelta(minutes=minutes)
        self._key_id = _key_id(secret)
        self._secrets = {_key_id(each): each for each in (*previous, secret)}

    @property
    def lifetime(self) -> timedelta:
        """From issue to expiry."""
        return self._lifetime

    def issue(self, user_id: UUID, session_id: UUID) -> AccessToken:
        """A new token for this user and session."""
        now = datetime.now(UTC).replace(microsecond=0)
        jti = uuid4()
        expires_at = now + self._lifetime
        claims = {
            "iss": ISSUER,
            "sub": str(user_id),
            "jti": str(jti),
            "sid": str(session_id),
            "iat": now,
            "exp": expires_at,
        }
        encoded = jwt.encode(
            claims,
            self._secrets[self._key_id],
            algorithm=_ALGORITHM,
            headers={"kid": self._key_id},
        )
        return AccessToken(user_id, jti, session_id, now, expires_at, encoded)

    def knows(self, encoded: str) -> bool:
        """Whether the token names one of these keys; nothing is verified yet.

        Raises:
            TokenInvalid: it is no token at all.
        """
        return key_id_of(encoded) in self._secrets

    def verify(self, encoded: str) -> AccessToken:
        """What the token says. Whether it was revoked is not known here.

        Raises:
            TokenExpired: its time is over.
            TokenInvalid: anything else is wrong with it.
        """
        secret = self._secrets.get(key_id_of(encoded))
        if secret is None:
            raise TokenInvalid
        try:
            claims = jwt.decode(
                encoded,
                secret,
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                leeway=LEEWAY,
                options={"require": ["iss", "sub", "jti", "sid", "iat", "exp"]},
            )
            return AccessToken(
                user_id=UUID(claims["sub"]),
                jti=UUID(claims["jti"]),
                session_id=UUID(claims["sid"]),
                issued_at=datetime.fromtimestamp(claims["iat"], UTC),
                expires_at=datetime.fromtimestamp(claims["exp"], UTC),
                encoded=encoded,
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
            raise TokenInvalid from None


def key_id_of(encoded: str) -> str:
    """The ``kid`` that the token names.

    Raises:
        TokenInvalid: it names none.
    """
    try:
        key_id = jwt.get_unverified_header(encoded).get("kid")
    except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
        raise TokenInvalid from None
    if not isinstance(key_id, str):
        raise TokenInvalid
    return key_id


def _key_id(secret: str) -> str:
    # An id that tells keys apart and tells nothing about them.
    return hashlib.sha256(b"docmill-kid:" + secret.encode()).hexdigest()[:16]
