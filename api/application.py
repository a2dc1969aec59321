"""From the bytes of a request to a dossier: what is not JSON proper, or not an application, is refused with every reason at once."""

import json
import re
from datetime import date

import sqlalchemy as sa
from flask import request

from credit_risk.contract import BadRequest, disagreements, parse_request
from credit_risk.database import dossier_of_client

from .deadline import BodyDeadline
from .problems import Problem

MAX_BODY, MAX_DROPPED = 64 * 1024, 32 * 1024 * 1024  # bytes


def _no_duplicates(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key appears twice in an object")
    return members


def _no_constant(name):
    raise ValueError(f"{name} is not JSON")


def read_body(environ: dict, deadline: BodyDeadline, largest: int = MAX_BODY) -> bytes:
    "The body. One that is too large is read to its end and dropped part by part, or its sender would not see the answer."
    stated, stream, body = environ.get("CONTENT_LENGTH") or "", environ["wsgi.input"], b""
    # without a length the server must know where the body ends
    length = (
        int(stated)
        if stated.isascii() and stated.isdigit()
        else largest + 1
        if environ.get("wsgi.input_terminated")
        else 0
    )
    with deadline.reading(environ.get("REMOTE_ADDR", "")) as ended:
        while len(body) < min(length, largest + 1) and (
            part := stream.read(min(length, largest + 1) - len(body))
        ):
            body += part
        if ended() or stated and len(body) < min(length, largest + 1):
            raise Problem(
                "body-timeout" if ended() else "malformed-json",
                "" if ended() else "The body is shorter than its Content-Length.",
            )
        if len(body) <= largest:
            return body
        left = MAX_DROPPED
        while left > 0 and (part := stream.read(MAX_BODY)):
            left -= len(part)
    raise Problem("too-large", f"Send at most {largest // 1024} kB.")


def read_json(body: bytes):
    "A body as JSON proper: what Python's decoder lets through beyond the standard is refused."
    if not body.strip():
        raise Problem("malformed-json", "The body is empty: send one JSON object.")
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
        if re.search(r"\\u[dD][89a-fA-F]", text):
            json.dumps(value, ensure_ascii=False).encode(
                "utf-8"
            )  # half of a surrogate pair is no character
    except UnicodeError:
        raise Problem("malformed-json", "The body is not valid UTF-8 text.") from None
    except json.JSONDecodeError as e:
        raise Problem(
            "malformed-json", f"The body is not JSON: {e.msg} at line {e.lineno}, column {e.colno}."
        ) from None
    except RecursionError:
        raise Problem("malformed-json", "The body is nested too deeply.") from None
    except ValueError as e:
        known = str(e).endswith(("is not JSON", "in an object"))
        raise Problem(
            "malformed-json",
            f"The body is not JSON: {e}."
            if known
            else "The body holds a number with too many digits.",
        ) from None
    return value


def dossier_of(body, engine: sa.Engine, today: date) -> tuple[int | None, dict]:
    "The client_id, None where the facts came inline, and the flat dossier to score."
    errors = []
    try:
        client_id, facts = parse_request(body, today)
    except BadRequest as e:
        errors, facts = e.errors, {"date_demande": today}
        client_id = body.get("client_id") if isinstance(body, dict) else None
        if any(error["pointer"] == "/client_id" for error in errors):
            client_id = None
    if client_id is None and errors:
        raise Problem("invalid-fields", errors=errors)
    if client_id is None:
        return None, facts
    try:
        with engine.connect() as connection:
            dossier = dossier_of_client(connection, client_id, facts)
    except sa.exc.SQLAlchemyError:
        raise Problem("bank-unavailable") from None
    if dossier is None:  # named together with what else is wrong
        unknown = {
            "pointer": "/client_id",
            "detail": f"client_id {client_id} is not a client of the bank",
        }
        raise Problem("invalid-fields" if errors else "unknown-client", errors=[unknown, *errors])
    if errors:
        raise Problem("invalid-fields", errors=errors)
    if wrong := disagreements(dossier, today):
        raise Problem(
            "invalid-fields",
            errors=[
                {
                    "pointer": "/client_id",
                    "detail": f"the bank's facts of client {client_id} cannot be scored: {text}",
                }
                for text in wrong.values()
            ],
        )
    return client_id, dossier


def check_media_type(environ: dict) -> None:
    given = environ.get("CONTENT_TYPE")
    if (
        given != "application/json"
        and request.mimetype != "application/json"
        or environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity"
    ):
        raise Problem("unsupported-media-type")
