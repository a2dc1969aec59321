"""The page, the rendered notebooks, the OpenAPI document and its page: files, and no decision."""

import gzip
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Response, current_app, request, send_from_directory

from credit_risk.database import ROOT

PAGE = tuple(sorted(path.name for path in (ROOT / "site").iterdir()))
REFERENCE = Path(__file__).parent / "reference"
TEXT = ("text/html", "text/css", "text/javascript", "image/svg+xml", "application/json")
routes = Blueprint("pages", __name__)
compressed = lru_cache(64)(gzip.compress)


def folder_of(package: str) -> Path:
    "The folder of an installed package, which is not imported."
    spec = find_spec(package)
    assert spec and spec.origin
    return Path(spec.origin).parent


SWAGGER = folder_of("offapi")  # carries Swagger UI: the page works without the internet


@routes.get("/", defaults={"name": "index.html"})
@routes.get(f"/<any({', '.join(map(repr, PAGE))}):name>")
def page(name):
    return send_from_directory(ROOT / "site", name)


@routes.get("/docs/")
@routes.get("/docs/<path:name>")
def docs(name="index.html"):
    if name.endswith("/"):
        name += "index.html"
    return send_from_directory(ROOT / "_docs", name)


@routes.get("/openapi.json")
def get_openapi():
    return Response(current_app.extensions["openapi"], mimetype="application/json")


@routes.get("/openapi/", defaults={"name": "index.html"})
@routes.get("/openapi/<any('start.js', 'swagger_bundle.js', 'swagger_style.css'):name>")
def reference(name):
    folder = SWAGGER if name.startswith("swagger") else REFERENCE
    return send_from_directory(folder, name)


@routes.after_request
def compress(response):
    """Compress a text, which is the same for everyone.

    An answer with facts of a client comes from another blueprint, and is not compressed."""
    if response.status_code != 200 or response.mimetype not in TEXT:
        return response
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"]:
        response.direct_passthrough = False
        response.set_data(compressed(response.get_data()))
        response.content_encoding = "gzip"
        etag, _ = response.get_etag()
        if etag:
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
