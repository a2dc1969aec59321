"""What the scorer promises of its tables and intervals, and its measures at their edges."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from credit_risk.additive import AdditiveModel
from credit_risk.evaluation import (
    calibration_tests,
    class_table,
    fairness_table,
    psi,
    scorer_metrics,
)
from credit_risk.frames import separates_perfectly
from credit_risk.intervals import auc_delong, jeffreys
from credit_risk.scorer import CreditScorer, venn_abers


@pytest.fixture(scope="module")
def loans():
    "Rows, and outcomes that depend on the income and the purpose."
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "income": rng.lognormal(7.5, 0.4, 600).round(),
            "age": rng.integers(20, 70, 600),
            "purpose": rng.choice(["car", "home", "work"], 600),
        }
    )
    log_odds = 1.5 - X.income / 1_000 + (X.purpose == "work")
    return X, (rng.random(600) < 1 / (1 + np.exp(-log_odds))).astype(int)


@pytest.fixture(scope="module")
def odd(loans):
    "Usual rows, rows with unknown values and rows far out."
    X, _ = loans
    unknown = X.head(50).assign(age=np.nan, purpose="never seen")
    return pd.concat([X, unknown, X.head(50).assign(income=1e9)], ignore_index=True)


@pytest.fixture(scope="module")
def scorer(loans):
    return fit(*loans)


def fit(X, y, **settings):
    return CreditScorer(pairs=4, ratios=2, **settings).fit(X, y)


def test_a_row_has_the_same_score_alone_in_a_batch_and_from_json(scorer, odd):
    scores = scorer.decision_function(odd)
    alone = [scorer.decision_function(odd.iloc[[row]])[0] for row in (0, 620, 680)]
    assert alone == scores[[0, 620, 680]].tolist()
    model = AdditiveModel.from_dict(scorer.to_additive().to_dict())
    from_json = [model.total(model.term_values(row)) for row in odd.to_dict("records")]
    assert from_json == scores.tolist()


def test_the_same_data_and_seed_give_the_same_tables(scorer, loans):
    assert fit(*loans).to_additive().to_dict() == scorer.to_additive().to_dict()


def test_contributions_and_intercept_add_up_to_the_log_odds(scorer, odd):
    total = scorer.explain(odd).sum(axis=1) + scorer.to_additive().intercept
    assert total.to_numpy() == pytest.approx(scorer.decision_function(odd))


def test_an_interval_holds_its_probability(scorer, odd):
    low, high = scorer.predict_interval(odd)
    probability = scorer.predict_proba(odd)[:, 1]
    assert (0 <= low).all() and (high <= 1).all()
    assert (low <= probability).all() and (probability <= high).all()


def test_no_rows_give_no_scores(scorer, loans):
    X, _ = loans
    assert scorer.decision_function(X.head(0)).shape == (0,)
    assert scorer.predict_proba(X.head(0)).shape == (0, 2)
    assert scorer.explain(X.head(0)).shape == (0, 3)


def test_a_sign_holds_for_every_row_and_every_step(loans):
    X, y = loans
    signed = fit(X, y, signs={"income": -1})
    incomes = np.unique(X.income)[::10]
    rows = X.head(40).loc[X.index[:40].repeat(len(incomes))]
    rows = rows.assign(income=np.tile(incomes, 40))
    log_odds = signed.decision_function(rows).reshape(40, -1)
    assert np.diff(log_odds, axis=1).max() < 1e-9


def test_an_absent_column_is_refused_when_scoring(scorer, loans):
    X, _ = loans
    with pytest.raises(ValueError, match="not there: income"):
        scorer.predict_proba(X.drop(columns="income"))


def test_a_column_that_knows_the_outcome_is_named(loans):
    X, y = loans
    with pytest.warns(UserWarning, match="leave it out: days_late"):
        fit(X.assign(days_late=90.0 * y), y)


def test_a_column_with_few_known_values_is_not_said_to_know_the_outcome(loans):
    _, y = loans
    column = pd.Series(90.0 * y).where(np.arange(len(y)) < 19)
    assert not separates_perfectly(column, np.asarray(y))


def test_a_scorer_can_be_cloned(scorer):
    assert clone(scorer).get_params() == scorer.get_params()


def test_more_loans_make_a_narrower_interval():
    rng = np.random.default_rng(0)
    scores = rng.normal(-1, 1, 5_000)
    y = (rng.random(5_000) < 1 / (1 + np.exp(-scores))).astype(int)
    widths = []
    for n in (200, 5_000):
        curve = venn_abers(y[:n], scores[:n])
        widths.append(np.mean(np.subtract(curve["high"], curve["low"])))
    assert widths[1] < widths[0] / 2


def test_the_interval_of_no_case_begins_at_zero_and_that_of_all_ends_at_one():
    assert jeffreys(0, 9)[0] == 0
    assert jeffreys(9, 9)[1] == 1


def test_the_auc_counts_ties_as_half():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 5, 300)
    y = rng.random(300) < 0.3
    assert auc_delong(y, scores)[0] == pytest.approx(roc_auc_score(y, scores))
    assert auc_delong([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])[0] == 1


def test_one_class_alone_has_no_auc_and_no_calibration_slope():
    assert scorer_metrics([0, 0, 0], [0.1, 0.1, 0.2])["auc"] is None
    assert np.isnan(calibration_tests([0, 0, 0], [0.1, 0.2, 0.3])["slope"])


def test_missing_values_are_a_bin_of_the_stability_index():
    assert psi(["a", None], ["a", "b"])[0] > 0
    half_missing = pd.Series([1.0, np.nan] * 50)
    assert psi(half_missing, half_missing)[0] < 1e-12


def test_a_group_without_payers_has_no_rate_of_refused_payers():
    table = fairness_table(["F", "H", "H"], [0, 1, 1], [0.1, 0.9, 0.8], [True, False, True])
    assert table.payers_not_accepted.isna().tolist() == [False, True]


def test_no_loans_have_no_class():
    assert class_table([], [], []).empty
