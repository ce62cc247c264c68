"""Access tokens: JWTs signed with HS256, valid for minutes, each with an id that can be revoked.

The algorithm is fixed here and never taken from the token, so neither ``none`` nor a confusion of
keys gets through. The key is found by its id (``kid``), so that a second one can be added when
secrets are rotated.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt

ISSUER = "docmill"
_ALGORITHM = "HS256"
#: How far two pods' clocks may differ.
LEEWAY = timedelta(seconds=10)


class TokenInvalid(Exception):
    """The token was not issued by this api, or was altered."""


class TokenExpired(Exception):
    """The token was valid once."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a token says, and its encoded form."""

    user_id: UUID
    jti: UUID
    session_id: UUID  #: the family of the refresh token that it was issued with
    expires_at: datetime
    encoded: str


class AccessTokens:
    """Issues and verifies the tokens of one key."""

    def __init__(self, secret: str, *, minutes: int) -> None:
        self._secret = secret
        self._lifetime = timedelta(minutes=minutes)
        # An id that tells keys apart and tells nothing about them.
        self._key_id = hashlib.sha256(b"docmill-kid:" + secret.encode()).hexdigest()[:16]

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
            claims, self._secret, algorithm=_ALGORITHM, headers={"kid": self._key_id}
        )
        return AccessToken(user_id, jti, session_id, expires_at, encoded)

    def verify(self, encoded: str) -> AccessToken:
        """What the token says. Whether it was revoked is not known here.

        Raises:
            TokenExpired: its time is over.
            TokenInvalid: anything else is wrong with it.
        """
        try:
            if jwt.get_unverified_header(encoded).get("kid") != self._key_id:
                raise TokenInvalid
            claims = jwt.decode(
                encoded,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                leeway=LEEWAY,
                options={"require": ["iss", "sub", "jti", "sid", "iat", "exp"]},
            )
            return AccessToken(
                user_id=UUID(claims["sub"]),
                jti=UUID(claims["jti"]),
                session_id=UUID(claims["sid"]),
                expires_at=datetime.fromtimestamp(claims["exp"], UTC),
                encoded=encoded,
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
            raise TokenInvalid from None
