"""The log: one JSON object a line, on stderr.

A line names a request, a key and a version. It never holds a fact of a client, a body or an address
with an identifier in it."""

import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from flask import has_request_context, request
from pydantic_core import to_json

log = logging.getLogger("credit-risk")
# in the WSGI environment of a request:
ID = "credit-risk.id"  # its id, which is that of its decision
CALLER = "credit-risk.caller"  # the key that it sent
PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    "A record as one line of JSON, with the id of the request that it belongs to."

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if has_request_context():
            line["request_id"] = request.environ.get(ID)
        line |= {name: value for name, value in record.__dict__.items() if name not in PLAIN}
        if record.exc_info and record.exc_info[0]:
            line["exception"] = _kind_and_place(record.exc_info[0], record.exc_info[2])
        return json.dumps(line, ensure_ascii=False, default=str)


def _kind_and_place(kind, trace):
    "An exception without its message, which may quote a client's facts."
    while trace and trace.tb_next:
        trace = trace.tb_next
    if not trace:
        return kind.__name__
    return f"{kind.__name__} at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def request_line(line: dict) -> None:
    "Log one request without the logging module, which costs a request more than its line."
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    text = to_json({"time": now, "level": "info", "event": "request", **line}).decode()
    with suppress(OSError):  # a log that cannot be written, as on a full disk, is no reason to fail
        sys.stderr.write(text + "\n")


def configure(level: str) -> None:
    "Send the service's own lines to stderr."
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(level.upper())
