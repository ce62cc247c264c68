"""URLs that allow one request to S3, signed by AWS Signature Version 4.

The SDK's own presigned URLs bind the host and the key. These also bind whatever headers they name,
so that a store refuses an upload of another length or type. The algorithm is that of AWS's
"Authenticating Requests: Using Query Parameters":
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose signature it is, and in which region it is good."""

    access_key: str
    secret_key: str
    region: str

    def presign(
        self,
        method: str,
        url: str,
        *,
        at: datetime,
        expires: timedelta,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> str:
        """``url``, whose path is encoded and which has no query, with one that is signed.

        The request must carry ``headers`` exactly as they are; ``at`` is in UTC.
        """
        parts = urlsplit(url)
        signed = {"host": parts.netloc, **{k.lower(): v for k, v in (headers or {}).items()}}
        names = ";".join(sorted(signed))
        scope = f"{at:%Y%m%d}/{self.region}/s3/aws4_request"
        query = "&".join(
            f"{name}={value}"
            for name, value in sorted(
                (quote(name, safe=""), quote(value, safe=""))
                for name, value in {
                    **(parameters or {}),
                    "X-Amz-Algorithm": _ALGORITHM,
                    "X-Amz-Credential": f"{self.access_key}/{scope}",
                    "X-Amz-Date": f"{at:%Y%m%dT%H%M%SZ}",
                    "X-Amz-Expires": str(int(expires.total_seconds())),
                    "X-Amz-SignedHeaders": names,
                }.items()
            )
        )
        lines = "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed))
        request = f"{method}\n{parts.path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{at:%Y%m%dT%H%M%SZ}\n{scope}\n{digest}"
        key = f"AWS4{self.secret_key}".encode()
        for part in scope.split("/"):
            key = _hmac(key, part)
        return f"{url}?{query}&X-Amz-Signature={_hmac(key, to_sign).hex()}"


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")
