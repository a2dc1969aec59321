"""The OpenAPI document: the contract's own models, and every answer of every address."""
from importlib.metadata import PackageNotFoundError, version

from pydantic import BaseModel
from pydantic import Field as PydanticField
from pydantic.json_schema import models_json_schema

from credit_risk.contract import EXAMPLE, FIELDS, ClientRequest, InlineRequest, Result

from .problems import PROBLEMS


class FieldError(BaseModel):
    "One field to correct."
    pointer: str = PydanticField(description="JSON pointer (RFC 6901) to the field in the body")
    detail: str = PydanticField(description="a sentence that names the field and the fix")


class Problem(BaseModel):
    "An error, as RFC 9457 describes it."
    type: str = PydanticField(description="address that explains this kind of problem")
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


REF = "#/components/schemas/{model}"


def _json(schema, **more):
    return {"application/json": {"schema": schema, **more}}


def _problems(*names):
    "One answer for each status, with an example of each of its problems."
    answers = {}
    for name in names:
        status, title, what_to_do = PROBLEMS[name]
        answer = answers.setdefault(str(status), {"description": title, "content": {"application/problem+json": {
            "schema": {"$ref": REF.format(model="Problem")}, "examples": {}}}})
        if title not in answer["description"]:
            answer["description"] += f", or: {title}"
        value = {"type": f"/problems/{name}", "title": title, "status": status, "detail": what_to_do}
        if status == 422:
            field = "montant" if name == "invalid-fields" else "client_id"
            detail = FIELDS["montant"].rule() if field == "montant" else "client_id 42 is not a client of the bank"
            value["errors"] = [{"pointer": "/demande/montant" if field == "montant" else "/client_id", "detail": detail}]
        answer["content"]["application/problem+json"]["examples"][name] = {"value": value}
    if "401" in answers:
        answers["401"]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    if "503" in answers:
        answers["503"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return answers


def _schemas():
    "The models, with the dates said to be dates: JSON Schema knows them as strings with a format."
    models = [(InlineRequest, "validation"), (ClientRequest, "validation"), (Result, "serialization"), (Problem, "serialization")]
    schemas = models_json_schema(models, ref_template=REF)[1]["$defs"]
    for section in ("Client", "Compte", "Demande"):
        for name, schema in schemas[section]["properties"].items():
            if FIELDS[name].kind == "date":
                next(s for s in schema.get("anyOf", [schema]) if s.get("type") == "string")["format"] = "date"
    return schemas


def document() -> dict:
    "OpenAPI 3.1, with an example body that is valid."
    try:
        release = version("credit-risk")
    except PackageNotFoundError:
        release = "0"
    status = {"type": "object", "properties": {"status": {"type": "string"}, "version": {"type": "string"}}, "required": ["status"]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "credit-risk", "version": release,
                 "description": "Probability of default, exact reasons and anomaly flag of one loan application.",
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "paths": {
            "/score": {"post": {
                "operationId": "score", "summary": "Score one application", "security": [{"key": []}],
                "description": "Facts inline, or client_id to read them from the bank as of date_demande. "
                               "A decision is answered only once its audit row is durable.",
                "requestBody": {"required": True, "content": _json(
                    {"oneOf": [{"$ref": REF.format(model="InlineRequest")}, {"$ref": REF.format(model="ClientRequest")}]}, example=EXAMPLE)},
                "responses": {"200": {"description": "The decision", "content": _json({"$ref": REF.format(model="Result")})}}
                | _problems("malformed-json", "bad-request", "unauthorized", "too-large", "unsupported-media-type", "invalid-fields",
                            "unknown-client", "internal-error", "audit-unavailable", "bank-unavailable")}},
            "/healthz": {"get": {"operationId": "healthz", "summary": "Whether the process lives",
                                 "responses": {"200": {"description": "It does", "content": _json(status)}}}},
            "/readyz": {"get": {"operationId": "readyz", "summary": "Whether the models are loaded and right, and the database answers",
                                "responses": {"200": {"description": "Ready", "content": _json(status)}} | _problems("not-ready")}},
            "/openapi.json": {"get": {"operationId": "openapi", "summary": "This document",
                                      "responses": {"200": {"description": "OpenAPI 3.1", "content": _json({"type": "object"})}}}},
            "/problems/{name}": {"get": {
                "operationId": "problem", "summary": "What a kind of problem means, and what to do",
                "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": list(PROBLEMS)}}],
                "responses": {"200": {"description": "The explanation", "content": _json({"type": "object"})}} | _problems("not-found")}},
        },
        "components": {"schemas": _schemas(), "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }
