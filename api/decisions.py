"""POST /score and POST /score/batch decide; GET /decisions reads a decision again.

A decision is answered only once its audit row is durable."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from flask import Blueprint, Response, request
from pydantic import BaseModel
from pydantic import Field as PydanticField

from credit_risk import scoring
from credit_risk.answer import Result
from credit_risk.audit import row_hash
from credit_risk.contract import EXAMPLE, BadRequest, ClientRequest, InlineRequest
from credit_risk.version import Version

from . import audit, metrics, openapi
from .audit import Once
from .keys import require, spend
from .logs import CALLER, ID, log
from .middleware import new_id
from .problems import Problem
from .requests import Application, check_media_type, read_application, read_body, read_json
from .service import service

MAX_BATCH = 200  # applications
MAX_BATCH_BODY = 1024 * 1024  # bytes
routes = Blueprint("decisions", __name__)


class FieldErrors(BaseModel):
    "Why an application of a batch has no decision."

    errors: list[openapi.FieldError]


class Batch(BaseModel):
    "Several applications, each as POST /score takes it."

    applications: list[InlineRequest | ClientRequest] = PydanticField(
        min_length=1, max_length=MAX_BATCH
    )


class Answers(BaseModel):
    "In the order of the applications: a decision, or the errors of the application."

    resultats: list[Result | FieldErrors]


class Decision(BaseModel):
    "A row of the audit."

    decision_id: str
    horodatage: str = PydanticField(description="UTC, ISO 8601")
    cle: str = PydanticField(description="name of the API key that asked")
    dossier: dict = PydanticField(description="the facts on which it was decided")
    resultat: dict = PydanticField(description="the answer that was given, with its reasons")
    modele_version: str
    ecrivain: str = PydanticField(description="writer of the row")
    rang: int = PydanticField(description="place in the writer's chain")
    hash_precedent: str
    hash: str
    intacte: bool = PydanticField(
        description="whether the row still has its hash; "
        "credit-risk audit verify checks the whole chain"
    )


# ---- deciding, for a decision and for a simulation ---------------------------------------------


@dataclass(frozen=True)
class Decided:
    "An application and its answer."

    decision_id: str  # empty in a simulation
    application: Application
    decision: scoring.Decision
    text: str  # the same as JSON, which is answered and which the audit keeps

    def to_write(
        self,
        cle: str,  # name of the API key
        once: Once | None = None,  # the Idempotency-Key that goes with it
    ) -> audit.Waiting:
        "Its row of the audit."
        application = self.application
        return audit.row_to_write(
            self.decision_id,
            cle,
            application.client_id,
            application.dossier,
            self.text,
            self.decision.version,
            once,
        )

    def count(self) -> None:
        "Count it for Prometheus."
        found = self.decision.assessment
        _counter(found.rating, found.recommendation, found.atypicality.is_atypical).inc()


@cache
def _counter(risk_class, recommendation, is_atypical):
    atypical = str(is_atypical).lower()
    return metrics.decisions.labels(risk_class, recommendation, atypical)


def decide(
    decision_id: str,  # of the decision; empty in a simulation
    application: Application,
    version: Version,  # the one that serves
) -> Decided:
    "The answer to an application; raises `Problem` where the version lacks the scenario it names."
    try:
        decision = scoring.decide(version, application.dossier, application.scenario)
    except BadRequest as e:
        raise Problem("invalid-fields", errors=e.errors) from None
    text = scoring.decision_text(decision_id, decision)
    return Decided(decision_id, application, decision, text)


# ---- POST /score -------------------------------------------------------------------------------


@routes.post("/score")
@require("score")
def post_score():
    s, environ = service(), request.environ
    check_media_type(environ)
    jeton = _idempotency_key(environ)
    body = read_body(environ, s.reads)
    once = Once(jeton, hashlib.sha256(body).hexdigest()) if jeton else None
    value = read_json(body)
    earlier = once and _earlier_answer(once)
    if earlier:
        return earlier
    application = read_application(value, s.config.engine)
    decided = decide(environ[ID], application, s.models.now)
    try:
        s.writer.append(decided.to_write(environ[CALLER].nom, once))
    except audit.Repeated as e:
        return _answer_to_repeated(once, e)
    except audit.AuditError as e:
        raise _not_recorded(e) from None
    decided.count()
    return _answer(decided.text)


def _idempotency_key(environ):
    jeton = environ.get("HTTP_IDEMPOTENCY_KEY")
    if jeton is not None and not re.fullmatch(r"[!-~]{1,128}", jeton):
        raise Problem(
            "bad-request",
            "Idempotency-Key must be 1 to 128 printable ASCII characters, without spaces.",
        )
    return jeton


def _earlier_answer(once):
    "The answer that the Idempotency-Key of the caller was given before, or None."
    try:
        found = audit.answer_given(service().config.engine, request.environ[CALLER].nom, once.jeton)
    except sa.exc.SQLAlchemyError as e:
        raise _not_recorded(e) from None
    if found is None:
        return None
    corps, text = found
    if corps != once.corps:
        raise Problem("key-reused")
    return _answer(text, {"Idempotency-Replayed": "true"})


def _answer_to_repeated(once, failure):
    "The answer to a request that was decided elsewhere while it was being decided here."
    earlier = _earlier_answer(once)
    if earlier is None:  # recorded elsewhere, and not yet to be read here
        raise _not_recorded(failure) from None
    return earlier


def _not_recorded(e):
    "Log why an audit row is missing; the problem to answer."
    reason = str(e) if isinstance(e, audit.AuditError) else type(e).__name__
    log.error("the audit row was not written", extra={"reason": reason})
    return Problem("audit-unavailable")


def _answer(text, headers=None):
    return Response(text, headers=headers, content_type="application/json")


# ---- POST /score/batch -------------------------------------------------------------------------


@routes.post("/score/batch")
@require("score")
def post_batch():
    s, environ = service(), request.environ
    check_media_type(environ)
    _refuse_idempotency_key(environ)
    value = read_json(read_body(environ, s.reads, MAX_BATCH_BODY))
    applications = _applications(value)
    caller = environ[CALLER]
    spend(s.keys, caller, len(applications) - 1)  # the request itself has counted as one
    outcomes = _decide_each(applications, s)
    decisions = [outcome for outcome in outcomes if isinstance(outcome, Decided)]
    if decisions:
        try:
            s.writer.append_all([decided.to_write(caller.nom) for decided in decisions])
        except audit.AuditError as e:
            raise _not_recorded(e) from None
    for decided in decisions:
        decided.count()
    return _answer(_batch_text(outcomes))


def _refuse_idempotency_key(environ):
    if "HTTP_IDEMPOTENCY_KEY" in environ:
        raise Problem(
            "bad-request",
            "Idempotency-Key is for POST /score: a batch has no single answer to repeat.",
        )


def _applications(value):
    "The applications of a batch."
    applications = value.get("applications") if isinstance(value, dict) else None
    is_list = isinstance(applications, list) and 1 <= len(applications) <= MAX_BATCH
    if not is_list or len(value) > 1:
        detail = (
            f"applications must be a list of 1 to {MAX_BATCH} applications, "
            "and the only member of the body"
        )
        raise Problem("invalid-fields", errors=[{"pointer": "/applications", "detail": detail}])
    return applications


def _decide_each(applications, s):
    "A `Decided` for each application, or the errors of its fields. All see the same version."
    models = s.models.now
    outcomes = []
    for i, value in enumerate(applications):
        try:
            application = read_application(value, s.config.engine)
            outcomes.append(decide(new_id(), application, models))
        except Problem as e:
            if e.errors is None:  # not the fault of this application
                raise
            outcomes.append([_within(f"/applications/{i}", error) for error in e.errors])
    return outcomes


def _within(place, error):
    "An error of an application, with its pointer in the batch."
    return error | {"pointer": f"{place}{error['pointer']}"}


def _batch_text(outcomes):
    "The answers as JSON; a decision is the text that the audit keeps."
    texts = []
    for outcome in outcomes:
        if isinstance(outcome, Decided):
            texts.append(outcome.text)
        else:
            texts.append(json.dumps({"errors": outcome}, ensure_ascii=False))
    return f'{{"resultats": [{", ".join(texts)}]}}'


# ---- GET /decisions ----------------------------------------------------------------------------


@routes.get("/decisions/<decision_id>")
@require("audit")
def get_decision(decision_id):
    try:
        row = audit.decision(service().config.engine, decision_id)
    except sa.exc.SQLAlchemyError:
        raise Problem("bank-unavailable") from None
    if row is None:
        raise Problem("unknown-decision")
    shown = {
        **row,
        "dossier": json.loads(row["dossier"]),
        "resultat": json.loads(row["resultat"]),
        "intacte": row_hash(row) == row["hash"],
    }
    return _answer(json.dumps(shown, ensure_ascii=False))


REFUSED = openapi.problems(*openapi.GUARDED, *openapi.APPLICATION, "audit-unavailable")
PATHS = {
    "/score": {
        "post": {
            "operationId": "score",
            "summary": "Score one application",
            "security": openapi.KEY,
            "description": "Facts inline, or client_id to read them from the bank as of "
            "date_demande. A decision is answered only once its audit row is durable.",
            "parameters": [
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
                    "description": "with the same body the decision already given is repeated, "
                    "with another body the answer is 409",
                }
            ],
            "requestBody": openapi.body(InlineRequest, ClientRequest, example=EXAMPLE),
            "responses": openapi.answer(Result, "The decision")
            | REFUSED
            | openapi.problems("key-reused"),
        }
    },
    "/score/batch": {
        "post": {
            "operationId": "scoreBatch",
            "summary": f"Score up to {MAX_BATCH} applications "
            f"in at most {MAX_BATCH_BODY // 1024} kB",
            "security": openapi.KEY,
            "description": "Each application is decided and recorded by itself, or has its own "
            "errors. Against the rate limit each one counts.",
            "requestBody": openapi.body(Batch, example={"applications": [EXAMPLE]}),
            "responses": openapi.answer(Answers, "The decisions, once all of them are durable")
            | REFUSED,
        }
    },
    "/decisions/{decision_id}": {
        "get": {
            "operationId": "decision",
            "summary": "A decision with its explanation, as it was recorded",
            "security": openapi.KEY,
            "parameters": [
                {
                    "name": "decision_id",
                    "in": "path",
                    "required": True,
                    "schema": {"type": "string"},
                }
            ],
            "responses": openapi.answer(Decision, "The row of the audit")
            | openapi.problems(
                *openapi.GUARDED, "unknown-decision", "not-found", "bank-unavailable"
            ),
        }
    },
}
