"""One decision: a row alone, a row among columns and a row of a file give the same bits."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from dossiers import random_bodies

from credit_risk.contract import BadRequest, parse_request
from credit_risk.features import fact_columns, feature_columns, features
from credit_risk.scoring import assess, check_golden, decide
from credit_risk.version import Version, load_version

TODAY = date(2026, 11, 1)


@pytest.fixture(scope="module")
def version(trained) -> Version:
    "A version that was fitted on simulated loans."
    return load_version(trained / "artifacts")


@pytest.fixture(scope="module")
def dossiers() -> list[dict]:
    "Random applications that the contract accepts: facts missing, extreme values."
    accepted = []
    for body in random_bodies(3_000, wrong=False):
        try:
            accepted.append(parse_request(body, TODAY)[1])
        except BadRequest:
            continue  # facts that contradict each other
    assert len(accepted) > 2_000
    return accepted


def numbers_of(found, row=None) -> dict:
    "Every number of an assessment: of one application, or of a row of columns."
    pick = (lambda value: value) if row is None else (lambda column: column[row])
    numbers = {
        "log_odds": found.risk.log_odds,
        "probability": found.risk.probability,
        "low": found.risk.interval.low,
        "high": found.risk.interval.high,
        "points": found.points,
        "rating": found.rating,
        "accept_below": found.cutoffs.accept_below,
        "refuse_above": found.cutoffs.refuse_above,
        "anomaly_score": found.atypicality.score,
        "percentile": found.atypicality.percentile,
        "is_atypical": found.atypicality.is_atypical,
        "recommendation": found.recommendation,
    }
    picked = {name: pick(value) for name, value in numbers.items()}
    contributions = {name: pick(v) for name, v in found.risk.contributions.items()}
    return picked | contributions


def test_every_number_of_an_answer_is_the_same_alone_and_in_a_column(version, dossiers):
    table = pd.DataFrame(feature_columns(fact_columns(dossiers)))
    columns = assess(version, table)
    for row, dossier in enumerate(dossiers):
        alone = numbers_of(assess(version, features(dossier)))
        assert alone == numbers_of(columns, row)


def test_a_rows_answer_does_not_depend_on_the_rows_beside_it(version, dossiers):
    table = pd.DataFrame(feature_columns(fact_columns(dossiers)))
    order = np.random.default_rng(0).permutation(len(table))[:500]
    together, apart = assess(version, table), assess(version, table.iloc[order])
    for place, row in enumerate(order.tolist()):
        assert numbers_of(apart, place) == numbers_of(together, row)


def test_the_contributions_of_a_decision_add_up_to_its_log_odds(version, dossiers):
    for dossier in dossiers[:500]:
        decision = decide(version, dossier)
        total = decision.base + sum(reason["contribution"] for reason in decision.reasons)
        assert total == pytest.approx(decision.assessment.risk.log_odds, abs=1e-9)


def test_the_interval_of_a_decision_holds_its_probability(version, dossiers):
    for dossier in dossiers[:500]:
        risk = decide(version, dossier).assessment.risk
        assert 0 <= risk.interval.low <= risk.probability <= risk.interval.high <= 1


def test_a_version_gives_its_golden_rows_again_and_a_changed_one_is_named(version):
    assert check_golden(version) == []
    changed = version.scorer.to_dict()
    changed["model"]["intercept"] += 1e-9
    content = {"scorer": changed, "anomaly": version.detector.to_dict()}
    problems = check_golden(Version.from_content("changed", content, version.golden))
    assert len(problems) == len(version.golden)
    assert "golden row 0 of version changed" in problems[0]


@pytest.mark.parametrize("part", ["scorer", "anomaly"])
def test_a_part_with_a_missing_or_an_unknown_key_is_refused_by_name(version, part):
    content = {"scorer": version.scorer.to_dict(), "anomaly": version.detector.to_dict()}
    for key in content[part]:
        less = {name: value for name, value in content[part].items() if name != key}
        with pytest.raises(ValueError, match=key):
            Version.from_content("less", content | {part: less})
    with pytest.raises(ValueError, match="weather"):
        Version.from_content("more", content | {part: content[part] | {"weather": 1}})
