"""What a machine room asks: alive, ready, and how it goes."""
from flask import Blueprint

from . import audit, openapi
from .problems import Problem
from .service import service

routes = Blueprint("operation", __name__)


@routes.get("/healthz")
def healthz():
    return {"status": "alive"}


@routes.get("/readyz")
def readyz():
    s = service()
    try:
        audit.answers(s.config.engine)
    except Exception:
        raise Problem("not-ready", "The database does not answer, or has no table for the decisions.") from None
    if damage := s.models.damage():
        raise Problem("not-ready", f"The models are not what was promoted: {damage}.")
    return {"status": "ready", "version": s.models.now.version} | ({"refused": s.models.refused} if s.models.refused else {})


PATHS = {
    "/healthz": {"get": {"operationId": "healthz", "summary": "Whether the process lives", "responses": openapi.answer(openapi.Status, "It does")}},
    "/readyz": {"get": {"operationId": "readyz", "summary": "Whether the models are whole and right, and the database answers",
                        "responses": openapi.answer(openapi.Status, "Ready") | openapi.problems("not-ready", "internal-error")}}}
