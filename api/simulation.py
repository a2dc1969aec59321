"""Questions beside a decision: a simulation, what would improve it, the facts of a client.

None of them is a decision, and none is recorded as one."""

import re
from datetime import date
from typing import Any, Literal

from flask import Blueprint, request
from pydantic import BaseModel, create_model
from pydantic import Field as PydanticField

from credit_risk.answer import Intervalle, Result
from credit_risk.changes import smallest_changes
from credit_risk.contract import (
    EXAMPLES,
    RISKY,
    Client,
    ClientRequest,
    Compte,
    InlineRequest,
    dossier_to_json,
)
from credit_risk.fields import SECTIONS

from . import openapi
from .decisions import decide
from .keys import require
from .problems import Problem
from .requests import (
    Application,
    check_media_type,
    read_application,
    read_body,
    read_client,
    read_json,
    unknown_client,
)
from .service import service

MAX_ID = 2**31  # client_id is below it
routes = Blueprint("simulation", __name__)

_ANSWER: dict[str, Any] = {
    name: (field.annotation, field)
    for name, field in Result.model_fields.items()
    if name != "decision_id"
}
Simulation = create_model(
    "Simulation",
    __doc__="The answer to an application that is tried and not decided.",
    **{"simulation": (Literal[True], ...), **_ANSWER},
)


class Changed(BaseModel):
    "A fact that would be another."

    champ: str = PydanticField(description="name of the field")
    avant: float
    apres: float


class Change(BaseModel):
    "What would be enough for a better recommendation, scored again."

    changements: list[Changed]
    mensualite: float | None = PydanticField(description="instalment after the change")
    recommandation: Literal["examiner", "accepter"]
    probabilite_defaut: float
    intervalle: Intervalle | None


class Changes(BaseModel):
    """The smallest changes of amount, term, commitments or savings, \
the better recommendation first; empty where none helps."""

    changements: list[Change]


Facts = create_model(
    "Facts",
    __doc__="What the bank knew of a client on a date.",
    client_id=(int, ...),
    date_demande=(date, ...),
    client=(Client, ...),
    compte=(Compte, ...),
)


def read_posted() -> Application:
    "The application in the body of this request."
    s, environ = service(), request.environ
    check_media_type(environ)
    value = read_json(read_body(environ, s.reads))
    return read_application(value, s.config.engine)


@routes.post("/simulate")
@require("score")
def simulate():
    application = read_posted()
    decided = decide("", application, service().models.now)
    answer = {"simulation": True} | decided.decision.to_dict()
    shown = [name for name in Simulation.model_fields if name in answer]
    return {name: answer[name] for name in shown}


@routes.post("/simulate/changes")
@require("score")
def changes():
    application = read_posted()
    return {"changements": smallest_changes(application.dossier, service().models.now)}


@routes.get("/clients/<int:client_id>")
@require("score")
def client_facts(client_id):
    day = facts_date(request.args.get("date"))
    dossier = None
    if client_id < MAX_ID:
        dossier = read_client(service().config.engine, client_id, {"date_demande": day})
    if dossier is None:
        raise Problem("not-found", errors=[unknown_client(client_id)])
    facts = dossier_to_json(dossier)
    return {
        "client_id": client_id,
        "date_demande": facts["date_demande"],
        "client": _section(facts, "client"),
        "compte": _section(facts, "compte"),
    }


def facts_date(text: str | None) -> date:
    "The day on which the facts are asked for; default: today."
    today = date.today()
    if text is None:
        return today
    try:
        day = _iso_date(text)
    except ValueError:
        raise _bad_date("must be a date YYYY-MM-DD") from None
    if day > today:
        raise _bad_date(f"must not be later than today, {today}")
    return day


def _iso_date(text):
    "A date; Python's own reader takes other forms too."
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError(text)
    return date.fromisoformat(text)


def _bad_date(rule):
    errors = [{"pointer": "/date", "detail": f"date {rule}"}]
    return Problem("invalid-fields", errors=errors)


def _section(facts, name):
    names = [field.name for field in SECTIONS[name]]
    return {name: facts[name] for name in names}


REFUSED = openapi.problems(*openapi.GUARDED, *openapi.APPLICATION)
PATHS = {
    "/simulate": {
        "post": {
            "operationId": "simulate",
            "summary": "Score an application without deciding it",
            "security": openapi.KEY,
            "description": "The body and the answer of POST /score, marked as a simulation: "
            "without decision_id, and never in the audit.",
            "requestBody": openapi.body(
                InlineRequest,
                ClientRequest,
                examples={
                    name: {"summary": english, "description": french, "value": body}
                    for name, (french, english, body) in EXAMPLES.items()
                },
            ),
            "responses": openapi.answer(Simulation, "What the answer would be") | REFUSED,
        }
    },
    "/simulate/changes": {
        "post": {
            "operationId": "changes",
            "summary": "What would change the recommendation for the better",
            "security": openapi.KEY,
            "description": "The body of POST /score. Each change is the smallest of its kind, in "
            "round steps, and is scored again. "
            "An atypical application is not told how to be accepted.",
            "requestBody": openapi.body(InlineRequest, ClientRequest, example=RISKY),
            "responses": openapi.answer(Changes, "The changes") | REFUSED,
        }
    },
    "/clients/{client_id}": {
        "get": {
            "operationId": "clientFacts",
            "summary": "The facts of a client of the bank, as of a date",
            "security": openapi.KEY,
            "parameters": [
                {
                    "name": "client_id",
                    "in": "path",
                    "required": True,
                    "schema": {"type": "integer", "minimum": 0},
                },
                {
                    "name": "date",
                    "in": "query",
                    "description": "default: today",
                    "schema": {"type": "string", "format": "date"},
                },
            ],
            "responses": openapi.answer(Facts, "What the bank knew")
            | openapi.problems(*openapi.GUARDED, "not-found", "invalid-fields", "bank-unavailable"),
        }
    },
}
