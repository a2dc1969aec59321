"""The service: one endpoint that decides, and what is needed around it."""
import hashlib
import hmac
import json
import os
import re
import uuid
from datetime import date

import sqlalchemy as sa
from flask import Flask, Response, request, send_from_directory
from werkzeug.exceptions import RequestEntityTooLarge

from credit_risk.contract import BadRequest, Result, disagreements, parse_request
from credit_risk.database import ROOT, dossier_of_client
from credit_risk.scoring import check_golden, load_models, score

from . import audit, problems
from .config import Config, read_config
from .openapi import document
from .problems import Problem

MAX_BODY, MAX_DROPPED = 64 * 1024, 32 * 1024 * 1024  # bytes
PAGE = ("index.html", "style.css", "app.js", "favicon.svg")
CSP_API = "default-src 'none'; frame-ancestors 'none'"
CSP_PAGE = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
CSP_DOCS = ("default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
            "img-src 'self' data:; font-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
SECURITY = {"Server": "credit-risk", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin", "Permissions-Policy": "camera=(), geolocation=(), microphone=()"}


def key_name(header: str, keys: dict[bytes, str]) -> str | None:
    "The name of the key of an Authorization header; every key is compared, in constant time."
    scheme, _, token = header.partition(" ")
    digest = hashlib.sha256(token.strip().encode("utf-8", "replace")).digest()
    found = None
    for known, name in keys.items():
        if hmac.compare_digest(known, digest):
            found = name
    return found if scheme.lower() == "bearer" else None


def _no_duplicates(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key appears twice in an object")
    return members


def _no_constant(name):
    raise ValueError(f"{name} is not JSON")


def read_body() -> bytes:
    "The body. One that is too large is read to its end and dropped part by part, or its sender would not see the answer."
    try:
        body = request.get_data(cache=False)
        if len(body) <= MAX_BODY:
            return body
    except RequestEntityTooLarge:
        pass
    left, stream = MAX_DROPPED, request.environ["wsgi.input"]
    while left > 0 and (part := stream.read(MAX_BODY)):
        left -= len(part)
    raise Problem("too-large")


def read_json(body: bytes):
    "A body as JSON proper: what Python's decoder lets through beyond the standard is refused."
    if not body.strip():
        raise Problem("malformed-json", "The body is empty: send one JSON object.")
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
        if re.search(r"\\u[dD][89a-fA-F]", text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is no character
    except UnicodeError:
        raise Problem("malformed-json", "The body is not valid UTF-8 text.") from None
    except json.JSONDecodeError as e:
        raise Problem("malformed-json", f"The body is not JSON: {e.msg} at line {e.lineno}, column {e.colno}.") from None
    except RecursionError:
        raise Problem("malformed-json", "The body is nested too deeply.") from None
    except ValueError as e:
        known = str(e).endswith(("is not JSON", "in an object"))
        raise Problem("malformed-json", f"The body is not JSON: {e}." if known else "The body holds a number with too many digits.") from None
    return value


def dossier_of(body, config: Config, today: date) -> tuple[int | None, dict]:
    "The client_id, None where the facts came inline, and the flat dossier to score."
    errors = []
    try:
        client_id, facts = parse_request(body, today)
    except BadRequest as e:
        errors, facts = e.errors, {"date_demande": today}
        client_id = body.get("client_id") if isinstance(body, dict) else None
        if any(error["pointer"] == "/client_id" for error in errors):
            client_id = None
    if client_id is None and errors:
        raise Problem("invalid-fields", errors=errors)
    if client_id is None:
        return None, facts
    try:
        with config.engine.connect() as connection:
            dossier = dossier_of_client(connection, client_id, facts)
    except sa.exc.SQLAlchemyError:
        raise Problem("bank-unavailable") from None
    if dossier is None:  # named together with what else is wrong
        unknown = {"pointer": "/client_id", "detail": f"client_id {client_id} is not a client of the bank"}
        raise Problem("invalid-fields" if errors else "unknown-client", errors=[unknown, *errors])
    if errors:
        raise Problem("invalid-fields", errors=errors)
    if wrong := disagreements(dossier, today):
        raise Problem("invalid-fields", errors=[{"pointer": "/client_id", "detail": f"the bank's facts of client {client_id} cannot be scored: {text}"}
                                                for text in wrong.values()])
    return client_id, dossier


def create_app(config: dict | None = None) -> Flask:
    "The application; `config` takes precedence over the environment, with the same names."
    settings = read_config({**os.environ, **(config or {})})
    models = load_models(settings.artifacts)
    writer = audit.Writer(settings.engine)
    openapi = json.dumps(document(), ensure_ascii=False)

    app = Flask("credit-risk", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY + 1  # a body without a length is cut there, silently: one byte more tells
    app.extensions["credit-risk"] = settings
    problems.register(app)

    @app.post("/score")
    def post_score():
        name = key_name(request.headers.get("Authorization", ""), settings.keys)
        if name is None:
            raise Problem("unauthorized", headers={"WWW-Authenticate": 'Bearer realm="credit-risk"'})
        if request.mimetype != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
            raise Problem("unsupported-media-type")
        body = read_json(read_body())
        client_id, dossier = dossier_of(body, settings, date.today())
        try:
            result = {"decision_id": str(uuid.uuid4())} | score(dossier, models, body.get("scenario"))
        except BadRequest as e:  # a scenario that these models do not hold
            raise Problem("invalid-fields", errors=e.errors) from None
        text = json.dumps({field: result[field] for field in Result.model_fields if field in result}, ensure_ascii=False, allow_nan=False)
        try:
            writer.append(result["decision_id"], name, client_id, dossier, text, models.version)
        except audit.AuditError as e:
            app.logger.error("503 POST /score: the audit row was not written (%s)", e)
            raise Problem("audit-unavailable") from None
        return Response(text, mimetype="application/json")

    @app.get("/healthz")
    def healthz():
        return {"status": "alive"}

    @app.get("/readyz")
    def readyz():
        try:
            audit.answers(settings.engine)
        except Exception:
            raise Problem("not-ready", "The database does not answer, or has no table for the decisions.") from None
        if check_golden(models):
            raise Problem("not-ready", "The models no longer reproduce their golden rows.")
        return {"status": "ready", "version": models.version}

    @app.get("/openapi.json")
    def get_openapi():
        return Response(openapi, mimetype="application/json")

    @app.get("/", defaults={"name": "index.html"})
    @app.get(f"/<any({', '.join(map(repr, PAGE))}):name>")
    def page(name):
        return send_from_directory(ROOT / "site", name)

    @app.get("/docs/")
    @app.get("/docs/<path:name>")
    def docs(name="index.html"):
        return send_from_directory(ROOT / "_docs", f"{name}index.html" if name.endswith("/") else name)

    @app.after_request
    def headers(response):
        response.headers.update(SECURITY)
        html = response.mimetype == "text/html"
        docs = request.path.startswith("/docs/") and response.status_code == 200
        response.headers["Content-Security-Policy"] = CSP_DOCS if docs else CSP_PAGE if html else CSP_API
        response.headers["Cache-Control"] = "no-cache" if request.endpoint in ("page", "docs", "get_openapi") else "no-store"
        return response

    return app
