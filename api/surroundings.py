"""What every answer gets: an id, headers, a line of log and its metrics. Around Flask rather than in its hooks, where the same costs as much as the decision."""

import re
import time
import uuid
from functools import cache

from flask import Flask

from . import logs, metrics
from .logs import CALLER, ID

CSP_API = "default-src 'none'; frame-ancestors 'none'"
CSP_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
CSP_REFERENCE = CSP_PAGE.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
CSP_DOCS = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
CSP = {
    "pages.docs": CSP_DOCS,
    "pages.reference": CSP_REFERENCE,
}  # of the pages that need more than CSP_PAGE
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
    "A UUID that begins with its time (version 7, RFC 9562): decisions join the index of their table at its end, where random ones would split its pages."
    now = f"{time.time_ns() // 1_000_000:012x}"
    return f"{now[:8]}-{now[8:]}-7{str(uuid.uuid4())[15:]}"  # the rest is random, with the variant in its place


@cache
def _counters(route, status):
    return metrics.requests.labels(route, status), metrics.latency.labels(route)


class Surroundings:
    "A WSGI application around Flask's."

    def __init__(self, app: Flask, origins: frozenset):
        self.answer, self.origins = app.wsgi_app, origins

    def __call__(self, environ, start_response):
        start, environ[ID], said = time.perf_counter(), new_id(), []

        def begin(status, headers, *error):
            asked = environ["werkzeug.request"]  # there while Flask answers
            said[:] = int(status[:3]), asked.url_rule
            return start_response(
                status, headers + self.headers(environ, asked.endpoint or "", headers), *error
            )

        body = self.answer(environ, begin)
        seconds, (status, rule) = time.perf_counter() - start, said
        route = rule.rule if rule else "none"
        count, observe = _counters(route, status)
        count.inc()
        observe.observe(seconds)
        if logs.log.isEnabledFor(20):
            _line(environ, rule and environ["REQUEST_METHOD"], route, status, seconds)
        return body

    def headers(self, environ: dict, endpoint: str, given: list) -> list:
        "Those that are added to an answer."
        added = [("X-Request-Id", environ[ID])]
        if not endpoint.startswith("pages."):
            added += API
        else:
            names = {name.lower(): value for name, value in given}
            added += [
                *SECURITY,
                (
                    "Content-Security-Policy",
                    CSP.get(endpoint, CSP_PAGE)
                    if names.get("content-type", "text/html").startswith("text/html")
                    else CSP_API,
                ),
            ]  # a 304 says no type
            if "cache-control" not in names:
                added.append(("Cache-Control", "no-cache"))
        return added + self._let_in(environ) if self.origins else added

    def _let_in(self, environ):
        origin = environ.get("HTTP_ORIGIN")
        if origin not in self.origins:
            return [("Vary", "Origin")]
        let = [
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", "X-Request-Id"),
        ]
        return let + CORS if environ["REQUEST_METHOD"] == "OPTIONS" else let


def _line(environ, method, route, status, seconds):
    key, gateway = environ.get(CALLER), environ.get("HTTP_X_REQUEST_ID")
    line = {
        "request_id": environ[ID],
        "method": method or "?",
        "route": route,
        "status": status,
        "ms": round(1e3 * seconds, 2),
        "key": key and key.nom,
    }
    if gateway and re.fullmatch(r"[A-Za-z0-9-]{8,64}", gateway):
        line["gateway_id"] = gateway
    logs.request_line(line)
