"""Random applications as bodies of requests: ordinary, with facts missing, and extreme."""

import random
from datetime import date, timedelta

from credit_risk.fields import FIELDS, SECTIONS

FIRST_DAY, LAST_DAY = date(2012, 1, 1), date(2024, 9, 1)
SHARES = {"missing": 0.15, "extreme": 0.05, "wrong": 0.01}  # of the facts


def _ordinary(field, draw: random.Random, asked: date):
    "A value that the contract allows."
    if field.kind == "category":
        return draw.choice(field.categories)
    if field.name == "date_naissance":
        return (asked - timedelta(days=draw.randint(19 * 366, 80 * 365))).isoformat()
    if field.kind == "date":
        return (asked - timedelta(days=draw.randint(30, 3000))).isoformat()
    span = min(field.high, field.low + draw.choice([5, 100, 5_000, 40_000])) - field.low
    value = field.low + span * draw.random()
    return round(value) if field.kind == "integer" else round(value, 2)


def _value(field, draw, asked, kinds):
    kind = draw.choices([*kinds, "ordinary"], [*kinds.values(), 1 - sum(kinds.values())])[0]
    if kind == "missing" and not field.required:
        return None
    if kind == "extreme" and field.kind in ("number", "integer"):
        return draw.choice([field.low, field.high])
    if kind == "wrong":
        return draw.choice(["x", -1, 1e12, "2031-02-30", True, []])
    return _ordinary(field, draw, asked)


def random_body(
    draw: random.Random,
    wrong: bool = True,  # whether some facts are not what the contract allows
) -> dict:  # body of POST /score with the facts inline
    "One application."
    asked = FIRST_DAY + timedelta(days=draw.randrange((LAST_DAY - FIRST_DAY).days))
    kinds = {kind: share for kind, share in SHARES.items() if wrong or kind != "wrong"}
    body = {}
    for section, fields in SECTIONS.items():
        facts = {field.name: _value(field, draw, asked, kinds) for field in fields}
        body[section] = {name: value for name, value in facts.items() if value is not None}
    body["demande"]["date_demande"] = asked.isoformat()
    for total, part in (
        ("jours_decouvert_12m", "jours_decouvert_3m"),
        ("nb_rejets_12m", "nb_rejets_3m"),
    ):
        if draw.random() < 0.95:
            _order(body["compte"], part, total)
    return body


def _order(facts, part, total):
    "What happened in three months cannot be more than in twelve."
    values = [facts.get(part), facts.get(total)]
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        facts[part], facts[total] = sorted(values)


def random_bodies(n: int, seed: int = 0, wrong: bool = True) -> list[dict]:
    "Several applications, the same for the same seed."
    draw = random.Random(seed)
    return [random_body(draw, wrong) for _ in range(n)]


def flat(body: dict) -> dict:
    "The facts of a body by their names, as a row of a file."
    facts = dict.fromkeys(FIELDS)
    for section in body.values():
        facts |= section
    return facts
