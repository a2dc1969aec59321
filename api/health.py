"""Whether the process is alive, whether it is ready, and its metrics."""

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST

from . import audit, metrics, openapi
from .keys import require
from .problems import Problem
from .service import service

routes = Blueprint("health", __name__)


@routes.get("/healthz")
def healthz():
    return {"status": "alive"}


@routes.get("/readyz")
def readyz():
    s = service()
    try:
        audit.answers(s.config.engine)
    except Exception:
        raise Problem(
            "not-ready", "The database does not answer, or has no table for the decisions."
        ) from None
    damage = s.models.damage()
    if damage:
        raise Problem("not-ready", f"The models are not what was promoted: {damage}.")
    status = {"status": "ready", "version": s.models.name}
    if s.models.refused:
        status["refused"] = s.models.refused
    return status


@routes.get("/metrics")
@require("operate")
def get_metrics():
    return Response(metrics.text(), content_type=CONTENT_TYPE_LATEST)


PATHS = {
    "/metrics": {
        "get": {
            "operationId": "metrics",
            "summary": "Counters and timings, for Prometheus",
            "security": openapi.KEY,
            "responses": {
                "200": {
                    "description": "Text",
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                }
            }
            | openapi.problems(*openapi.GUARDED),
        }
    },
    "/healthz": {
        "get": {
            "operationId": "healthz",
            "summary": "Whether the process lives",
            "responses": openapi.answer(openapi.Status, "It does"),
        }
    },
    "/readyz": {
        "get": {
            "operationId": "readyz",
            "summary": "Whether the models are whole and right, and the database answers",
            "responses": openapi.answer(openapi.Status, "Ready")
            | openapi.problems("not-ready", "internal-error"),
        }
    },
}
