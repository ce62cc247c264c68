"""Usage: what the caller has and may still have."""

from flask import Response

from docmill_api.answers import answer
from docmill_api.current import caller, resources
from docmill_api.quota_view import Quota
from docmill_api.routes.blueprints import protected
from docmill_shared import usage
from docmill_shared.row_security import statements_of
from docmill_shared.usage import Limits

blueprint = protected("usage", "/v1/usage", "Quotas and what is left of them.", scope="files")


@blueprint.get("", responses={200: Quota})
def get() -> Response:
    """Your quotas: files and bytes that you have, tokens that were embedded today."""
    with statements_of(resources().engine, caller().id) as connection:
        used = usage.find(connection, caller().id)
    return answer(Quota.of(used, Limits.of(resources().settings)))
