"""POST /score and POST /score/batch decide, once the audit rows are durable; GET /decisions reads one again."""

import hashlib
import json
import re
from datetime import date
from functools import cache

import sqlalchemy as sa
from flask import Blueprint, Response, request
from pydantic import BaseModel
from pydantic import Field as PydanticField

from credit_risk.audit import decision_text, row_hash
from credit_risk.contract import EXAMPLE, BadRequest, ClientRequest, InlineRequest, Result

from . import audit, metrics, openapi
from .application import check_media_type, dossier_of, read_body, read_json
from .keys import require, spend
from .logs import CALLER, ID, log
from .problems import Problem
from .service import service
from .surroundings import new_id

MAX_BATCH, MAX_BATCH_BODY = 200, 1024 * 1024  # applications, bytes
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
        description="whether the row still has its hash; credit-risk audit verify checks the whole chain"
    )


def _read(value, s):
    "One application, and the scenario that it names."
    client_id, dossier = dossier_of(value, s.config.engine, date.today())
    return client_id, dossier, value.get("scenario")


def _decide(decision_id, dossier, models, scenario):
    try:
        return decision_text(decision_id, dossier, models, scenario)
    except BadRequest as e:  # a scenario that these models do not hold
        raise Problem("invalid-fields", errors=e.errors) from None


def _answer(text, **headers):
    return Response(text, headers=headers or None, content_type="application/json")


def _idempotency_key(environ):
    jeton = environ.get("HTTP_IDEMPOTENCY_KEY")
    if jeton is not None and not re.fullmatch(r"[!-~]{1,128}", jeton):
        raise Problem(
            "bad-request",
            "Idempotency-Key must be 1 to 128 printable ASCII characters, without spaces.",
        )
    return jeton


def _given(s, caller, jeton, corps):
    "The answer that an Idempotency-Key was given before, or None."
    try:
        found = audit.answer_given(s.config.engine, caller.nom, jeton)
    except sa.exc.SQLAlchemyError as e:
        raise _not_recorded(e) from None
    if found is None:
        return None
    if found[0] != corps:
        raise Problem("key-reused")
    return _answer(found[1], **{"Idempotency-Replayed": "true"})


def _not_recorded(e):
    log.error(
        "the audit row was not written",
        extra={"reason": str(e) if isinstance(e, audit.AuditError) else type(e).__name__},
    )
    return Problem("audit-unavailable")


@cache
def _decisions(classe_risque, recommandation, est_atypique):
    return metrics.decisions.labels(classe_risque, recommandation, str(est_atypique).lower())


def _count(result):
    _decisions(
        result["classe_risque"], result["recommandation"], result["anomalie"]["est_atypique"]
    ).inc()


@routes.post("/score")
@require("score")
def post_score():
    s, environ = service(), request.environ
    check_media_type(environ)
    caller, jeton, body = environ[CALLER], _idempotency_key(environ), read_body(environ, s.deadline)
    once = jeton and (jeton, hashlib.sha256(body).hexdigest())
    value = read_json(body)
    if once and (given := _given(s, caller, *once)):
        return given
    client_id, dossier, scenario = _read(value, s)
    models = s.models.now
    text, result = _decide(environ[ID], dossier, models, scenario)
    try:
        s.writer.append(
            audit.row_to_write(
                environ[ID], caller.nom, client_id, dossier, text, models.version, once
            )
        )
    except audit.Repeated as e:
        if given := _given(s, caller, *once):
            return given
        raise _not_recorded(e) from None  # written elsewhere, and not yet to be read here
    except audit.AuditError as e:
        raise _not_recorded(e) from None
    _count(result)
    return _answer(text)


@routes.post("/score/batch")
@require("score")
def post_batch():
    s, environ = service(), request.environ
    check_media_type(environ)
    if "HTTP_IDEMPOTENCY_KEY" in environ:
        raise Problem(
            "bad-request",
            "Idempotency-Key is for POST /score: a batch has no single answer to repeat.",
        )
    caller, value = environ[CALLER], read_json(read_body(environ, s.deadline, MAX_BATCH_BODY))
    applications = value.get("applications") if isinstance(value, dict) else None
    if (
        not isinstance(applications, list)
        or not 1 <= len(applications) <= MAX_BATCH
        or len(value) > 1
    ):
        raise Problem(
            "invalid-fields",
            errors=[
                {
                    "pointer": "/applications",
                    "detail": f"applications must be a list of 1 to {MAX_BATCH} applications, and the only member of the body",
                }
            ],
        )
    spend(s.keys, caller, len(applications) - 1)
    models, answers, rows, given = s.models.now, [], [], []
    for i, one in enumerate(applications):
        try:
            client_id, dossier, scenario = _read(one, s)
            decision_id = new_id()
            text, result = _decide(decision_id, dossier, models, scenario)
        except Problem as e:
            if e.errors is None:
                raise
            answers.append(
                json.dumps(
                    {
                        "errors": [
                            error | {"pointer": f"/applications/{i}{error['pointer']}"}
                            for error in e.errors
                        ]
                    },
                    ensure_ascii=False,
                )
            )
            continue
        answers.append(text)
        given.append(result)
        rows.append(
            audit.row_to_write(decision_id, caller.nom, client_id, dossier, text, models.version)
        )
    if rows:
        try:
            s.writer.append_all(rows)
        except audit.AuditError as e:
            raise _not_recorded(e) from None
    for result in given:
        _count(result)
    return _answer(f'{{"resultats": [{", ".join(answers)}]}}')


@routes.get("/decisions/<decision_id>")
@require("audit")
def get_decision(decision_id):
    try:
        row = audit.decision(service().config.engine, decision_id)
    except sa.exc.SQLAlchemyError:
        raise Problem("bank-unavailable") from None
    if row is None:
        raise Problem("unknown-decision")
    parts = {name: json.loads(row[name]) for name in ("dossier", "resultat")}
    return _answer(
        json.dumps({**row, **parts, "intacte": row_hash(row) == row["hash"]}, ensure_ascii=False)
    )


REFUSED = openapi.problems(*openapi.GUARDED, *openapi.APPLICATION, "audit-unavailable")
PATHS = {
    "/score": {
        "post": {
            "operationId": "score",
            "summary": "Score one application",
            "security": openapi.KEY,
            "description": "Facts inline, or client_id to read them from the bank as of date_demande. "
            "A decision is answered only once its audit row is durable.",
            "parameters": [
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
                    "description": "with the same body the decision already given is repeated, with another body the answer is 409",
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
            "summary": f"Score up to {MAX_BATCH} applications in at most {MAX_BATCH_BODY // 1024} kB",
            "security": openapi.KEY,
            "description": "Each application is decided and recorded by itself, or has its own errors. Against the rate limit each one counts.",
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
