"""The OpenAPI document: pydantic's schemas of the contract, and the paths that each module of routes says of itself.

A module of routes has `PATHS`, made with `body`, `answer` and `problems` below; `document` puts them together and checks the whole."""

from importlib.metadata import PackageNotFoundError, version

from openapi_pydantic import OpenAPI
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class
from pydantic import BaseModel
from pydantic import Field as PydanticField

from credit_risk.contract import FIELDS

from .problems import PROBLEMS

KEY = [{"key": []}]  # `security` of a route that needs a key
GUARDED = (
    "unauthorized",
    "forbidden",
    "too-many-requests",
    "bad-request",
    "internal-error",
)  # what `require` may answer, and any route
APPLICATION = (
    "malformed-json",
    "body-timeout",
    "too-large",
    "unsupported-media-type",
    "invalid-fields",
    "unknown-client",
    "bank-unavailable",
)  # and what reads an application


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
    refs = [PydanticSchema(schema_class=model) for model in models]
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
    answers = {}
    for name in names:
        status, title, what_to_do = PROBLEMS[name]
        said = answers.setdefault(
            str(status),
            {
                "description": title,
                "content": {
                    "application/problem+json": {"schema": schema(Problem), "examples": {}}
                },
            },
        )
        if title not in said["description"]:
            said["description"] += f", or: {title}"
        value = {
            "type": f"/problems/{name}",
            "title": title,
            "status": status,
            "detail": what_to_do,
        }
        if status == 422:
            field = "montant" if name == "invalid-fields" else "client_id"
            detail = (
                FIELDS["montant"].rule()
                if field == "montant"
                else "client_id 42 is not a client of the bank"
            )
            value["errors"] = [
                {
                    "pointer": "/demande/montant" if field == "montant" else "/client_id",
                    "detail": detail,
                }
            ]
        said["content"]["application/problem+json"]["examples"][name] = {"value": value}
    if "401" in answers:
        answers["401"]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    for status in answers.keys() & {"429", "503"}:
        answers[status]["headers"] = {
            "Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}
        }
    return answers


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
    try:
        release = version("credit-risk")
    except PackageNotFoundError:
        release = "0"
    whole = construct_open_api_with_schema_class(
        OpenAPI.model_validate(
            {
                "openapi": "3.1.0",
                "info": {
                    "title": "credit-risk",
                    "version": release,
                    "description": "Probability of default, exact reasons and anomaly flag of one loan application.",
                    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
                },
                "servers": [{"url": "/"}],
                "paths": {path: item for some in (*paths, PATHS) for path, item in some.items()},
                "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
            }
        )
    )
    for section in (
        "Client",
        "Compte",
        "Demande",
    ):  # JSON Schema knows a date as a string with a format
        for name, field in whole.components.schemas[section].properties.items():
            if FIELDS[name].kind == "date":
                next(s for s in field.anyOf or [field] if s.type == "string").schema_format = "date"
    return whole.model_dump_json(by_alias=True, exclude_none=True)
