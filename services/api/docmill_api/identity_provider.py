"""Access tokens of an identity provider that this api trusts: its issuer, its audience, its keys.

Which algorithm a token is verified with follows from the provider's key, never from the token, and
only RS256 and ES256 are taken: a public key can never be used as the secret of an HMAC.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

import jwt

from docmill_api import email_addresses
from docmill_api.signing_keys import ALGORITHMS, SigningKeys
from docmill_api.tokens import LEEWAY, AccessToken, TokenExpired, TokenInvalid, key_id_of

#: OpenID Connect Core, 2: a subject is no longer than this.
_LONGEST_SUBJECT = 255


@dataclass(frozen=True, slots=True)
class ExternalToken:
    """What an identity provider says of somebody."""

    issuer: str
    subject: str
    #: None: the token names none, or one that is not verified.
    email: str | None
    jti: UUID
    issued_at: datetime
    expires_at: datetime
    encoded: str

    def of(self, user_id: UUID) -> AccessToken:
        """The token of this account."""
        return AccessToken(
            user_id, self.jti, self.jti, self.issued_at, self.expires_at, self.encoded
        )


class IdentityProvider:
    """Verifies the tokens of one issuer."""

    def __init__(self, issuer: str, audience: str, jwks_url: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = SigningKeys(jwks_url)

    def verify(self, encoded: str) -> ExternalToken:
        """What the token says.

        Raises:
            TokenExpired: its time is over.
            TokenInvalid: anything else is wrong with it.
            KeysUnavailable: the provider is away, so nobody can tell.
        """
        key = self._keys.find(key_id_of(encoded))
        if key is None:
            raise TokenInvalid
        try:
            claims = jwt.decode(
                encoded,
                key,
                algorithms=ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY,
                options={"require": ["iss", "aud", "sub", "iat", "exp"]},
            )
            return ExternalToken(
                issuer=self._issuer,
                subject=_subject(claims["sub"]),
                email=_email(claims),
                jti=uuid5(NAMESPACE_URL, f"{self._issuer} {_identity(claims, encoded)}"),
                issued_at=datetime.fromtimestamp(claims["iat"], UTC),
                expires_at=datetime.fromtimestamp(claims["exp"], UTC),
                encoded=encoded,
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, OSError):
            raise TokenInvalid from None


def _subject(subject: object) -> str:
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise ValueError("no subject")
    if not subject.isprintable():
        raise ValueError("no subject that can be stored")
    return subject


def _email(claims: dict[str, object]) -> str | None:
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified", True) is not True:
        return None
    try:
        return email_addresses.normalised(email)
    except ValueError:
        return None


def _identity(claims: dict[str, object], encoded: str) -> str:
    # Without an id, what was signed: the signature itself can be written in another way.
    jti = claims.get("jti")
    return jti if isinstance(jti, str) else encoded.rpartition(".")[0]
