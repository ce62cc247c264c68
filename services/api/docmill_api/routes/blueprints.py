"""The kinds of blueprint: for everyone, for accounts, and for admins.

A route of a protected blueprint cannot be reached without a valid token, or an API key with the
scope of the blueprint's area, and one of an operators' blueprint not without the role, so no route
can forget to ask for either.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.security_scheme import SecurityScheme
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ParametersTuple

from docmill_api import key_scopes
from docmill_api.answers import problems
from docmill_api.authentication import authenticate, require_admin
from docmill_api.key_scopes import Area
from docmill_api.rate_limits import count_anonymous, counted
from docmill_api.request_lifecycle import require_json_object

BEARER = "bearer"
API_KEY = "api_key"
SECURITY_SCHEMES: dict[str, SecurityScheme | dict[str, Any]] = {
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token, from a login. It may do what its account may do.",
    },
    API_KEY: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "dmk_ and 43 characters",
        "description": "An API key, for programs. Each operation names the scope that it needs;"
        " where none is named, no key will do.",
    },
}
ADMIN_PREFIX = "/v1/admin"

_EVERYWHERE = problems(
    _429="`rate_limited`: too many requests; wait as long as `Retry-After` says.",
    _500="A fault of docmill's own.",
    _503="Something behind the api is away.",
)
_NO_TOKEN = problems(_401="No valid access token.")
_NO_CREDENTIAL = problems(_401="No valid access token or API key.")


class ProtectedBlueprint(APIBlueprint):
    """Routes for accounts; ``area`` is what an API key's scopes are compared with."""

    def __init__(self, name: str, prefix: str, description: str, area: Area | None, **more: Any):
        self.area: Area | None = area
        super().__init__(
            name,
            __name__,
            url_prefix=prefix,
            abp_tags=[Tag(name=name, description=description)],
            operation_id_callback=_operation_id,
            **more,
        )
        self.before_request(counted(partial(authenticate, area)))

    def _collect_openapi_info(
        self, rule: str, func: Callable[..., Any], **options: Any
    ) -> ParametersTuple:
        # The library knows no security that depends on the method.
        security: list[dict[str, list[str]]] = [{BEARER: []}]
        if self.area is not None:
            security.append({API_KEY: [str(key_scopes.needed(self.area, options["method"]))]})
        options["security"] = security
        return super()._collect_openapi_info(rule, func, **options)


def _operation_id(*, bp_name: str, name: str, path: str, method: str) -> str:
    """Of the operation: its blueprint and its function, which tell it apart from all others."""
    return f"{bp_name}_{name}".lower().replace(" ", "_")


def public(name: str, prefix: str, description: str) -> APIBlueprint:
    """Routes that need no token."""
    blueprint = APIBlueprint(
        name,
        __name__,
        url_prefix=prefix,
        abp_tags=[Tag(name=name, description=description)],
        abp_responses=_EVERYWHERE,
        operation_id_callback=_operation_id,
    )
    blueprint.before_request(count_anonymous)
    blueprint.before_request(require_json_object)
    return blueprint


def protected(name: str, prefix: str, description: str, *, scope: Area | None) -> APIBlueprint:
    """Routes that only an account may call; with an API key only where there is a scope for it.

    With ``files`` GET needs the scope ``files:read`` and other methods ``files:write``; with
    another, every method needs the scope of that name.
    """
    refusal = (
        problems(_403="`api_key_not_allowed`: an access token is needed.")
        if scope is None
        else problems(_403="`insufficient_scope`: the API key lacks the scope.")
    )
    credential = _NO_TOKEN if scope is None else _NO_CREDENTIAL
    blueprint = ProtectedBlueprint(
        name, prefix, description, scope, abp_responses={**credential, **refusal, **_EVERYWHERE}
    )
    blueprint.before_request(require_json_object)
    return blueprint


def operators(name: str, description: str) -> APIBlueprint:
    """Routes that only an admin may call, and not with an API key."""
    refusal = problems(_403="`forbidden`: for admins only. `api_key_not_allowed`: not with a key.")
    blueprint = ProtectedBlueprint(
        name,
        ADMIN_PREFIX,
        description,
        None,
        abp_responses={**_NO_TOKEN, **refusal, **_EVERYWHERE},
    )
    blueprint.before_request(require_admin)
    blueprint.before_request(require_json_object)
    return blueprint
