"""The service: one endpoint that decides, and what is needed around it."""
import os

from flask import Flask, request

from . import decisions, openapi, operation, pages, problems
from .application import MAX_BODY
from .audit import Writer
from .config import read_config
from .keys import KeyRing
from .models import Promoted
from .service import Service

ROUTES = (decisions, operation, pages)  # each has `routes`, a Blueprint, and `PATHS`, what it says of itself in OpenAPI
CSP_API = "default-src 'none'; frame-ancestors 'none'"
CSP_PAGE = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
CSP_DOCS = ("default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
            "img-src 'self' data:; font-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
SECURITY = {"Server": "credit-risk", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin", "Permissions-Policy": "camera=(), geolocation=(), microphone=()"}


def create_app(config: dict | None = None) -> Flask:
    "The application; `config` takes precedence over the environment, with the same names."
    settings = read_config({**os.environ, **(config or {})})
    app = Flask("credit-risk", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY + 1  # a body without a length is cut there, silently: one byte more tells
    app.extensions["credit-risk"] = Service(settings, KeyRing(settings.engine, settings.key, settings.rate), Promoted(settings.artifacts), Writer(settings.engine))
    app.extensions["openapi"] = openapi.document(*(module.PATHS for module in ROUTES))
    problems.register(app)
    for module in ROUTES:
        app.register_blueprint(module.routes)

    @app.after_request
    def headers(response):
        response.headers.update(SECURITY)
        html = response.mimetype == "text/html"
        docs = request.path.startswith("/docs/") and response.status_code == 200
        response.headers["Content-Security-Policy"] = CSP_DOCS if docs else CSP_PAGE if html else CSP_API
        response.headers["Cache-Control"] = "no-cache" if (request.endpoint or "").startswith("pages.") else "no-store"
        return response

    return app
