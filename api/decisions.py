"""POST /score: a decision, once its audit row is durable."""
import json
import uuid

from flask import Blueprint, Response, current_app, g

from credit_risk.contract import EXAMPLE, ClientRequest, InlineRequest, Result
from credit_risk.scoring import score

from . import audit, openapi
from .application import read_application
from .keys import require
from .problems import Problem
from .service import service

routes = Blueprint("decisions", __name__)


@routes.post("/score")
@require("score")
def post_score():
    s = service()
    client_id, dossier = read_application(s.config.engine)
    models = s.models.now
    result = {"decision_id": str(uuid.uuid4())} | score(dossier, models)
    text = json.dumps({field: result[field] for field in Result.model_fields}, ensure_ascii=False, allow_nan=False)
    try:
        s.writer.append(result["decision_id"], g.key.nom, client_id, dossier, text, models.version)
    except audit.AuditError as e:
        current_app.logger.error("503 POST /score: the audit row was not written (%s)", e)
        raise Problem("audit-unavailable") from None
    return Response(text, mimetype="application/json")


PATHS = {"/score": {"post": {
    "operationId": "score", "summary": "Score one application", "security": openapi.KEY,
    "description": "Facts inline, or client_id to read them from the bank as of date_demande. "
                   "A decision is answered only once its audit row is durable.",
    "requestBody": openapi.body(InlineRequest, ClientRequest, example=EXAMPLE),
    "responses": openapi.answer(Result, "The decision") | openapi.problems(*openapi.GUARDED, *openapi.APPLICATION, "audit-unavailable")}}}
