"""An identity provider on loopback: its keys over HTTP, and tokens that it signs."""

import json
import sys
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "docmill-api"


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def _ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def jwk(key: PrivateKeyTypes, key_id: str, **fields: str) -> dict[str, Any]:
    """The public half of the key, as a key set has it."""
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    kind: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig", **fields}


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that gave up waiting is part of the tests.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@dataclass
class IdentityProvider:
    """Serves ``keys`` until it is ``away``; counts how often it was asked.

    While ``gate`` is not set, it takes the connection and does not answer.
    """

    away: bool = False
    fetches: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    rsa_key: rsa.RSAPrivateKey = field(default_factory=_rsa_key)
    ec_key: ec.EllipticCurvePrivateKey = field(default_factory=_ec_key)
    keys: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()
        self.keys = [jwk(self.rsa_key, "rsa"), jwk(self.ec_key, "ec")]
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.fetches += 1
                provider.gate.wait(timeout=120)
                self.send_response(503 if provider.away else 200)
                self.end_headers()
                self.wfile.write(json.dumps({"keys": provider.keys}).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def issuer(self) -> str:
        """Its name in tokens."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def jwks_url(self) -> str:
        """Where its keys are."""
        return f"{self.issuer}jwks.json"

    def settings(self) -> dict[str, str]:
        """What makes an api trust it."""
        return {
            "oidc_issuer": self.issuer,
            "oidc_audience": AUDIENCE,
            "oidc_jwks_url": self.jwks_url,
        }

    def claims(self, **changes: object) -> dict[str, Any]:
        """Those of a good token for a new person; a change to None takes a claim away."""
        now = datetime.now(UTC)
        subject = uuid4().hex
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": subject,
            "email": f"{subject}@example.org",
            "email_verified": True,
            "iat": now,
            "nbf": now,
            "exp": now + timedelta(hours=1),
            "jti": uuid4().hex,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, algorithm: str = "RS256", **changes: object) -> str:
        """A token that it signed."""
        key: Any = self.rsa_key if algorithm.startswith(("RS", "PS")) else self.ec_key
        key_id = "rsa" if key is self.rsa_key else "ec"
        return jwt.encode(self.claims(**changes), key, algorithm=algorithm, headers={"kid": key_id})

    def stop(self) -> None:
        """Let go of the port."""
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)
