"""The service: one endpoint that decides, and what is needed around it."""

import os

from flask import Flask

from . import decisions, desk, logs, openapi, operation, pages, problems
from .audit import Writer
from .config import read_config
from .deadline import BodyDeadline
from .keys import KeyRing
from .models import Promoted
from .service import Service
from .surroundings import Surroundings

ROUTES = (
    decisions,
    desk,
    operation,
    pages,
)  # each has `routes`, a Blueprint, and `PATHS`, what it says of itself in OpenAPI


def create_app(config: dict | None = None) -> Flask:
    "The application; `config` takes precedence over the environment, with the same names."
    settings = read_config({**os.environ, **(config or {})})
    logs.configure(settings.log_level)
    app = Flask("credit-risk", static_folder=None)
    app.extensions["credit-risk"] = Service(
        settings,
        KeyRing(settings.engine, settings.key, settings.rate),
        Promoted(settings.artifacts),
        Writer(settings.engine),
        BodyDeadline(settings.body_seconds),
    )
    app.extensions["openapi"] = openapi.document(*(module.PATHS for module in ROUTES))
    problems.register(app)
    for module in ROUTES:
        app.register_blueprint(module.routes)
    app.wsgi_app = Surroundings(app, settings.origins)
    return app
