"""Entry for WSGI servers: ``gunicorn -c python:docmill_api.gunicorn_config``."""

from docmill_api.app import create_app
from docmill_api.resources import Resources
from docmill_api.settings import ApiSettings
from docmill_shared.startup import prepare

try:
    app = create_app(Resources.from_settings(prepare("api", ApiSettings)))
except SystemExit:
    # Under gunicorn without docmill's configuration this is a worker, and any status but 3 would
    # be answered with another worker, for ever. (With it, the configuration ends first, with 2.)
    raise SystemExit(3) from None
