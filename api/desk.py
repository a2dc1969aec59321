"""What a loan officer's desk asks beside a decision: a simulation, what would change the recommendation, the facts of a client. None of them is a decision, and none is recorded as one."""

import re
from datetime import date
from typing import Literal

import sqlalchemy as sa
from flask import Blueprint, request
from pydantic import BaseModel, create_model
from pydantic import Field as PydanticField

from credit_risk.changes import smallest_changes
from credit_risk.contract import (
    EXAMPLES,
    RISKY,
    SECTIONS,
    Client,
    ClientRequest,
    Compte,
    InlineRequest,
    Intervalle,
    Result,
    dossier_to_json,
)
from credit_risk.database import dossier_of_client

from . import openapi
from .application import check_media_type, read_body, read_json
from .decisions import _decide, _read
from .keys import require
from .problems import Problem
from .service import service

routes = Blueprint("desk", __name__)

Simulation = create_model(
    "Simulation",
    __doc__="The answer to an application that is tried and not decided.",
    simulation=(Literal[True], ...),
    **{
        name: (field.annotation, field)
        for name, field in Result.model_fields.items()
        if name != "decision_id"
    },
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
    "The smallest changes of amount, term, commitments or savings, the better recommendation first; empty where none helps."

    changements: list[Change]


class Facts(BaseModel):
    "What the bank knew of a client on a date."

    client_id: int
    date_demande: date
    client: Client
    compte: Compte


def read_application():
    "The dossier in the body, and the scenario that it names."
    s, environ = service(), request.environ
    check_media_type(environ)
    _, dossier, scenario = _read(read_json(read_body(environ, s.deadline)), s)
    return dossier, scenario


@routes.post("/simulate")
@require("score")
def simulate():
    dossier, scenario = read_application()
    result = {"simulation": True} | _decide("", dossier, service().models.now, scenario)[1]
    return {name: result[name] for name in Simulation.model_fields if name in result}


@routes.post("/simulate/changes")
@require("score")
def changes():
    dossier, _ = read_application()
    return {"changements": smallest_changes(dossier, service().models.now)}


def facts_date(text: str | None) -> date:
    "The day on which the facts are asked for."
    if text is None:
        return date.today()
    try:
        day = date.fromisoformat(re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII)[0])
    except (ValueError, TypeError):
        raise Problem(
            "invalid-fields",
            errors=[{"pointer": "/date", "detail": "date must be a date YYYY-MM-DD"}],
        ) from None
    if day > date.today():
        raise Problem(
            "invalid-fields",
            errors=[
                {"pointer": "/date", "detail": f"date must not be later than today, {date.today()}"}
            ],
        )
    return day


@routes.get("/clients/<int:client_id>")
@require("score")
def client_facts(client_id):
    day = facts_date(request.args.get("date"))
    try:
        with service().config.engine.connect() as connection:
            dossier = (
                dossier_of_client(connection, client_id, {"date_demande": day})
                if client_id < 2**31
                else None
            )
    except sa.exc.SQLAlchemyError:
        raise Problem("bank-unavailable") from None
    if dossier is None:
        raise Problem(
            "not-found",
            errors=[
                {
                    "pointer": "/client_id",
                    "detail": f"client_id {client_id} is not a client of the bank",
                }
            ],
        )
    facts = dossier_to_json(dossier)
    return {"client_id": client_id, "date_demande": facts["date_demande"]} | {
        part: {f.name: facts[f.name] for f in SECTIONS[part]} for part in ("client", "compte")
    }


REFUSED = openapi.problems(*openapi.GUARDED, *openapi.APPLICATION)
PATHS = {
    "/simulate": {
        "post": {
            "operationId": "simulate",
            "summary": "Score an application without deciding it",
            "security": openapi.KEY,
            "description": "The body and the answer of POST /score, marked as a simulation: without decision_id, and never in the audit.",
            "requestBody": openapi.body(
                InlineRequest,
                ClientRequest,
                examples={
                    name: {"summary": label, "description": libelle, "value": body}
                    for name, (libelle, label, body) in EXAMPLES.items()
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
            "description": "The body of POST /score. Each change is the smallest of its kind, in round steps, and is scored again. An atypical application is not told how to be accepted.",
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
