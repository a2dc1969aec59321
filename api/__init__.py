"""The service: one endpoint that decides, and what is needed around it."""
import os
import re
import time
import uuid

from flask import Flask, g, request

from . import decisions, logs, metrics, openapi, operation, pages, problems
from .audit import Writer
from .config import read_config
from .deadline import BodyDeadline
from .keys import KeyRing
from .models import Promoted
from .service import Service

ROUTES = (decisions, operation, pages)  # each has `routes`, a Blueprint, and `PATHS`, what it says of itself in OpenAPI
CSP_API = "default-src 'none'; frame-ancestors 'none'"
CSP_PAGE = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
CSP_REFERENCE = CSP_PAGE.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
CSP_DOCS = ("default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
            "img-src 'self' data:; font-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
SECURITY = [("Server", "credit-risk"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"), ("Permissions-Policy", "camera=(), geolocation=(), microphone=()")]
CORS = {"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "authorization, content-type, idempotency-key", "Access-Control-Max-Age": "600"}


def create_app(config: dict | None = None) -> Flask:
    "The application; `config` takes precedence over the environment, with the same names."
    settings = read_config({**os.environ, **(config or {})})
    logs.configure(settings.log_level)
    app = Flask("credit-risk", static_folder=None)
    app.extensions["credit-risk"] = Service(settings, KeyRing(settings.engine, settings.key, settings.rate), Promoted(settings.artifacts),
                                            Writer(settings.engine), BodyDeadline(settings.body_seconds))
    app.extensions["openapi"] = openapi.document(*(module.PATHS for module in ROUTES))
    problems.register(app)
    for module in ROUTES:
        app.register_blueprint(module.routes)
    _surround(app, settings.origins)
    return app


def _surround(app, origins):
    "What every request gets: an id, headers, a line of log and its metrics."
    @app.before_request
    def begin():
        g.start, g.id = time.perf_counter(), str(uuid.uuid4())

    @app.after_request
    def end(response):
        response.headers.extend(SECURITY)
        response.headers.extend([("X-Request-Id", g.id), ("Content-Security-Policy", _policy(response)),
                                 ("Cache-Control", "no-cache" if (request.endpoint or "").startswith("pages.") else "no-store")])
        if origins:
            _let_in(response, origins)
        seconds, route = time.perf_counter() - g.start, request.url_rule.rule if request.url_rule else "none"
        metrics.requests.labels(route, response.status_code).inc()
        metrics.latency.labels(route).observe(seconds)
        if logs.log.isEnabledFor(20):
            _line(response, route, seconds)
        return response


def _policy(response):
    if response.mimetype != "text/html":
        return CSP_API
    return CSP_DOCS if request.endpoint == "pages.docs" else CSP_REFERENCE if request.endpoint == "pages.reference" else CSP_PAGE


def _let_in(response, origins):
    response.headers.add("Vary", "Origin")
    if (origin := request.headers.get("Origin")) in origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "X-Request-Id"
        if request.method == "OPTIONS":
            response.headers.update(CORS)


def _line(response, route, seconds):
    key, gateway = g.get("key"), request.environ.get("HTTP_X_REQUEST_ID")
    line = {"request_id": g.id, "method": request.method if request.url_rule else "?", "route": route, "status": response.status_code, "ms": round(1e3 * seconds, 2), "key": key and key.nom}
    if gateway and re.fullmatch(r"[A-Za-z0-9-]{8,64}", gateway):
        line["gateway_id"] = gateway
    logs.request_line(line)
