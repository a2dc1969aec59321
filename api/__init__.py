"""The HTTP service. POST /score and POST /score/batch decide; the other addresses do not."""

import os

from flask import Flask

from . import decisions, health, logs, openapi, pages, problems, simulation
from .audit import Writer
from .bodies import BodyReads
from .config import read_config
from .keys import KeyRing
from .middleware import Middleware
from .models import Promoted
from .service import Service

ROUTES = (decisions, simulation, health, pages)
# each has `routes`, a Blueprint, and `PATHS`, its part of the OpenAPI document


def create_app(config: dict | None = None) -> Flask:
    "The application; `config` takes precedence over the environment, with the same names."
    settings = read_config({**os.environ, **(config or {})})
    logs.configure(settings.log_level)
    app = Flask("credit-risk", static_folder=None)
    app.extensions["credit-risk"] = Service(
        config=settings,
        keys=KeyRing(settings.engine, settings.key, settings.rate),
        models=Promoted(settings.artifacts),
        writer=Writer(settings.engine),
        reads=BodyReads(),
    )
    app.extensions["openapi"] = openapi.document(*(module.PATHS for module in ROUTES))
    problems.register(app)
    for module in ROUTES:
        app.register_blueprint(module.routes)
    app.wsgi_app = Middleware(app, settings.origins)  # type: ignore[method-assign]  # as Flask asks
    return app
