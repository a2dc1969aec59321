"""The Bloomberg client against a stand-in that speaks the same calls as blpapi: requests as they
are sent, answers in the shape in which they come."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from credit_risk.bloomberg import (
    EVENTS,
    SERIES,
    BloombergError,
    bql_query,
    fetch_bloomberg,
    open_session,
    parse_bql,
    send_bql,
)
from credit_risk.series import COLUMNS

DATES = ["2008-09-30T00:00:00Z", "2008-12-31T00:00:00Z", "2009-03-31T00:00:00Z"]


def item(values, dates=None, **more):
    "One item of an answer, with every member that the service sends."
    dates = DATES[: len(values)] if dates is None else dates
    return {
        "name": "px_last",
        "offsets": [0],
        "namespace": "DATAITEM_DEFAULT",
        "source": "CR",
        "idColumn": {
            "name": "ID",
            "type": "STRING",
            "rank": 0,
            "values": ["USURTOT Index"] * len(values),
        },
        "valuesColumn": {"name": "VALUE", "type": "DOUBLE", "rank": 0, "values": values},
        "secondaryColumns": [
            {"name": "DATE", "type": "DATE", "rank": 0, "values": dates, "defaultDate": True}
        ],
        "partialErrorMap": {"errorIterator": None},
        "responseExceptions": [],
        "forUniverse": True,
        "bqlResponseInfo": None,
    } | more


def answer(*items, **more):
    return json.dumps(
        {
            "results": {f"px_last{i or ''}": it for i, it in enumerate(items)} or None,
            "responseExceptions": None,
            "clientContext": {"clientRequestId": "x"},
            "ordering": [],
        }
        | more
    )


class Message:
    "The calls of blpapi.Message that the client makes."

    def __init__(self, value, error=None):
        self.value = value
        self.error = error

    def hasElement(self, name):
        return name == "responseError" and self.error is not None

    def getElement(self, name):
        return self

    def getElementAsString(self, name):
        return self.error

    def toPy(self):
        return self.value

    def toString(self):
        return str(self.value)


class Event:
    "The calls of blpapi.Event that the client makes."

    def __init__(self, kind, *messages):
        self.kind = kind
        self.messages = messages

    def eventType(self):
        return self.kind

    def __iter__(self):
        return iter(self.messages)


class Session:
    "The calls of blpapi.Session that the client makes; it keeps what was sent."

    def __init__(self, *events, opens=True):
        self.events = list(events)
        self.opens = opens
        self.sent = []

    def openService(self, name):
        self.service = name
        return self.opens

    def getService(self, name):
        assert name == self.service
        return self

    def createRequest(self, name):
        self.request = {"operation": name}
        return self

    def set(self, name, value):
        self.request[name] = value

    def getElement(self, name):
        self.request[name] = {}
        self.within = name
        return self

    def setElement(self, name, value):
        element = self.request[self.within]
        element[name] = value

    def sendRequest(self, request):
        self.sent.append(self.request)

    def nextEvent(self, timeout):
        if not self.events:
            return Event(EVENTS["timeout"])
        return self.events.pop(0)


def final(text):
    return Event(EVENTS["response"], Message(text))


@pytest.fixture
def session():
    "A session that starts, opens its service and answers with two values and a hole."
    return Session(
        Event(2, Message("SessionStarted")),
        Event(9, Message("ServiceOpened")),
        final(answer(item([6.1, None, 8.7]))),
    )


def test_a_series_is_asked_for_in_the_name_of_the_application(session):
    fetch_bloomberg("unemployment", "2008-07-01", "2009-03-31", session=session, app="RISK")
    assert session.service == "//blp/bqlsvc"
    assert session.sent == [
        {
            "operation": "sendQuery",
            "expression": bql_query("unemployment", "2008-07-01", "2009-03-31"),
            "clientContext": {"appName": "RISK"},
        }
    ]


def test_an_answer_takes_the_common_shape(session):
    rows = fetch_bloomberg("unemployment", "2008-07-01", "2009-03-31", session=session)
    assert list(rows) == COLUMNS
    assert list(rows.value) == [6.1, 8.7]
    assert set(rows.source) == {"Bloomberg USURTOT Index"}
    assert set(rows.series) == {"unemployment"}


def test_the_vintage_is_the_day_that_was_asked_for(session):
    rows = fetch_bloomberg(
        "unemployment", "2008-07-01", "2009-03-31", as_of="2009-05-01", session=session
    )
    assert set(rows.vintage) == {pd.Timestamp("2009-05-01")}
    assert "as_of_date=2009-05-01" in session.sent[0]["expression"]


def test_an_answer_in_parts_is_put_together():
    text = answer(item([6.1, 6.9, 8.7]))
    parts = Session(Event(EVENTS["partial"], Message(text[:70])), final(text[70:]))
    rows = parse_bql(send_bql(parts, "get(x) for(y)"))
    assert rows.value.tolist() == [6.1, 6.9, 8.7]


@pytest.mark.parametrize(
    "text,says",
    [
        (answer(results=None), "clientContext"),
        (answer(results={}), "clientContext"),
        ("{}", "clientContext"),
        (
            answer(
                results=None,
                responseExceptions=[{"message": "Unable to parse request", "type": "PARSER"}],
            ),
            "Unable to parse request",
        ),
        (
            answer(
                results=None,
                responseExceptions=[{"internalMessage": "limits exceeded"}, {"message": None}],
            ),
            "limits exceeded; an error without a text",
        ),
        (
            answer(item([6.1], responseExceptions=[{"message": "not entitled to history"}])),
            "not entitled to history",
        ),
        (
            answer(item([6.1, 6.9], partialErrorMap={"errorIterator": ["USURTOT Index: NO_DATA"]})),
            "in part",
        ),
        (answer(item([None, None])), "every value of the answer is null"),
        (answer(item([])), "every value of the answer is null"),
        (answer(item([6.1, 6.9], dates=DATES)), "do not match"),
        (answer(item([6.1], secondaryColumns=[])), "do not match"),
        (answer(item([6.1]), item([6.2])), "one item was asked for and 2 came"),
        ("<html>sign in</html>", "not JSON"),
        ("[]", "list"),
    ],
)
def test_every_kind_of_failure_is_told_apart(text, says):
    with pytest.raises(BloombergError, match=says):
        parse_bql(text)


@pytest.mark.parametrize(
    "session,says",
    [
        (Session(opens=False), "entitlements"),
        (Session(), "quota"),
        (
            Session(Event(EVENTS["response"], Message(None, error="daily capacity reached"))),
            "daily capacity reached",
        ),
        (
            Session(
                Event(EVENTS["request status"], Message("RequestFailure { category = IO_ERROR }"))
            ),
            "RequestFailure",
        ),
    ],
)
def test_a_request_that_fails_says_why(session, says):
    with pytest.raises(BloombergError, match=says):
        send_bql(session, "get(x) for(y)")


def test_a_price_has_no_vintage():
    with pytest.raises(ValueError, match="never revised"):
        bql_query("volatility", "2008-01-01", "2009-01-01", as_of="2009-01-01")


def test_an_unknown_series_names_the_known_ones():
    with pytest.raises(ValueError, match="unemployment"):
        bql_query("happiness", "2008-01-01", "2009-01-01")


@pytest.mark.parametrize("series", SERIES)
def test_every_series_has_a_query(series):
    assert SERIES[series].ticker in bql_query(series, "2008-01-01", "2009-01-01")


def test_blpapi_is_imported_only_when_it_is_used():
    code = "import sys, credit_risk.bloomberg; print('blpapi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_blpapi_the_client_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "blpapi", None)
    with pytest.raises(BloombergError, match="package index.*WAPI"):
        open_session()
