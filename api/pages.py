"""The page, the rendered notebooks, the OpenAPI document and its page: files, and no decision."""
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Response, current_app, send_from_directory

from credit_risk.database import ROOT

REFERENCE = Path(__file__).parent / "reference"
SWAGGER = Path(find_spec("offapi").origin).parent  # Swagger UI, carried in a package: the page works without the internet
PAGE = ("index.html", "style.css", "app.js", "favicon.svg")
routes = Blueprint("pages", __name__)


@routes.get("/", defaults={"name": "index.html"})
@routes.get(f"/<any({', '.join(map(repr, PAGE))}):name>")
def page(name):
    return send_from_directory(ROOT / "site", name)


@routes.get("/docs/")
@routes.get("/docs/<path:name>")
def docs(name="index.html"):
    return send_from_directory(ROOT / "_docs", f"{name}index.html" if name.endswith("/") else name)


@routes.get("/openapi.json")
def get_openapi():
    return Response(current_app.extensions["openapi"], mimetype="application/json")


@routes.get("/openapi/", defaults={"name": "index.html"})
@routes.get("/openapi/<any('start.js', 'swagger_bundle.js', 'swagger_style.css'):name>")
def reference(name):
    return send_from_directory(SWAGGER if name.startswith("swagger") else REFERENCE, name)


PATHS = {"/openapi.json": {"get": {"operationId": "openapi", "summary": "This document", "responses": {
    "200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}}}}}
