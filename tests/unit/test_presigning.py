"""Presigned URLs are those that AWS's documentation computes."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from docmill_shared.presigning import Signer

#: The example of "Authenticating Requests: Using Query Parameters".
SIGNER = Signer(
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",  # gitleaks:allow - AWS's published example
    "us-east-1",
)
AT = datetime(2013, 5, 24, tzinfo=UTC)
ADDRESS = "https://examplebucket.s3.amazonaws.com/test.txt"


def test_the_example_of_the_documentation() -> None:
    url = SIGNER.presign("GET", ADDRESS, at=AT, expires=timedelta(days=1))
    assert url == (
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_every_header_and_parameter_changes_the_signature() -> None:
    def signature(**changes: str) -> str:
        url = SIGNER.presign(
            "PUT",
            ADDRESS,
            at=AT,
            expires=timedelta(minutes=5),
            headers={"Content-Type": changes.get("type", "text/plain"), "Content-Length": "5"},
            parameters={"response-content-type": changes.get("response", "text/plain; a=b")},
        )
        query = parse_qs(urlsplit(url).query)
        assert query["X-Amz-SignedHeaders"] == ["content-length;content-type;host"]
        return query["X-Amz-Signature"][0]

    assert len({signature(), signature(type="text/html"), signature(response="text/html")}) == 3
    assert signature() == signature()
