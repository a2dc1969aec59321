"""The page, the rendered notebooks, the OpenAPI document and its page: files, and no decision."""
import json

from flask import Blueprint, Response, current_app, send_from_directory

from credit_risk.database import ROOT

from . import openapi

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


PATHS = {"/openapi.json": {"get": {"operationId": "openapi", "summary": "This document", "responses": {
    "200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}}}}}
