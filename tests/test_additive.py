"""What a model of tables gives: the same bits by every way of evaluating it, and no unknown key."""

import json
import pickle
import random
from math import inf, isnan, nan, prod

import numpy as np
import pandas as pd
import pytest

from credit_risk.additive import (
    AdditiveModel,
    plain_share,
    plain_term_values,
    probabilities,
    probability,
)
from credit_risk.axes import axis_size
from credit_risk.strongest import StrongestOf, interpolate, interpolate_many

NUMBERS = (None, nan, inf, -inf, 0, 0.0, -0.0, 1, -1.5, 2.5, 1e308, 1e-300, True)
CODES = ("a", "b", "c", "never seen", None, nan)
VALUES = (0, 0.0, -0.0, 0.125, -3)
SEEDS = range(60)


def random_axes(draw):
    "Numbers, codes, ratios and differences."
    numbers = [f"n{i}" for i in range(draw.randint(1, 4))]
    codes = [f"c{i}" for i in range(draw.randint(0, 2))]
    axes = []
    for name in numbers:
        cuts = [draw.choice((0, 1, 2.5, draw.gauss(0, 2))) for _ in range(draw.randint(0, 4))]
        axes.append({"variable": name, "cuts": sorted(cuts)})
    for name in codes:
        known = draw.sample(["a", "b", "c"], draw.randint(0, 3))
        axes.append({"variable": name, "categories": {c: k for k, c in enumerate(known, 1)}})
    for kind in draw.choices(("ratio", "difference"), k=draw.randint(0, 3)):
        cuts = sorted(draw.gauss(0, 2) for _ in range(2))
        axes.append({kind: [draw.choice(numbers), draw.choice(numbers)], "cuts": cuts})
    return axes, numbers, codes


def random_model(draw):
    "A model with tables of one to four axes, and the names of its numbers and codes."
    axes, numbers, codes = random_axes(draw)
    terms = []
    for _ in range(draw.choice((0, 1, 5, 80))):  # 80: more than one expression of the sum holds
        chosen = draw.sample(range(len(axes)), min(len(axes), draw.randint(1, 4)))
        cells = prod(axis_size(axes[i]) for i in chosen)
        values = [draw.choice((*VALUES, draw.gauss(0, 1))) for _ in range(cells)]
        terms.append({"axes": chosen, "values": values})
    return AdditiveModel(draw.choice((0, -2.5, draw.gauss(0, 1))), axes, terms), numbers, codes


def random_rows(draw, numbers, codes, n=25):
    "Rows of ordinary, extreme, missing and absent values."
    rows = []
    for _ in range(n):
        row = {name: draw.choice((*NUMBERS, draw.gauss(0, 3))) for name in numbers}
        row |= {name: draw.choice(CODES) for name in codes}
        kept = [name for name in row if draw.random() < 0.9]
        rows.append({name: row[name] for name in kept})
    return rows


def bits(value):
    "A number, or numbers in tuples and dictionaries, so that equal means equal bits."
    return repr(value)


@pytest.fixture(params=SEEDS)
def case(request):
    "A random model, rows for it, and the names of its numbers."
    draw = random.Random(request.param)
    model, numbers, codes = random_model(draw)
    return model, random_rows(draw, numbers, codes), numbers


@pytest.fixture
def strongest():
    "Two components that share an axis."
    income = {"variable": "revenu", "cuts": [1500.0, 6000.0]}
    ratio = {"ratio": ["montant", "revenu"], "cuts": [3.0, 6.0]}
    low = AdditiveModel(0.5, [income], [{"axes": [0], "values": [1.0, 0.5, -1.0, 1.5]}])
    terms = [
        {"axes": [0], "values": [0.5, -1.0, 0.2, 2.0]},
        {"axes": [1], "values": [0.0, 0.1, 0.0, -0.1]},
    ]
    heavy = AdditiveModel(0.0, [ratio, income], terms)
    curves = {
        "income": {"scores": [-1.0, 0.0, 2.0], "surprise": [0.0, 1.0, 2.5]},
        "burden": {"scores": [-1.0, 1.0, 1.8], "surprise": [0.0, 1.0, 3.0]},
    }
    return StrongestOf({"income": low, "burden": heavy}, curves)


def test_the_generated_lookup_is_the_plain_one(case):
    model, rows, _ = case
    for row in rows:
        assert bits(model.term_values(row)) == bits(plain_term_values(model.axes, model.terms, row))


def test_the_generated_share_is_the_plain_one(case):
    model, rows, _ = case
    for row in rows:
        values = plain_term_values(model.axes, model.terms, row)
        plain = plain_share(model.variables, model.term_names, values)
        assert bits(model.share(values)) == bits(plain)


def test_a_row_scores_alone_as_in_a_table(case):
    model, rows, numbers = case
    table = pd.DataFrame(rows)
    table = table.astype({name: float for name in numbers if name in table})
    many = np.broadcast_to(model.total(model.term_columns(table)), len(rows)).tolist()
    assert many == [model.total(model.term_values(row)) for row in rows]


