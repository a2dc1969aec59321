"""Statistics and figures: what a reader of a report may rely on."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from credit_risk import eda
from credit_risk.bank import create_bank
from credit_risk.database import connect
from credit_risk.evaluation import (
    psi,
    psi_by_chance,
    psi_of_shares,
    scorer_metrics,
    smoothed_shares,
)
from credit_risk.fields import BANK_ONLY, FIELDS
from credit_risk.intervals import auc_delong, bootstrap_interval, paired_auc, paired_brier
from credit_risk.monitoring import drift_table
from credit_risk.profiles import profile


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    "A small simulated portfolio."
    address = f"sqlite:///{tmp_path_factory.mktemp('eda')}/bank.db"
    create_bank(address, n_clients=400, seed=3, progress=False)
    engine = connect(address)
    yield eda.read_book(engine)
    engine.dispose()


@pytest.mark.parametrize("level, ends", [(0.95, (0.025, 0.975)), (0.99, (0.005, 0.995))])
def test_the_bootstrap_interval_has_the_quantiles_of_the_finite_draws(rng, level, ends):
    draws = rng.normal(size=401)
    broken = np.r_[draws, np.nan, np.inf]
    assert bootstrap_interval(broken, level) == (draws[0], *np.quantile(draws[1:], ends))


def test_an_interval_holds_its_estimate_between_its_ends(rng):
    p, other = rng.random((2, 500))
    y = rng.random(500) < p
    intervals = [auc_delong(y, p), paired_auc(y, p, other), paired_brier(y, p, other)]
    for estimate, low, high in intervals:
        assert low < estimate < high


@pytest.mark.parametrize("outcome", [0, 1])
def test_what_one_outcome_cannot_say_is_none(outcome):
    metrics = scorer_metrics(np.full(50, outcome), np.linspace(0.01, 0.5, 50))
    unknown = {name for name, value in metrics.items() if value is None}
    assert unknown == {"auc", "auc_low", "auc_high", "gini", "gini_low", "gini_high", "ks"}


def test_rows_and_counts_give_the_same_stability_index(rng):
    before, after = rng.normal(size=1000), rng.normal(0.3, 1, 400)
    profiles = profile(pd.DataFrame({"x": before}))
    later = profile(pd.DataFrame({"x": after}), profiles)
    shares = [smoothed_shares(part["x"]["counts"]) for part in (profiles, later)]
    assert psi(before, after) == (psi_of_shares(*shares), psi_by_chance(10, 1000, 400))


def test_drift_is_the_stability_index_less_what_chance_gives(rng):
    before, after = rng.normal(size=1000), rng.normal(0.3, 1, 400)
    profiles = profile(pd.DataFrame({"x": before}))
    moved = drift_table(profiles, profile(pd.DataFrame({"x": after}), profiles)).loc["x"]
    index = psi(before, after)
    assert moved.psi == pytest.approx(index.psi - index.expected, abs=1e-12)
    assert moved.low < moved.psi < moved.high


def words_of(figure) -> set[str]:
    "Every text of a figure, its lines joined."
    return {text.get_text().replace("\n", " ") for text in figure.findobj(Text)}


CODES = set(FIELDS) | {field.name for field in BANK_ONLY}
FIGURES = [eda.distributions, eda.default_by, eda.missing, eda.correlations]


@pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: draw.__name__)
def test_a_figure_shows_the_label_of_a_field_and_never_its_name(book, draw):
    words = words_of(draw(book))
    assert not words & CODES
    assert "Net monthly income" in words


def test_a_figure_shows_codes_in_words(book):
    words = words_of(eda.default_by(book, ["statut_emploi"]))
    assert "permanent contract" in words
    assert not words & set(FIELDS["statut_emploi"].categories)


def test_a_figure_leaves_the_style_of_the_session_as_it_was(book):
    before = dict(plt.rcParams)
    eda.through_time(book, "Y")
    assert dict(plt.rcParams) == before
    assert plt.get_fignums() == []
