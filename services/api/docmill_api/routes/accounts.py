"""The account that calls: who it is, its password, the end of its session, its own end."""

from flask import Response
from pydantic import Field

from docmill_api import account_deletion, passwords, sessions
from docmill_api.answers import WRONG_BODY, answer, nothing, problems
from docmill_api.client_input import Requested, Secret
from docmill_api.current import caller, origin, resources
from docmill_api.routes.blueprints import protected
from docmill_api.routes.sessions import Account, NewPassword, TokenPair

blueprint = protected("account", "/v1", "The account that calls.", scope=None)


class PasswordChange(Requested):
    """The password that is, and the one to be."""

    current_password: Secret = Field(min_length=1, max_length=passwords.LONGEST)
    new_password: NewPassword


class AccountDeletion(Requested):
    """The proof that it is the owner who asks."""

    password: Secret | None = Field(
        None,
        min_length=1,
        max_length=passwords.LONGEST,
        description="Absent only where an identity provider knows the account.",
    )


@blueprint.get("/me", responses={200: Account})
def me() -> Response:
    """The account that calls."""
    return answer(Account.model_validate(caller(), from_attributes=True))


@blueprint.post(
    "/me/password",
    responses={
        200: TokenPair,
        **WRONG_BODY,
        **problems(
            _403="`wrong_password`; `api_key_not_allowed`: an access token is needed.",
            _409="`no_password`: an identity provider knows the account.",
        ),
    },
)
def change_password(body: PasswordChange) -> Response:
    """Change the password.

    Every session ends at once, with all its tokens; the answer begins a new one. API keys go on.
    """
    tokens = sessions.change_password(
        resources(),
        origin(),
        caller().id,
        current=body.current_password.get_secret_value(),
        new=body.new_password.get_secret_value(),
    )
    return answer(TokenPair.of(tokens))


@blueprint.delete(
    "/me",
    responses={
        204: None,
        **WRONG_BODY,
        **problems(
            _403="`wrong_password`; `sign_in_again`: the token of the identity provider is older"
            " than 10 minutes; `api_key_not_allowed`: an access token is needed."
        ),
    },
)
def delete(body: AccountDeletion) -> Response:
    """Delete the account, for good.

    Its tokens and API keys are refused from now on. Its files, passages and objects follow within
    minutes, public ones first.
    """
    password = None if body.password is None else body.password.get_secret_value()
    account_deletion.delete(resources(), origin(), caller().session, password)
    return nothing()


@blueprint.post("/auth/logout", responses={204: None})
def log_out() -> Response:
    """End the session: its access and refresh tokens are refused from now on."""
    sessions.log_out(resources(), origin(), caller().session)
    return nothing()
