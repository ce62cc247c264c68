"""The kinds of blueprint: for everyone, for accounts, and for admins.

A route of a protected blueprint cannot be reached without a valid token, and one of an operators'
blueprint not without the role, so no route can forget to ask for either.
"""

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from docmill_api.answers import problems
from docmill_api.authentication import authenticate, require_admin
from docmill_api.request_lifecycle import require_json_object

BEARER = "bearer"
ADMIN_PREFIX = "/v1/admin"

_EVERYWHERE = problems(_500="A fault of docmill's own.", _503="Something behind the api is away.")


def public(name: str, prefix: str, description: str) -> APIBlueprint:
    """Routes that need no token."""
    blueprint = APIBlueprint(
        name,
        __name__,
        url_prefix=prefix,
        abp_tags=[Tag(name=name, description=description)],
        abp_responses=_EVERYWHERE,
    )
    blueprint.before_request(require_json_object)
    return blueprint


def protected(name: str, prefix: str, description: str) -> APIBlueprint:
    """Routes that only an account may call."""
    blueprint = APIBlueprint(
        name,
        __name__,
        url_prefix=prefix,
        abp_tags=[Tag(name=name, description=description)],
        abp_security=[{BEARER: []}],
        abp_responses={**problems(_401="No valid access token."), **_EVERYWHERE},
    )
    blueprint.before_request(authenticate)
    blueprint.before_request(require_json_object)
    return blueprint


def operators(name: str, description: str) -> APIBlueprint:
    """Routes that only an admin may call."""
    blueprint = APIBlueprint(
        name,
        __name__,
        url_prefix=ADMIN_PREFIX,
        abp_tags=[Tag(name=name, description=description)],
        abp_security=[{BEARER: []}],
        abp_responses={
            **problems(_401="No valid access token.", _403="`forbidden`: for admins only."),
            **_EVERYWHERE,
        },
    )
    blueprint.before_request(authenticate)
    blueprint.before_request(require_admin)
    blueprint.before_request(require_json_object)
    return blueprint