def test_contributions_add_up_to_the_score(case):
    model, rows, _ = case
    for row in rows:
        values = model.term_values(row)
        parts = model.share(values)
        assert model.intercept + sum(parts.values()) == pytest.approx(model.total(values))


def test_json_and_pickle_keep_every_bit(case):
    model, rows, _ = case
    model.term_values(rows[0])  # makes the functions that cannot be pickled
    model.share(model.term_values(rows[0]))
    for again in (
        AdditiveModel.from_dict(json.loads(json.dumps(model.to_dict()))),
        pickle.loads(pickle.dumps(model)),
    ):
        assert bits(again.to_dict()) == bits(model.to_dict())
        assert bits(again.term_values(rows[0])) == bits(model.term_values(rows[0]))


@pytest.mark.parametrize(
    "message, change",
    [
        ("an additive model does not know version", {"version": 3}),
        ("an axis does not know unit", {"axes": [{"variable": "a", "cuts": [1.0], "unit": "EUR"}]}),
        ("exactly one of cuts, categories", {"axes": [{"variable": "a"}]}),
        ("exactly one of variable, ratio", {"axes": [{"cuts": [1.0]}]}),
        ("must have two variables", {"axes": [{"ratio": ["a"], "cuts": [1.0]}]}),
        ("must increase", {"axes": [{"variable": "a", "cuts": [2.0, 1.0]}]}),
        ("must start at 1", {"axes": [{"variable": "a", "categories": {"x": 0}}]}),
        ("a term lacks values", {"terms": [{"axes": [0], "value": [0.0]}]}),
        ("a term lacks values", {"terms": [{"axes": [0]}]}),
        ("names axis 1", {"terms": [{"axes": [1], "values": [0.0]}]}),
        ("must have 3 values", {"terms": [{"axes": [0], "values": [0.0]}]}),
        ("one to four axes", {"terms": [{"axes": [], "values": [0.0]}]}),
    ],
)
def test_what_is_not_in_the_format_is_refused(message, change):
    model = {"intercept": 0.0, "axes": [{"variable": "a", "cuts": [1.0]}], "terms": []}
    AdditiveModel.from_dict(model)
    with pytest.raises(ValueError, match=message):
        AdditiveModel.from_dict(model | change)


@pytest.mark.parametrize("key", ["intercept", "axes", "terms"])
def test_a_missing_part_is_named(key):
    model = {"intercept": 0.0, "axes": [], "terms": []}
    del model[key]
    with pytest.raises(ValueError, match=f"an additive model lacks {key}"):
        AdditiveModel.from_dict(model)


@pytest.mark.parametrize(
    "message, change",
    [
        ("an anomaly model does not know curves", {"curves": {}}),
        ("the curves lacks (burden, income|income, burden)", {"surprise": {}}),
        (
            "the curve of income lacks surprise",
            {"surprise": {"income": {"scores": [0.0]}, "burden": {"scores": [], "surprise": []}}},
        ),
    ],
)
def test_an_anomaly_model_out_of_format_is_refused(strongest, message, change):
    with pytest.raises(ValueError, match=message):
        StrongestOf.from_dict(strongest.to_dict() | change)


def test_an_anomaly_model_scores_a_row_alone_as_in_a_table(strongest):
    amounts, incomes = (9000, 0, None), (1200, 2000, 7000, 0, None)
    rows = [{"montant": a, "revenu": r} for a in amounts for r in incomes]
    table = pd.DataFrame(rows).astype(float)
    one = [strongest.score_one(row) for row in rows]
    many = strongest.score_columns(table)
    names = list(strongest.components)
    assert many.anomaly_scores.tolist() == [score.anomaly_score for score in one]
    assert [names[i] for i in many.component] == [score.component for score in one]
    assert strongest.anomaly_scores(table, rows=4).tolist() == many.anomaly_scores.tolist()
    assert len(strongest.anomaly_scores(table.head(0))) == 0


def test_an_anomaly_model_keeps_every_bit_in_json_and_pickle(strongest):
    row = {"montant": 9000, "revenu": 1200}
    strongest.score_one(row)
    for again in (
        StrongestOf.from_dict(json.loads(json.dumps(strongest.to_dict()))),
        pickle.loads(pickle.dumps(strongest)),
    ):
        assert again.score_one(row) == strongest.score_one(row)


def test_a_curve_is_read_alone_as_in_a_table():
    draw = random.Random(7)
    for _ in range(100):
        xs = sorted(draw.gauss(0, 2) for _ in range(draw.randint(2, 6)))
        ys = [draw.gauss(0, 1) for _ in xs]
        at = [*xs, *(draw.gauss(0, 3) for _ in range(20))]
        one = [interpolate(x, xs, ys) for x in at]
        assert interpolate_many(np.array(at), xs, ys).tolist() == one


def test_probabilities_have_the_bits_of_probability():
    draw = random.Random(3)
    scores = [inf, -inf, 800.0, -800.0, 0.0, -0.0, *(draw.gauss(0, 4) for _ in range(2000))]
    assert probabilities(np.array(scores)).tolist() == [probability(score) for score in scores]
    assert isnan(probabilities([nan])[0])
    assert probabilities([]).shape == (0,)
