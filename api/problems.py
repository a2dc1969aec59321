"""Errors as RFC 9457 problem documents: each has its own type, and says what to do."""

import json

from flask import Response
from werkzeug.exceptions import HTTPException

from .logs import log

PROBLEMS = {  # the end of `type`: status, title, what to do
    "malformed-json": (
        400,
        "The body is not JSON",
        "Send one JSON object in UTF-8, without duplicate keys, NaN or Infinity.",
    ),
    "bad-request": (
        400,
        "The request is not valid HTTP",
        "Correct the request line and its headers.",
    ),
    "unauthorized": (
        401,
        "An API key is required",
        "Send the header Authorization: Bearer KEY with a valid key.",
    ),
    "forbidden": (
        403,
        "The API key does not open this address",
        "Use a key that has the scope of the address.",
    ),
    "not-found": (
        404,
        "There is nothing at this address",
        "GET /openapi.json lists the addresses.",
    ),
    "method-not-allowed": (
        405,
        "This address does not accept this method",
        "The header Allow lists the methods that it accepts.",
    ),
    "key-reused": (
        409,
        "This Idempotency-Key was used for another body",
        "Choose a new Idempotency-Key for a new application.",
    ),
    "unknown-decision": (404, "There is no such decision", "Use the decision_id of an answer."),
    "too-large": (413, "The body is too large", "Send at most 64 kB."),
    "unsupported-media-type": (
        415,
        "The body must be application/json",
        "Send the header Content-Type: application/json, without compression.",
    ),
    "invalid-fields": (
        422,
        "Some fields are not valid",
        "Correct every field of `errors` and send the application again.",
    ),
    "unknown-client": (
        422,
        "The bank has no such client",
        "Correct client_id, or send the facts inline.",
    ),
    "too-many-requests": (
        429,
        "The API key was used too often",
        "Wait as many seconds as the header Retry-After says.",
    ),
    "slow-bodies": (
        429,
        "Too many bodies of this API key are still arriving",
        "Send each body in one go, and wait as many seconds as the header Retry-After says.",
    ),
    "internal-error": (
        500,
        "The service failed",
        "Send the application again later; no decision was made.",
    ),
    "audit-unavailable": (
        503,
        "The decision could not be recorded",
        "No decision is given unless it is recorded: send the application again later.",
    ),
    "bank-unavailable": (
        503,
        "The bank's database does not answer",
        "Send the application again later, or send the facts inline.",
    ),
    "busy": (
        503,
        "Too many bodies are still arriving",
        "Wait as many seconds as the header Retry-After says.",
    ),
    "not-ready": (503, "The service is not ready", "Try again in a few seconds."),
}
MAX_ERRORS = 100  # a hostile body of 64 kB can hold ten thousand unknown fields
OF_FLASK = {  # status of an error that Flask raises to the name of its problem
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    409: "key-reused",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid-fields",
    429: "too-many-requests",
    500: "internal-error",
    503: "audit-unavailable",
}


class Problem(Exception):
    "An error that is answered as a problem document."

    def __init__(
        self,
        name: str,  # of PROBLEMS
        detail: str = "",  # default: what to do
        errors: list[dict] | None = None,  # pointer and detail of each field that is not valid
        headers: dict | None = None,
    ):
        super().__init__(name)
        self.name = name
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}

    def response(self) -> Response:
        "The answer."
        status = PROBLEMS[self.name][0]
        if status == 503:
            self.headers.setdefault("Retry-After", "5")
        text = json.dumps(self._document(), ensure_ascii=False)
        return Response(text, status, self.headers, mimetype="application/problem+json")

    def _document(self):
        status, title, what_to_do = PROBLEMS[self.name]
        document = {
            "type": f"/problems/{self.name}",
            "title": title,
            "status": status,
            "detail": self.detail or what_to_do,
        }
        if self.errors is not None:
            document["errors"] = self.errors[:MAX_ERRORS]
            n = len(self.errors)
            if n > MAX_ERRORS:
                document["detail"] += f" Only the first {MAX_ERRORS} of {n} errors are listed."
        return document


def register(app) -> None:
    "Every error of the application leaves as a problem document, without a word on its internals."

    @app.errorhandler(Problem)
    def problem(e):
        return e.response()

    @app.errorhandler(HTTPException)
    def http_error(e):
        if e.code is not None and e.code < 400:  # a redirection
            return e
        methods = getattr(e, "valid_methods", None)
        allow = {"Allow": ", ".join(sorted(methods))} if methods else {}
        return Problem(OF_FLASK.get(e.code, "bad-request"), headers=allow).response()

    @app.errorhandler(Exception)
    def unexpected(e):
        log.error("failed", exc_info=e)
        return Problem("internal-error").response()

    @app.get("/problems/<name>")
    def explain(name):
        if name not in PROBLEMS:
            raise Problem("not-found")
        status, title, what_to_do = PROBLEMS[name]
        return {"title": title, "status": status, "what_to_do": what_to_do}
