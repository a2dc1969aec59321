"""What the anomaly detector does with training data that cannot teach, and with rows of any kind."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

from credit_risk.additive import StrongestOf
from credit_risk.anomaly import AnomalyDetector


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


def fit(X):
    return AnomalyDetector(pairs=3, bags=1).fit(X)


@pytest.mark.parametrize(
    "name, change",
    [
        ("1 rows are too few", lambda X: X.head(1)),
        ("only 5 rows differ", lambda X: pd.concat([X.head(5)] * 60)),
        ("age holds infinite values", lambda X: X.assign(age=np.inf)),
        (
            "every column is constant or missing",
            lambda X: pd.DataFrame({"a": [1.0] * 300, "b": [None] * 300}),
        ),
        ("no column", lambda X: X[[]]),
        (
            "only 1 rows differ|constant or missing",
            lambda X: X.assign(age=np.nan, income=1.0, job=None),
        ),
    ],
)
def test_what_cannot_teach_is_refused(usual, name, change):
    with pytest.raises(ValueError, match=name):
        fit(change(usual))


@pytest.mark.parametrize(
    "said, change",
    [
        ("never known, so never used: empty", lambda X: X.assign(empty=np.nan)),
        ("constant, so without influence: fixed", lambda X: X.assign(fixed="x")),
        ("codes of a single row", lambda X: X.assign(code=[f"c{i}" for i in range(len(X))])),
        (
            "only the 250 most frequent codes",
            lambda X: pd.concat([X.assign(code=[f"c{i}" for i in range(len(X))])] * 3),
        ),
    ],
)
def test_what_cannot_help_is_named(usual, said, change):
    X = change(usual)
    with pytest.warns(UserWarning, match=said), warnings.catch_warnings():
        detector = fit(X)
    assert np.isfinite(detector.anomaly_score(X)).all()


def test_a_row_has_the_same_bits_alone_in_a_batch_and_from_json(usual):
    detector = fit(usual)
    odd = pd.concat(
        [usual, usual.assign(age=np.nan, job="never seen"), usual.assign(income=1e9)],
        ignore_index=True,
    )
    scores, tables = (
        detector.anomaly_score(odd),
        StrongestOf.from_dict(detector.to_additive().to_dict()),
    )
    assert [detector.anomaly_score(odd.iloc[[i]])[0] for i in (0, 500, 1100)] == scores[
        [0, 500, 1100]
    ].tolist()
    assert [tables.score_one(r)[0] for r in odd.to_dict("records")] == scores.tolist()
    assert fit(usual).anomaly_score(odd).tolist() == scores.tolist(), (
        "same data, same seed, other scores"
    )


def test_recalibration_moves_the_threshold_to_the_rate_of_the_rows_given(usual):
    detector = fit(usual)
    later = usual.assign(income=usual.income * 1.5)
    assert detector.is_anomaly(later).mean() > 0.2
    before = detector.anomaly_score(usual)
    assert detector.recalibrate(later).is_anomaly(later).mean() <= 0.05
    assert detector.anomaly_score(usual).tolist() == before.tolist()


def test_prices_are_checked(usual):
    with pytest.raises(ValueError, match="prices must give"):
        AnomalyDetector(prices={"luck": 1}).fit(usual)
    with pytest.raises(ValueError, match="prices must give"):
        AnomalyDetector(prices={"shape": 0}).fit(usual)


def test_a_detector_survives_pickling(usual):
    detector = fit(usual)
    row, scores = (
        usual.iloc[0].to_dict(),
        detector.anomaly_score(usual),
    )  # scored one by one first: that makes functions
    alone = detector.to_additive().score_one(row)
    again = pickle.loads(pickle.dumps(detector))
    assert (
        again.anomaly_score(usual).tolist() == scores.tolist()
        and again.to_additive().score_one(row) == alone
    )
