"""One JSON object a line on stderr. A line names a request, a key and a version; it never holds a fact of a client, a body or an address with an identifier in it."""

import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime

from flask import has_request_context, request
from pydantic_core import to_json

log = logging.getLogger("credit-risk")
ID, CALLER = "credit-risk.id", "credit-risk.caller"  # of a request, in its WSGI environment
PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    "A record as one line of JSON, with the id of the request that it belongs to."

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if has_request_context():
            line["request_id"] = request.environ.get(ID)
        line |= {name: value for name, value in record.__dict__.items() if name not in PLAIN}
        if record.exc_info:  # the kind and the place; the message may quote a client's facts
            kind, _, trace = record.exc_info
            while trace and trace.tb_next:
                trace = trace.tb_next
            line["exception"] = (
                f"{kind.__name__} at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
                if trace
                else kind.__name__
            )
        return json.dumps(line, ensure_ascii=False, default=str)


def request_line(line: dict) -> None:
    "One request. Past the machinery of logging, which costs a request more than its line."
    with suppress(OSError):  # a log that cannot be written, as on a full disk, is no reason to fail
        sys.stderr.write(
            to_json(
                {
                    "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "level": "info",
                    "event": "request",
                    **line,
                }
            ).decode()
            + "\n"
        )


def configure(level: str) -> None:
    "Send the service's own lines to stderr."
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    log.handlers, log.propagate = [handler], False
    log.setLevel(level.upper())
