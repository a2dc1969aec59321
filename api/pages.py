"""The page, the rendered notebooks, the OpenAPI document and its page: files, and no decision."""

import gzip
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Response, current_app, request, send_from_directory

from credit_risk.database import ROOT

PAGE = tuple(sorted(path.name for path in (ROOT / "site").iterdir()))
REFERENCE = Path(__file__).parent / "reference"
SWAGGER = Path(
    find_spec("offapi").origin
).parent  # Swagger UI, carried in a package: the page works without the internet
TEXT = ("text/html", "text/css", "text/javascript", "image/svg+xml", "application/json")
routes = Blueprint("pages", __name__)
compressed = lru_cache(64)(gzip.compress)


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


@routes.after_request
def compress(response):
    "A text that is the same for everyone is sent small; an answer with facts of a client never passes here."
    if response.status_code == 200 and response.mimetype in TEXT:
        response.vary.add("Accept-Encoding")
        if request.accept_encodings["gzip"]:
            response.direct_passthrough = False
            response.set_data(compressed(response.get_data()))
            response.content_encoding = "gzip"
            if etag := response.get_etag()[0]:
                response.set_etag(etag, weak=True)  # the same text, not the same bytes
    return response


PATHS = {
    "/openapi.json": {
        "get": {
            "operationId": "openapi",
            "summary": "This document",
            "responses": {
                "200": {
                    "description": "OpenAPI 3.1",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        }
    }
}
