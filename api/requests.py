"""From the bytes of a request to an application: what is not JSON, or no application, is refused.

The refusal names everything that is wrong at once."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from flask import request

from credit_risk.contract import BadRequest, disagreements, parse_request
from credit_risk.database import dossier_of_client

from .bodies import BodyReads
from .logs import CALLER
from .problems import Problem

MAX_BODY = 64 * 1024  # bytes
MAX_DROPPED = 32 * 1024 * 1024  # bytes of a body that is too large, read and thrown away
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # the escape of half of a surrogate pair


@dataclass(frozen=True)
class Application:
    "What a request asks to score."

    client_id: int | None  # None where the facts came inline
    dossier: dict  # flat: name of a field to its value
    scenario: str | None  # that the request names


@dataclass(frozen=True)
class Parsed:
    "A body after the checks of the contract."

    client_id: int | None  # None where the facts came inline, or where it is not valid
    facts: dict
    errors: list[dict]  # pointer and detail of each field that is not valid


# ---- bytes -------------------------------------------------------------------------------------


def check_media_type(environ: dict) -> None:
    "Refuse a body that is not plain JSON."
    given = environ.get("CONTENT_TYPE")
    is_json = given == "application/json" or request.mimetype == "application/json"
    if not is_json or environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise Problem("unsupported-media-type")


def read_body(
    environ: dict,  # WSGI environment of a request whose key was checked
    reads: BodyReads,  # of this process
    largest: int = MAX_BODY,  # bytes
) -> bytes:
    "The body of a request; raises `Problem` where it is too large, too short or one too many."
    read = environ["wsgi.input"].read
    expected = min(_expected_length(environ, largest), largest + 1)
    with reads.reading(environ[CALLER].nom):
        body = _read_up_to(expected, read)
        if environ.get("CONTENT_LENGTH") and len(body) < expected:
            raise Problem("malformed-json", "The body is shorter than its Content-Length.")
        if len(body) > largest:
            _drop(read)
            raise Problem("too-large", f"Send at most {largest // 1024} kB.")
    return body


def _expected_length(environ, largest):
    "Bytes to expect. Without a stated length, the server must know where the body ends."
    stated = environ.get("CONTENT_LENGTH") or ""
    if stated.isascii() and stated.isdigit():
        return int(stated)
    return largest + 1 if environ.get("wsgi.input_terminated") else 0


def _read_up_to(expected: int, read: Callable[[int], bytes]) -> bytes:
    body = b""
    while len(body) < expected:
        part = read(expected - len(body))
        if not part:
            break
        body += part
    return body


def _drop(read: Callable[[int], bytes]) -> None:
    "Read the rest of a body that is too large: its sender would not see the answer before."
    left = MAX_DROPPED
    while left > 0 and read(MAX_BODY):
        left -= MAX_BODY


# ---- JSON --------------------------------------------------------------------------------------


class NotJson(ValueError):
    "What Python's decoder reads and the standard forbids."


def _no_duplicates(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotJson("a key appears twice in an object")
    return members


def _no_constant(name):
    raise NotJson(f"{name} is not JSON")


def _check_surrogates(text, value):
    "Half of a surrogate pair is no character: it cannot be encoded."
    if SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode("utf-8")


def read_json(body: bytes):
    "The value of a body, by the standard: what Python's decoder allows beyond it is refused."
    if not body.strip():
        raise Problem("malformed-json", "The body is empty: send one JSON object.")
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
        _check_surrogates(text, value)
    except UnicodeError:
        raise Problem("malformed-json", "The body is not valid UTF-8 text.") from None
    except json.JSONDecodeError as e:
        place = f"at line {e.lineno}, column {e.colno}"
        raise Problem("malformed-json", f"The body is not JSON: {e.msg} {place}.") from None
    except RecursionError:
        raise Problem("malformed-json", "The body is nested too deeply.") from None
    except NotJson as e:
        raise Problem("malformed-json", f"The body is not JSON: {e}.") from None
    except ValueError:  # of int(), which reads no more than 4 300 digits
        detail = "The body holds a number with too many digits."
        raise Problem("malformed-json", detail) from None
    return value


# ---- applications ------------------------------------------------------------------------------


def read_application(
    value,  # a body, as JSON
    engine: sa.Engine,  # of the bank
) -> Application:
    "An application, its facts inline or those of a client; raises `Problem` with every error."
    today = date.today()
    parsed = _parse(value, today)
    if parsed.client_id is None:
        if parsed.errors:
            raise Problem("invalid-fields", errors=parsed.errors)
        return Application(None, parsed.facts, value.get("scenario"))
    dossier = read_client(engine, parsed.client_id, parsed.facts)
    if dossier is None:  # named together with what else is wrong
        problem = "invalid-fields" if parsed.errors else "unknown-client"
        raise Problem(problem, errors=[unknown_client(parsed.client_id), *parsed.errors])
    if parsed.errors:
        raise Problem("invalid-fields", errors=parsed.errors)
    _check_client(parsed.client_id, dossier, today)
    return Application(parsed.client_id, dossier, value.get("scenario"))


def _parse(value, today):
    "A body against the contract. The client is looked up even where other fields are not valid."
    try:
        client_id, facts = parse_request(value, today)
    except BadRequest as e:
        client_id = value.get("client_id") if isinstance(value, dict) else None
        if any(error["pointer"] == "/client_id" for error in e.errors):
            client_id = None
        return Parsed(client_id, {"date_demande": today}, e.errors)
    return Parsed(client_id, facts, [])


def read_client(
    engine: sa.Engine,  # of the bank
    client_id: int,
    facts: dict,  # of the application; `date_demande` is the day as of which the bank is read
) -> dict | None:  # flat dossier, or None where the bank has no such client
    "The dossier of a client; raises `Problem` where the bank does not answer."
    try:
        with engine.connect() as connection:
            return dossier_of_client(connection, client_id, facts)
    except sa.exc.SQLAlchemyError:
        raise Problem("bank-unavailable") from None


def unknown_client(client_id: int) -> dict:
    "The error of a client_id that the bank does not know."
    return {"pointer": "/client_id", "detail": f"client_id {client_id} is not a client of the bank"}


def _check_client(client_id, dossier, today):
    "Refuse a client whose facts in the bank contradict each other."
    wrong = disagreements(dossier, today)
    if wrong:
        cannot = f"the bank's facts of client {client_id} cannot be scored"
        errors = [
            {"pointer": "/client_id", "detail": f"{cannot}: {text}"} for text in wrong.values()
        ]
        raise Problem("invalid-fields", errors=errors)
