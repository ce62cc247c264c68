"""The Flask app: blueprints, errors, request ids and the OpenAPI document, around resources."""

from importlib.metadata import version

from flask import Response
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI

from docmill_api import current, problems, request_lifecycle
from docmill_api.problems import ProblemDetails
from docmill_api.resources import Resources
from docmill_api.routes import BLUEPRINTS
from docmill_api.routes.blueprints import BEARER

_DESCRIPTION = (
    "docmill turns uploaded files into searchable, cited passages. Errors are problem details"
    " (RFC 9457) with a stable `code`; every answer names its request in `X-Request-ID`."
)


def create_app(resources: Resources) -> OpenAPI:
    """An app that works with these resources. Connects to nothing."""
    app = OpenAPI(
        "docmill_api",
        info=Info(title="docmill", version=version("docmill-api"), description=_DESCRIPTION),
        security_schemes={BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        validation_error_model=ProblemDetails,
        validation_error_callback=problems.from_validation,
        # flask-openapi3 documents this status, as an array of the model, wherever it is missing;
        # 500 never is. The routes that can answer 422 say so themselves.
        validation_error_status=500,
        doc_ui=False,
        static_folder=None,
    )
    current.attach(app, resources)
    request_lifecycle.register(app)
    problems.register(app)
    for blueprint in BLUEPRINTS:
        app.register_api(blueprint)
    app.add_url_rule("/openapi.json", view_func=lambda: _document(app), endpoint="openapi")
    return app


def _document(app: OpenAPI) -> Response:
    return app.make_response(app.api_doc)
