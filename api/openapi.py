"""The OpenAPI document: the schemas of the contract, and the paths of each module of routes.

A module of routes has `PATHS`, made with `body`, `answer` and `problems` below. `document` puts
them together and checks the whole."""

from importlib.metadata import PackageNotFoundError, version

from openapi_pydantic import OpenAPI, Reference, Schema
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class
from pydantic import BaseModel
from pydantic import Field as PydanticField

from credit_risk.fields import FIELDS, SECTIONS

from .problems import PROBLEMS

PROBLEM = "application/problem+json"
KEY: list[dict[str, list]] = [{"key": []}]  # `security` of a route that needs a key
GUARDED = (  # what a route that needs a key may answer
    "unauthorized",
    "forbidden",
    "too-many-requests",
    "bad-request",
    "internal-error",
)
APPLICATION = (  # and what a route that reads an application may answer
    "malformed-json",
    "too-large",
    "unsupported-media-type",
    "invalid-fields",
    "unknown-client",
    "bank-unavailable",
    "slow-bodies",
    "busy",
)
UNKNOWN_CLIENT = "client_id 42 is not a client of the bank"
ERRORS = {  # problem to the errors of its example
    "invalid-fields": [{"pointer": "/demande/montant", "detail": FIELDS["montant"].rule()}],
    "unknown-client": [{"pointer": "/client_id", "detail": UNKNOWN_CLIENT}],
}
INFO = {
    "title": "credit-risk",
    "description": "Probability of default, exact reasons and anomaly flag of one loan "
    "application.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
HEADERS = {  # status to the headers of its answers
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: RETRY_AFTER,
    503: RETRY_AFTER,
}


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


class Status(BaseModel):
    "How the service is."

    status: str
    version: str | None = PydanticField(None, description="version of the models that serve")
    refused: str | None = PydanticField(
        None, description="why the promoted version does not serve, where another one does"
    )


class Explanation(BaseModel):
    "What a kind of problem means."

    title: str
    status: int
    what_to_do: str


def schema(*models: type[BaseModel]):
    "A reference to the schema of a model, or to that of one of several."
    refs = [PydanticSchema(schema_class=model, enum=None) for model in models]
    return refs[0] if len(refs) == 1 else {"oneOf": refs}


def body(*models: type[BaseModel], **shown) -> dict:
    "A request body in JSON, with its `example` or its `examples`."
    return {"required": True, "content": {"application/json": {"schema": schema(*models), **shown}}}


def answer(model: type[BaseModel], description: str) -> dict:
    "The good answer."
    return {
        "200": {
            "description": description,
            "content": {"application/json": {"schema": schema(model)}},
        }
    }


def problems(*names: str) -> dict:
    "One answer for each status, with an example of each of its problems."
    answers: dict[str, dict] = {}
    for name in names:
        status, title, _ = PROBLEMS[name]
        if str(status) not in answers:
            answers[str(status)] = _first_answer(status, title)
        answer = answers[str(status)]
        if title not in answer["description"]:
            answer["description"] += f", or: {title}"
        answer["content"][PROBLEM]["examples"][name] = {"value": _example(name)}
    return answers


def _first_answer(status, title):
    answer = {
        "description": title,
        "content": {PROBLEM: {"schema": schema(Problem), "examples": {}}},
    }
    if status in HEADERS:
        answer["headers"] = HEADERS[status]
    return answer


def _example(name):
    "The document of a problem."
    status, title, what_to_do = PROBLEMS[name]
    document = {
        "type": f"/problems/{name}",
        "title": title,
        "status": status,
        "detail": what_to_do,
    }
    if name in ERRORS:
        document["errors"] = ERRORS[name]
    return document


PATHS = {
    "/problems/{name}": {
        "get": {
            "operationId": "problem",
            "summary": "What a kind of problem means, and what to do",
            "parameters": [
                {
                    "name": "name",
                    "in": "path",
                    "required": True,
                    "schema": {"type": "string", "enum": list(PROBLEMS)},
                }
            ],
            "responses": answer(Explanation, "The explanation") | problems("not-found"),
        }
    }
}


def document(*paths: dict) -> str:
    "OpenAPI 3.1 in JSON, from the `PATHS` of the modules of routes."
    described: dict[str, dict] = {}
    for some in (*paths, PATHS):
        described |= some
    whole = construct_open_api_with_schema_class(
        OpenAPI.model_validate(
            {
                "openapi": "3.1.0",
                "info": INFO | {"version": _release()},
                "servers": [{"url": "/"}],
                "paths": described,
                "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
            }
        )
    )
    _mark_dates(whole)
    return whole.model_dump_json(by_alias=True, exclude_none=True)


def _release():
    try:
        return version("credit-risk")
    except PackageNotFoundError:
        return "0"


def _mark_dates(whole: OpenAPI) -> None:
    "Say which texts are dates: JSON Schema knows a date as a string with a format."
    assert whole.components and whole.components.schemas
    for section in SECTIONS:
        schema = _resolved(whole.components.schemas[section.capitalize()])
        for name, field in (schema.properties or {}).items():
            if FIELDS[name].kind == "date":
                _text_schema(_resolved(field)).schema_format = "date"


def _text_schema(field: Schema) -> Schema:
    "The schema of a text, which may stand among the alternatives of a field."
    alternatives = [_resolved(one) for one in field.anyOf or [field]]
    return next(one for one in alternatives if one.type == "string")


def _resolved(schema: Schema | Reference) -> Schema:
    "A schema that must be written out where it stands."
    assert isinstance(schema, Schema)
    return schema
