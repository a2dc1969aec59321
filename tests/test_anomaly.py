"""What the anomaly detector refuses and warns of, and what holds for the score of any row."""

import pickle

import numpy as np
import pandas as pd
import pytest

from credit_risk.anomaly import AnomalyDetector
from credit_risk.detection import INJECTED, detection_metrics, inject
from credit_risk.frames import check_trainable, prepare
from credit_risk.strongest import StrongestOf

UNTRAINABLE = [
    ("1 rows are too few", lambda X: X.head(1)),
    ("only 5 rows differ", lambda X: pd.concat([X.head(5)] * 60)),
    ("age holds infinite values", lambda X: X.assign(age=np.inf)),
    (
        "every column is constant or missing",
        lambda X: pd.DataFrame({"a": [1.0] * 300, "b": [None] * 300}),
    ),
    ("no column", lambda X: X[[]]),
    ("constant or missing", lambda X: X.assign(age=np.nan, income=1.0, job=None)),
]


def codes(X):
    "A code for each row."
    return [f"c{i}" for i in range(len(X))]


UNHELPFUL = [
    ("never known, so never used: empty", lambda X: X.assign(empty=np.nan)),
    ("constant, so without influence: fixed", lambda X: X.assign(fixed="x")),
    ("codes of a single row", lambda X: X.assign(code=codes(X))),
    ("only the 250 most frequent codes", lambda X: pd.concat([X.assign(code=codes(X))] * 3)),
]


@pytest.fixture(scope="module")
def usual():
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 70, 400).round()
    return pd.DataFrame(
        {
            "age": age,
            "income": (60 * age + rng.normal(0, 300, 400)).round(),
            "job": np.where(age > 60, "retired", rng.choice(["a", "b"], 400)),
        }
    )


@pytest.fixture(scope="module")
def odd(usual):
    "Usual rows, rows with unknown values and rows far out."
    unknown = usual.assign(age=np.nan, job="never seen")
    return pd.concat([usual, unknown, usual.assign(income=1e9)], ignore_index=True)


@pytest.fixture(scope="module")
def detector(usual):
    return fit(usual)


@pytest.fixture
def own_detector(detector):
    "A detector that a test may change."
    return pickle.loads(pickle.dumps(detector))


def fit(X):
    return AnomalyDetector(pairs=3, bags=1).fit(X)


@pytest.mark.parametrize("reason, change", UNTRAINABLE)
def test_a_table_that_no_detector_can_be_fitted_on_is_refused(usual, reason, change):
    with pytest.raises(ValueError, match=reason):
        fit(change(usual))


@pytest.mark.parametrize("warning, change", UNHELPFUL)
def test_a_column_that_cannot_help_is_named(usual, warning, change):
    with pytest.warns(UserWarning, match=warning):
        check_trainable(prepare(change(usual)), least=50)


def test_the_fit_warns_of_columns_that_cannot_help_and_goes_on(usual):
    X = usual.assign(empty=np.nan, fixed="x", code=codes(usual))
    with pytest.warns(UserWarning) as caught:
        fitted = fit(X)
    assert len(caught) == 3
    assert np.isfinite(fitted.anomaly_score(X)).all()


@pytest.mark.parametrize("prices", [{"luck": 1}, {"shape": 0}])
def test_an_unknown_component_or_a_price_of_zero_is_refused(usual, prices):
    with pytest.raises(ValueError, match="prices must give"):
        AnomalyDetector(prices=prices).fit(usual)


def score_alone(detector, rows, row):
    "The anomaly score of one row, scored without the others."
    (score,) = detector.anomaly_score(rows.iloc[[row]])
    return score


def test_a_row_has_the_same_score_alone_and_in_a_batch(detector, odd):
    scores = detector.anomaly_score(odd)
    for row in (0, 500, 1100):
        assert score_alone(detector, odd, row) == scores[row]


def test_the_tables_read_from_json_give_the_same_scores(detector, odd):
    content = detector.to_additive().to_dict()
    tables = StrongestOf.from_dict(content)
    scores = []
    for row in odd.to_dict("records"):
        score, *_ = tables.score_one(row)
        scores.append(score)
    assert scores == detector.anomaly_score(odd).tolist()


def tables_of(detector):
    "The tables of a detector, as they are written."
    return detector.to_additive().to_dict()


def test_the_same_data_and_seed_give_the_same_detector(detector, usual):
    again = fit(usual)
    assert tables_of(again) == tables_of(detector)


def test_contributions_and_intercept_add_up_to_the_score_of_the_component(detector, odd):
    model = detector.to_additive()
    totals = detector.explain(odd).sum(axis=1)
    for row, total in zip(odd.to_dict("records"), totals, strict=True):
        _, name, values = model.score_one(row)
        component = model.components[name]
        score = component.total(values)
        assert total + component.intercept == pytest.approx(score)


@pytest.fixture
def later(usual):
    "Usual rows after a rise of all incomes."
    return usual.assign(income=usual.income * 1.5)


def test_recalibration_moves_the_threshold_to_the_rate_of_the_rows_given(own_detector, later):
    before = own_detector.is_anomaly(later)
    own_detector.recalibrate(later)
    after = own_detector.is_anomaly(later)
    assert before.mean() > 0.2
    assert after.mean() <= 0.05


def test_recalibration_leaves_the_scores_as_they_are(own_detector, usual, later):
    before = own_detector.anomaly_score(usual)
    own_detector.recalibrate(later)
    after = own_detector.anomaly_score(usual)
    assert after.tolist() == before.tolist()


def test_a_detector_survives_pickling_after_it_has_scored(detector, usual):
    row = usual.iloc[0].to_dict()
    alone = detector.to_additive().score_one(row)  # compiles functions, which do not pickle
    scores = detector.anomaly_score(usual)
    again = pickle.loads(pickle.dumps(detector))
    assert again.anomaly_score(usual).tolist() == scores.tolist()
    assert again.to_additive().score_one(row) == alone


@pytest.fixture
def rng():
    "The random numbers of an injection."
    return np.random.default_rng(0)


@pytest.mark.parametrize("kind", INJECTED)
def test_injected_rows_have_the_columns_of_the_usual_ones(usual, rng, kind):
    rows = usual.head(50)
    strange = inject(kind, rows, usual, rng)
    assert strange.shape == rows.shape
    assert list(strange) == list(usual)


def test_an_unknown_kind_of_injected_row_is_refused(usual, rng):
    with pytest.raises(ValueError, match="kind must be one of"):
        inject("luck", usual, usual, rng)


MACRO = ("local", "cluster", "global", "dependency")  # kinds whose mean is the macro recall


def test_macro_recall_leaves_out_the_rows_with_three_fields_of_another(detector, usual):
    metrics = detection_metrics(detector.is_anomaly, usual, usual)
    recall = metrics["recall_by_kind"]
    mean = np.mean([recall[kind] for kind in MACRO])
    assert metrics["recall"] == pytest.approx(mean)
