"""The account that calls: who it is, and the end of its session."""

from flask import Response

from docmill_api import sessions
from docmill_api.answers import answer, nothing
from docmill_api.current import caller, resources
from docmill_api.routes.blueprints import protected
from docmill_api.routes.sessions import Account

blueprint = protected("account", "/v1", "The account that calls.")


@blueprint.get("/me", responses={200: Account})
def me() -> Response:
    """The account that calls."""
    return answer(Account.model_validate(caller(), from_attributes=True))


@blueprint.post("/auth/logout", responses={204: None})
def log_out() -> Response:
    """End the session: its access and refresh tokens are refused from now on."""
    sessions.log_out(resources(), caller().token)
    return nothing()
