"""What every answer gets: an id, headers, a line of log and its metrics.

It stands around Flask and not in its hooks, where the same costs as much as the decision."""

import logging
import re
import time
import uuid
from dataclasses import dataclass
from functools import cache

from flask import Flask
from werkzeug.routing import Rule

from . import logs, metrics
from .logs import CALLER, ID

GATEWAY_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
CSP_API = "default-src 'none'; frame-ancestors 'none'"
CSP_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
CSP_REFERENCE = CSP_PAGE.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
CSP_DOCS = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; img-src 'self' data:; font-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
CSP = {  # of the pages that need more than CSP_PAGE
    "pages.docs": CSP_DOCS,
    "pages.reference": CSP_REFERENCE,
}
SECURITY = [
    ("Server", "credit-risk"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
]
API = [*SECURITY, ("Content-Security-Policy", CSP_API), ("Cache-Control", "no-store")]
CORS = [
    ("Access-Control-Allow-Methods", "GET, POST"),
    ("Access-Control-Allow-Headers", "authorization, content-type, idempotency-key"),
    ("Access-Control-Max-Age", "600"),
]


def new_id() -> str:
    """A UUID of version 7 (RFC 9562), which begins with its time.

    Decisions join the index of their table at its end; random ids would split its pages."""
    now = f"{time.time_ns() // 1_000_000:012x}"
    random = str(uuid.uuid4())[15:]  # with the variant in its place
    return f"{now[:8]}-{now[8:]}-7{random}"


@dataclass
class Answered:
    "What Flask answered to a request."

    status: int = 0
    rule: Rule | None = None  # None where no route matched

    @property
    def route(self) -> str:
        if self.rule is None:
            return "none"
        return self.rule.rule


class Middleware:
    "A WSGI application around Flask's."

    def __init__(self, app: Flask, origins: frozenset):
        self.answer = app.wsgi_app
        self.origins = origins

    def __call__(self, environ, start_response):
        start = time.perf_counter()
        environ[ID] = new_id()
        answered = Answered()

        def begin(status, headers, *error):
            request = environ["werkzeug.request"]  # there while Flask answers
            answered.status = int(status[:3])
            answered.rule = request.url_rule
            added = self.headers(environ, request.endpoint or "", headers)
            return start_response(status, headers + added, *error)

        body = self.answer(environ, begin)
        seconds = time.perf_counter() - start
        _measure(answered.route, answered.status, seconds)
        if logs.log.isEnabledFor(logging.INFO):
            _log(environ, answered, seconds)
        return body

    def headers(
        self,
        environ: dict,  # WSGI environment of the request
        endpoint: str,  # of Flask; empty where no route matched
        given: list[tuple[str, str]],  # headers that the answer has
    ) -> list[tuple[str, str]]:
        "Those that are added to an answer."
        added = [("X-Request-Id", environ[ID])]
        added += _page_headers(endpoint, given) if endpoint.startswith("pages.") else API
        if self.origins:
            added += self._cors_headers(environ)
        return added

    def _cors_headers(self, environ):
        "Those that let in a page of another origin, where the configuration names it."
        origin = environ.get("HTTP_ORIGIN")
        headers = [("Vary", "Origin")]
        if origin not in self.origins:
            return headers
        headers += [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", "X-Request-Id"),
        ]
        if environ["REQUEST_METHOD"] == "OPTIONS":
            headers += CORS
        return headers


def _page_headers(endpoint, given):
    names = {name.lower(): value for name, value in given}
    is_page = names.get("content-type", "text/html").startswith("text/html")  # a 304 has no type
    policy = CSP.get(endpoint, CSP_PAGE) if is_page else CSP_API
    headers = [*SECURITY, ("Content-Security-Policy", policy)]
    if "cache-control" not in names:
        headers.append(("Cache-Control", "no-cache"))
    return headers


@cache
def _counters(route, status):
    count = metrics.requests.labels(route, status)
    duration = metrics.latency.labels(route)
    return count, duration


def _measure(route, status, seconds):
    count, duration = _counters(route, status)
    count.inc()
    duration.observe(seconds)


def _log(environ, answered, seconds):
    key = environ.get(CALLER)
    line = {
        "request_id": environ[ID],
        "method": environ["REQUEST_METHOD"] if answered.rule else "?",
        "route": answered.route,
        "status": answered.status,
        "ms": round(1e3 * seconds, 2),
        "key": key and key.nom,
    }
    gateway_id = environ.get("HTTP_X_REQUEST_ID")
    if gateway_id and GATEWAY_ID.fullmatch(gateway_id):
        line["gateway_id"] = gateway_id
    logs.request_line(line)
