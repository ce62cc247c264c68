"""Answers of routes, and how they are described in the OpenAPI document."""

from flask import Response
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel

from docmill_api.problems import MEDIA_TYPE, ProblemDetails

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}}}


def answer(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The body as JSON."""
    return Response(
        body.model_dump_json(), status=status, headers=headers, mimetype="application/json"
    )


def nothing() -> Response:
    """204: done, and there is nothing to say."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def problems(**described: str) -> ResponseDict:
    """OpenAPI's description of refusals: ``problems(_409="Not uploaded.")``."""
    return {
        int(status.removeprefix("_")): {"description": description, "content": _PROBLEM}
        for status, description in described.items()
    }


#: Of a route that takes a body and has nothing of its own to say of it.
WRONG_BODY = problems(
    _400="Malformed JSON.", _413="Body too large.", _415="Not JSON.", _422="A field is wrong."
)
