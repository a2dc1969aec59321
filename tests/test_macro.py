"""The economy beside the score: the one-factor model, the satellites, the open sources, the report,
and a scenario from the command line to an answer."""

import ast
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from service import ROOT, Service, environment, running

from credit_risk.artifacts import ArtifactError, current_version, read_version
from credit_risk.contract import EXAMPLE
from credit_risk.credit_loss import credit_loss, default_timing, reverse_stress
from credit_risk.cycle import asset_correlation, vasicek
from credit_risk.point_in_time import (
    Scenario,
    Scenarios,
    basel_capital,
    conditional_probability,
    systematic_factor,
    under_scenario,
)
from credit_risk.satellite import (
    Specification,
    fit_satellite,
    log_odds,
    recursive_choice,
    rolling_origin,
    spurious_share,
)
from credit_risk.scenarios import HORIZON, scenario_part, scenarios
from credit_risk.series import COLUMNS, SourceUnreachable, fetch, fetch_or_offline, offline

# ---- the one-factor model

# Basel Committee, June 2006, annex 5: illustrative risk weights, LGD 45 %, maturity 2.5 years, in %
ANNEX_5 = {
    ("corporate", 0.0003): 14.44,
    ("corporate", 0.005): 69.61,
    ("corporate", 0.01): 92.32,
    ("corporate", 0.02): 114.86,
    ("mortgage", 0.0003): 4.15,
    ("mortgage", 0.01): 56.40,
    ("retail", 0.0003): 4.45,
    ("retail", 0.01): 45.77,
    ("retail", 0.02): 57.99,
}


@pytest.mark.parametrize("kind,p", ANNEX_5)
def test_the_one_factor_model_gives_the_published_risk_weights(kind, p):
    risk_weight = 100 * 12.5 * basel_capital(p, 0.45, kind)
    assert risk_weight == pytest.approx(ANNEX_5[kind, p], abs=0.01)


@pytest.mark.parametrize("z", [-5, 0, 5])
@pytest.mark.parametrize("p", [0, 1e-12, 0.01, 0.5, 1 - 1e-12, 1])
def test_without_correlation_the_economy_has_no_effect(p, z):
    assert conditional_probability(p, 0, z) == p


@pytest.mark.parametrize("rho", [0.01, 0.3, 0.99])
def test_certain_outcomes_stay_certain(rho):
    assert conditional_probability(0, rho, -4) == 0
    assert conditional_probability(1, rho, 4) == 1
    assert conditional_probability(1e-9, rho, 0) < 1e-6
    assert conditional_probability(1 - 1e-9, rho, 0) > 1 - 1e-6


def test_the_median_economy_is_better_than_the_mean_because_bad_years_weigh_more():
    assert conditional_probability(0.02, 0.2, 0) < 0.02
    assert conditional_probability(0.5, 0.2, 0) == pytest.approx(
        0.5
    )  # the one that it leaves alone


def test_a_worse_economy_gives_a_higher_probability():
    worse_and_worse = (3, 1, 0, -1, -3)
    probabilities = [conditional_probability(0.02, 0.2, z) for z in worse_and_worse]
    assert probabilities == sorted(probabilities)


@pytest.mark.parametrize("p,rho", [(0.01, 0.03), (0.2, 0.12), (0.6, 0.4)])
def test_the_mean_over_all_economies_is_the_probability_through_the_cycle(p, rho):
    z = np.linspace(-9, 9, 20_001)
    step = z[1] - z[0]
    weights = norm.pdf(z) * step
    mean = vasicek(p, rho, z) @ weights
    assert mean == pytest.approx(p, abs=1e-7)


def test_the_model_for_arrays_and_the_one_for_the_service_agree():
    rng = np.random.default_rng(0)
    small = 10 ** -rng.uniform(1, 12, 100)
    p = np.r_[rng.random(300), small]
    rho = rng.uniform(1e-4, 0.9, 400)
    z = rng.normal(0, 3, 400)
    rows = zip(p, rho, z, strict=True)
    alone = [conditional_probability(*row) for row in rows]
    assert vasicek(p, rho, z) == pytest.approx(alone, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("p,rho", [(0.01, 0.03), (0.2, 0.12), (0.6, 0.4)])
def test_the_factor_of_a_rate_is_the_inverse_of_the_model(p, rho):
    rate = conditional_probability(p, rho, -1.3)
    z = systematic_factor(rate, p, rho)
    assert z == pytest.approx(-1.3)


@pytest.mark.parametrize("p,rho", [(-0.1, 0.1), (1.1, 0.1), (0.1, 1), (0.1, -0.1)])
def test_values_that_mean_nothing_are_refused(p, rho):
    with pytest.raises(ValueError, match="must be"):
        conditional_probability(p, rho, 0)


def imported_by(module):
    "The modules that a module of the library imports; those of the library begin with a dot."
    path = ROOT / "credit_risk" / f"{module}.py"
    tree = ast.parse(path.read_text("utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            package, _, _ = node.module.partition(".")
            imported.add("." * node.level + package)
    return imported


def test_the_model_of_the_service_needs_the_standard_library_only():
    imported = imported_by("point_in_time") - {".records"}
    assert imported <= sys.stdlib_module_names
    assert imported_by("records") <= sys.stdlib_module_names


# ---- the content of macro.json


@pytest.fixture(scope="module")
def example_scenarios():
    "Two scenarios on one line."
    severe = Scenario(
        factor=-2.5,
        label_fr="récession grave",
        label_en="severe recession",
        source="example",
        unemployment=(5.0, 10.0),
        five_percent=0.11,
    )
    mild = replace(severe, factor=0.5, label_fr="reprise", label_en="recovery")
    return Scenarios(
        correlation=0.03,
        correlation_low=0.02,
        correlation_high=0.05,
        quarters=40,
        quarters_ahead=6,
        line=(5.0, -1.0),
        scenarios={"mild": mild, "severe": severe},
    )


def test_scenarios_are_read_as_they_were_written(example_scenarios):
    text = json.dumps(example_scenarios.to_dict())
    content = json.loads(text)
    read = Scenarios.from_dict(content)
    assert read == example_scenarios
    assert read.to_dict() == content


def test_a_missing_key_of_the_scenarios_is_named(example_scenarios):
    for key in example_scenarios.to_dict():
        content = example_scenarios.to_dict()
        del content[key]
        with pytest.raises(ValueError, match=f"macro.json lacks {key}"):
            Scenarios.from_dict(content)


def test_a_missing_key_of_a_scenario_is_named(example_scenarios):
    for key in example_scenarios.to_dict()["scenarios"]["severe"]:
        content = example_scenarios.to_dict()
        del content["scenarios"]["severe"][key]
        with pytest.raises(ValueError, match=f"lacks {key}"):
            Scenarios.from_dict(content)


def test_an_unknown_key_is_named(example_scenarios):
    content = example_scenarios.to_dict()
    with pytest.raises(ValueError, match="does not know poids"):
        Scenarios.from_dict(content | {"poids": 1})
    content["scenarios"]["mild"]["pente"] = 1
    with pytest.raises(ValueError, match="does not know pente"):
        Scenarios.from_dict(content)


@pytest.mark.parametrize("correlation", [-0.1, 1, float("nan"), "0.1", None])
def test_a_correlation_that_means_nothing_is_refused(example_scenarios, correlation):
    content = example_scenarios.to_dict()
    content["correlation"] = correlation
    with pytest.raises(ValueError, match="correlation must be"):
        Scenarios.from_dict(content)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), "-2", None])
def test_a_factor_that_is_no_number_is_refused(example_scenarios, factor):
    content = example_scenarios.to_dict()
    content["scenarios"]["severe"]["facteur"] = factor
    with pytest.raises(ValueError, match="facteur must be"):
        Scenarios.from_dict(content)


def test_the_answer_under_a_scenario_names_what_it_rests_on(example_scenarios):
    assert under_scenario(0.05, example_scenarios, "severe") == {
        "scenario": "severe",
        "probabilite_defaut": conditional_probability(0.05, 0.03, -2.5),
        "facteur": -2.5,
        "correlation": 0.03,
        "libelle": "récession grave",
        "label": "severe recession",
        "source": "example",
    }


# ---- satellites


@pytest.fixture(scope="module")
def world():
    "A rate that unemployment drives by a known amount, and nothing else."
    rng = np.random.default_rng(1)
    quarters = pd.period_range("1970Q1", periods=180, freq="Q")
    change = 0.4 * rng.standard_normal(180)
    noise = 0.02 * rng.standard_normal(180)
    steps = 0.3 * change + noise
    drivers = {
        "unemployment": change,
        "growth": rng.standard_normal(180),
    }
    y = pd.Series(-3 + np.cumsum(steps), quarters)
    return y, pd.DataFrame(drivers, index=quarters)


@pytest.fixture(scope="module")
def satellite(world):
    "A model of that rate on unemployment alone."
    specification = Specification(("unemployment",), lags=1, momentum=0)
    return fit_satellite(*world, specification)


@pytest.fixture(scope="module")
def two_point_rise():
    "Unemployment that rises by two points within two quarters."
    quarters = pd.period_range("2015Q1", periods=3, freq="Q")
    return pd.DataFrame({"unemployment": [1.0, 1.0, 0.0]}, index=quarters)


def test_a_known_driver_is_recovered(satellite):
    coefficient = satellite.fit.params["unemployment, lag 0"]
    assert coefficient == pytest.approx(0.3, abs=0.02)


def test_a_path_is_followed_to_its_end(world, satellite, two_point_rise):
    y, _ = world
    rates = satellite.project(two_point_rise)
    rise = log_odds(rates.iloc[-1]) - y.iloc[-1]
    assert rise == pytest.approx(0.6, abs=0.06)


def test_the_interval_of_a_path_holds_its_middle(satellite, two_point_rise):
    bands = satellite.intervals(two_point_rise, draws=100)
    assert (bands.low < bands.middle).all()
    assert (bands.middle < bands.high).all()


def test_a_forecast_knows_nothing_later_than_its_origin(world):
    y, X = world
    specification = Specification(("unemployment",))
    before = rolling_origin(y, X, specification, 4, "2000Q1", "2005Q4")
    changed_y, changed_X = y.copy(), X.copy()
    changed_y.loc["2005Q1":] += 5  # the origin of the last forecast, 2005Q4, is 2004Q4
    changed_X.loc["2005Q1":] = 9
    after = rolling_origin(changed_y, changed_X, specification, 4, "2000Q1", "2005Q4")
    assert np.array_equal(before.forecast, after.forecast)
    assert not np.array_equal(before.actual, after.actual)


def test_the_choice_at_an_origin_uses_past_errors_only(world):
    runs = {}
    for driver in ((), ("growth",), ("unemployment",)):
        specification = Specification(driver)
        runs[specification.name] = rolling_origin(*world, specification, 2, "1985Q1", "2010Q4")
    changed = {name: forecasts.copy() for name, forecasts in runs.items()}
    for forecasts in changed.values():
        forecasts.loc["2004Q1":, "forecast"] = 50.0
    chosen = recursive_choice(runs, 2, "1995Q1").chosen
    again = recursive_choice(changed, 2, "1995Q1").chosen
    assert chosen.loc[:"2005Q1"].equals(again.loc[:"2005Q1"])


def test_independent_walks_look_related_in_levels_only():
    levels, changes = spurious_share(100, 150)
    assert levels > 0.5
    assert changes < 0.15


# ---- the cycle, the scenarios and the losses


@pytest.fixture(scope="module")
def cohorts():
    "Loans of 60 quarters, their probabilities, and the economy of each quarter."
    rng = np.random.default_rng(3)
    z = rng.standard_normal(60)
    return rng, z, np.repeat(np.arange(60), 300), rng.beta(1.5, 15, 18_000)


def test_correlation_is_found_where_it_is(cohorts):
    rng, z, cohort, p = cohorts
    conditional = vasicek(p, 0.05, z[cohort])
    default = rng.random(len(p)) < conditional
    found = asset_correlation(p, default.astype(int), cohort)
    assert found.low < 0.05 < found.high
    assert found.p_none < 1e-6


def test_correlation_is_not_found_where_it_is_not(cohorts):
    rng, _, cohort, p = cohorts
    default = rng.random(len(p)) < p
    found = asset_correlation(p, default.astype(int), cohort)
    assert found.low == 0
    assert found.p_none > 0.01


def test_without_the_published_file_the_scenario_says_that_it_is_stylised(tmp_path):
    severe = scenarios(4.1, tmp_path)["severe"]
    assert severe.source.startswith("stylised")
    assert max(severe.unemployment) == pytest.approx(10)


def test_every_scenario_has_the_same_number_of_quarters(tmp_path):
    for name, path in scenarios(4.1, tmp_path).items():
        assert len(path.unemployment) == HORIZON, name


@pytest.mark.parametrize(
    "cohort,known_from,says",
    [
        (pd.period_range("2000Q1", periods=8, freq="Q"), "2000Q1", "at least 12 are needed"),
        (pd.period_range("2000Q1", periods=16, freq="Q"), "2001Q1", "not known for 2000Q1"),
    ],
)
def test_loans_that_cannot_tell_an_economy_are_refused(tmp_path, cohort, known_from, says):
    quarters = pd.period_range(known_from, "2010Q4", freq="Q")
    unemployment = pd.Series(5.0, quarters)
    with pytest.raises(ValueError, match=says):
        scenario_part(None, None, cohort, unemployment, tmp_path)


@pytest.fixture(scope="module")
def book():
    rng = np.random.default_rng(0)
    loans = pd.DataFrame(
        {
            "p": rng.beta(1.5, 20, 500),
            "montant": 9_000.0,
            "taux_annuel": 5.0,
            "duree_mois": 48,
            "age": rng.integers(1, 40, 500),
        }
    )
    return loans, default_timing(rng.beta(1.5, 2.5, 800))


def test_losses_rise_with_the_scenario(book):
    economies = {"base": 0.5, "adverse": -1.0, "severe": -2.5}
    loans, by_scenario = credit_loss(*book, 0.05, economies)
    assert by_scenario.loss.is_monotonic_increasing
    assert set(loans.stage) <= {1, 2}
    assert (loans.owed <= 9_000).all()


@pytest.fixture(scope="module")
def loss_at(book):
    "The loss of the book as a function of unemployment."

    def loss(unemployment):
        "In euros."
        factor = {"x": 5 - unemployment}
        _, by_scenario = credit_loss(*book, 0.05, factor, weights={"x": 1.0})
        return by_scenario.loss["x"]

    return loss


def test_the_reverse_test_finds_the_limit(loss_at):
    limit = loss_at(7.5)
    assert reverse_stress(loss_at, limit, 5) == pytest.approx(7.5, abs=0.05)


# ---- sources


def test_the_offline_series_need_no_file_and_no_network(tmp_path):
    frame = offline(tmp_path)
    expected = {"unemployment", "real_gdp", "inflation", "policy_rate", "credit_spread"}
    assert list(frame) == COLUMNS
    assert expected <= set(frame.series)
    assert frame.value.notna().all()
    assert frame.vintage.notna().all()


class Alfred:
    "What fredapi gives: a first release and its revision."

    def __init__(self):
        self.calls = 0

    def get_series(self, code):
        self.calls += 1
        days = pd.to_datetime(["2008-01-01", "2008-02-01", "2008-03-01"])
        return pd.Series([5.0, 5.4, np.nan], days)

    def get_series_as_of_date(self, code, day):
        rows = pd.DataFrame(
            {
                "date": pd.to_datetime(["2008-01-01", "2008-01-01", "2008-02-01"]),
                "realtime_start": pd.to_datetime(["2008-02-01", "2008-03-07", "2008-03-07"]),
                "value": [4.9, 4.8, 5.1],
            }
        )
        return rows[rows.realtime_start <= day]


def test_the_reverse_test_finds_no_peak_where_no_loss_reaches_the_limit(loss_at):
    assert reverse_stress(loss_at, 1e12, 5) is None


@pytest.mark.parametrize("day,known", [("2008-02-15", [4.9]), ("2008-03-15", [4.8, 5.1])])
def test_a_vintage_is_what_was_known_on_the_day(day, known):
    rows = fetch("unemployment", as_of=day, client=Alfred())
    assert rows.value.tolist() == known
    assert set(rows.vintage) == {pd.Timestamp(day)}


def test_what_was_read_today_is_not_asked_again(tmp_path):
    client = Alfred()
    first = fetch("unemployment", cache=tmp_path, client=client)
    second = fetch("unemployment", cache=tmp_path, client=client)
    assert client.calls == 1
    assert first.value.tolist() == second.value.tolist()
    assert list(second) == COLUMNS


SDMX = """<?xml version="1.0" encoding="UTF-8"?>
<message:GenericData
 xmlns:message="http://www.sdmx.org/resources/sdmxml/schemas/v2_1/message"
 xmlns:generic="http://www.sdmx.org/resources/sdmxml/schemas/v2_1/data/generic"
 xmlns:common="http://www.sdmx.org/resources/sdmxml/schemas/v2_1/common">
<message:Header><message:ID>x</message:ID><message:Test>false</message:Test>
<message:Prepared>2026-11-01T10:00:00</message:Prepared><message:Sender id="ECB"/>
<message:Structure structureID="ECB_FM" dimensionAtObservation="TIME_PERIOD"><common:Structure>
<URN>urn:sdmx:org.sdmx.infomodel.datastructure.DataStructure=ECB:ECB_FMD2(1.0)</URN>
</common:Structure></message:Structure></message:Header>
<message:DataSet action="Replace" structureRef="ECB_FM"><generic:Series><generic:SeriesKey>
<generic:Value id="FREQ" value="M"/><generic:Value id="REF_AREA" value="U2"/></generic:SeriesKey>
<generic:Obs><generic:ObsDimension value="2023-01"/><generic:ObsValue value="2.0"/></generic:Obs>
<generic:Obs><generic:ObsDimension value="2023-02"/><generic:ObsValue value="2.5"/></generic:Obs>
</generic:Series></message:DataSet></message:GenericData>"""


def test_an_answer_of_the_ecb_takes_the_common_shape(tmp_path):
    import sdmx

    (tmp_path / "answer.xml").write_text(SDMX)

    class Ecb:
        def get(self, kind, flow, key):
            assert (kind, flow, key) == ("data", "FM", "D.U2.EUR.4F.KR.DFR.LEV")
            return sdmx.read_sdmx(tmp_path / "answer.xml")

    rows = fetch("policy_rate", "ecb", client=Ecb())
    assert list(rows.value) == [2.0, 2.5]
    assert list(rows.date.dt.strftime("%Y-%m")) == ["2023-01", "2023-02"]
    assert list(rows) == COLUMNS


class NoNetwork:
    def get_series(self, code):
        raise ConnectionRefusedError("no route")

    def get(self, *args, **options):
        raise ConnectionResetError("no route")


def test_the_offline_series_takes_over_with_a_notice(tmp_path):
    rows, notice = fetch_or_offline("unemployment", client=NoNetwork(), data_dir=tmp_path)
    assert len(rows) > 100
    assert "cannot be reached" in notice
    assert "offline values" in notice


def test_no_series_of_another_country_takes_over(tmp_path):
    with pytest.raises(SourceUnreachable, match="US series"):
        fetch_or_offline("unemployment", "insee", client=NoNetwork(), data_dir=tmp_path)


def test_a_missing_key_says_where_it_goes(monkeypatch):
    monkeypatch.delenv("FRED_API_KEY", raising=False)
    with pytest.raises(SourceUnreachable, match="FRED_API_KEY"):
        fetch("unemployment")


# ---- from the command line to an answer


@pytest.fixture(scope="module")
def with_scenarios(trained, tmp_path_factory) -> Path:
    "A copy of the small bank and its models, to which the command has added scenarios."
    directory = tmp_path_factory.mktemp("scenarios")
    shutil.copytree(trained, directory, dirs_exist_ok=True)
    command = [sys.executable, "-c", "from credit_risk.cli import main; main()", "add-scenarios"]
    command += ["--database-url", f"sqlite:///{directory}/bank.db"]
    command += ["--artifacts", str(directory / "artifacts")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(directory) | {"MPLBACKEND": "agg"},
    )
    assert done.returncode == 0, done.stderr
    return directory


def current(directory):
    "The promoted version of a directory."
    artifacts = directory / "artifacts"
    return read_version(artifacts, current_version(artifacts))


@pytest.fixture(scope="module")
def versions(trained, with_scenarios) -> tuple[dict, dict]:
    "The version before the command, and the one after it."
    return current(trained), current(with_scenarios)


@pytest.fixture(scope="module")
def served(with_scenarios):
    with running(with_scenarios) as service:
        yield service


def test_the_command_makes_a_new_version_of_the_same_models(versions):
    before, after = versions
    assert after["scorer"] == before["scorer"]
    assert after["anomaly"] == before["anomaly"]
    assert "macro" not in before


@pytest.fixture(scope="module")
def plain(served: Service):
    "The answer to the example without a scenario."
    return served.score(EXAMPLE)


@pytest.fixture(scope="module")
def severe(served: Service):
    "The answer to the example under the severe scenario."
    return served.score(EXAMPLE | {"scenario": "severe"})


def test_a_scenario_is_answered_beside_the_score(plain, severe):
    point = severe.json["point_in_time"]
    expected = conditional_probability(
        plain.json["probabilite_defaut"], point["correlation"], point["facteur"]
    )
    assert severe.status == 200
    assert point["scenario"] == "severe"
    assert point["probabilite_defaut"] == expected


def test_a_scenario_changes_nothing_of_the_score(plain, severe):
    rest = dict(severe.json)
    del rest["decision_id"], rest["point_in_time"]
    without = dict(plain.json)
    del without["decision_id"]
    assert plain.status == 200
    assert rest == without


def test_the_new_version_holds_the_scenarios(versions):
    _, after = versions
    held = Scenarios.from_dict(after["macro"])
    assert {"base", "adverse", "severe"} <= set(held.scenarios)


def test_the_new_version_holds_the_run_that_made_the_scenarios(versions, with_scenarios):
    _, after = versions
    name = after["manifest"]["version"]
    runs = with_scenarios / "artifacts" / name / "runs"
    assert (runs / "scenarios.html").exists()


def without_names(answer):
    "The bytes of an answer without the names of the decision and of the version."
    body = answer.body
    for name in (answer.json["decision_id"], answer.json["modele"]["version"]):
        body = body.replace(name.encode(), b"")
    return body


def test_without_a_scenario_the_bytes_are_those_of_the_version_without(service: Service, plain):
    answer = service.score(EXAMPLE)
    assert without_names(answer) == without_names(plain)


@pytest.mark.parametrize(
    "scenario,fix",
    [
        ("douce", "must be one of adverse, base"),
        ("", "must be one of adverse, base"),
        (7, "must be a text"),
        ("x" * 41, "must be a text"),
    ],
)
def test_a_scenario_that_is_not_held_is_refused_by_name(served: Service, scenario, fix):
    answer = served.score(EXAMPLE | {"scenario": scenario})
    (error,) = answer.json["errors"]
    assert answer.status == 422
    assert error["pointer"] == "/scenario"
    assert fix in error["detail"]


def test_a_version_without_scenarios_says_how_to_get_them(service: Service):
    answer = service.score(EXAMPLE | {"scenario": "severe"})
    assert answer.status == 422
    assert "add-scenarios" in answer.json["errors"][0]["detail"]


def test_a_version_without_scenarios_answers_a_request_without_one(service: Service):
    request = EXAMPLE | {"scenario": None}
    answer = service.score(request)
    assert answer.status == 200


def test_a_client_of_the_bank_has_a_scenario_too(served: Service):
    body = {"client_id": 1, "demande": EXAMPLE["demande"], "scenario": "adverse"}
    answer = served.score(body)
    assert answer.status == 200
    assert answer.json["point_in_time"]["scenario"] == "adverse"


def test_the_readiness_covers_the_scenarios(versions, served: Service):
    _, after = versions
    covered = {row["scenario"] for row in after["manifest"]["golden"] if "scenario" in row}
    assert covered >= {"base", "adverse", "severe"}
    assert served.request("GET", "/readyz").status == 200


@pytest.fixture
def copied_version(with_scenarios, tmp_path):
    "A version with scenarios, to be damaged."
    artifacts = shutil.copytree(with_scenarios / "artifacts", tmp_path / "artifacts")
    return artifacts, current_version(artifacts)


def test_a_changed_scenario_is_refused(copied_version):
    artifacts, version = copied_version
    path = artifacts / version / "macro.json"
    changed = path.read_text("utf-8").replace('"correlation":0.', '"correlation":0.1', 1)
    path.write_text(changed, "utf-8")
    with pytest.raises(ArtifactError, match="macro.json does not match"):
        read_version(artifacts, version)


def test_a_lost_scenario_file_is_refused(copied_version):
    artifacts, version = copied_version
    (artifacts / version / "macro.json").unlink()
    with pytest.raises(ArtifactError, match="macro.json cannot be read"):
        read_version(artifacts, version)


# ---- the report

SMALL = {"clients": 4_000, "seed": 1, "effort": 0.1, "first_refit": 2021, "network": False}
FIGURES = 7  # without the folder of public data


def run_report(folder: Path, **parameters):
    "Execute the report with papermill; the executed notebook."
    import papermill

    return papermill.execute_notebook(
        ROOT / "nbs" / "runs" / "macro_report.ipynb",
        folder / "report.ipynb",
        SMALL | parameters,
        progress_bar=False,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    "The report on a small bank, without public data and network: its numbers and its cells."
    folder = tmp_path_factory.mktemp("report")
    results = folder / "numbers.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MPLBACKEND", raising=False)  # figures are outputs of the cells
        patch.setenv("PYTHONPATH", str(ROOT))
        notebook = run_report(folder, data_dir=str(folder / "absent"), results=str(results))
    return json.loads(results.read_text("utf-8")), notebook.cells


def outputs_of(cells, kind: str) -> list[str]:
    "Every output of one kind, in the order of the page."
    found = []
    for cell in cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if kind in data:
                found.append(data[kind])
    return found


def test_every_figure_of_the_report_is_drawn(report):
    _, cells = report
    figures = outputs_of(cells, "image/png")
    assert len(figures) == FIGURES


def test_every_probability_and_share_of_the_report_lies_between_0_and_1(report):
    numbers, _ = report
    prefixes = ("auc_", "predicted_", "true_", "pit_", "ecl_", "rho", "p_", "book_", "worst_")
    shares = {name: v for name, v in numbers.items() if name.startswith(prefixes)}
    del shares["book_millions"]
    assert len(shares) > 30
    assert all(0 <= share <= 1 for share in shares.values())


def test_every_interval_of_the_report_holds_its_estimate(report):
    numbers, _ = report
    for name in ("auc_recession", "level_ratio", "shortfall_share", "rho"):
        stem = name.removesuffix("_share")
        assert numbers[f"{stem}_low"] <= numbers[name] <= numbers[f"{stem}_high"], name


def test_in_the_recession_of_the_report_the_level_breaks_and_the_ranking_does_not(report):
    numbers, _ = report
    assert numbers["level_ratio_low"] > 1.2
    assert numbers["auc_recession"] > 0.5
    assert numbers["auc_expansion"] > 0.6


def test_given_the_path_the_overlay_of_the_report_brings_the_level_nearer_to_the_truth(report):
    numbers, _ = report
    assert abs(np.log(numbers["level_overlay"])) < abs(np.log(numbers["level_without"]))
    assert numbers["overlay_path_2023"] < numbers["without_2023"]


def test_the_losses_of_the_report_rise_with_the_scenario(report):
    numbers, _ = report
    assert numbers["ecl_base"] < numbers["ecl_weighted_share"] < numbers["ecl_severe"]


def test_correlated_defaults_have_a_worse_year_than_independent_ones(report):
    numbers, _ = report
    assert numbers["mean_year"] < numbers["worst_independent"] < numbers["worst_basel"]


def test_levels_mislead_more_often_than_changes_in_the_report(report):
    assert report[0]["spurious_levels"] > 0.5


def test_the_summary_shows_the_numbers_that_the_report_writes(report):
    numbers, cells = report
    summary = next(text for text in outputs_of(cells, "text/markdown") if "head of credit" in text)
    for name, shown in {
        "level_ratio": "{:.1f} times",
        "auc_recession": "its AUC is {:.2f} ",
        "rho": "asset correlation {:.3f} ",
        "level_overlay": "to {:.2f} in the recession",
        "without_2023": "{:.0f} with neither",
        "overlay_path_2023": "{:.0f} with the overlay on the path",
    }.items():
        assert shown.format(numbers[name]) in summary, name


def test_the_report_says_which_parts_it_leaves_out(report):
    text = "\n".join(outputs_of(report[1], "text/markdown"))
    for absent in ("The panel of 13 US banks is not present", "delinquency series are not present"):
        assert absent in text
    assert "The open sources were not asked" in text


def test_the_report_shows_no_warning(report):
    _, cells = report
    for cell in cells:
        outputs = cell.get("outputs", [])
        assert not [output for output in outputs if output.output_type == "stream"]


@pytest.mark.parametrize(
    "wrong,says",
    [
        ({"clients": 500}, "too few loans"),
        ({"effort": 0}, "effort must be"),
        ({"first_refit": 2022}, "first_refit must be"),
    ],
)
def test_the_report_refuses_parameters_that_cannot_work(tmp_path, wrong, says):
    from papermill.exceptions import PapermillExecutionError

    with pytest.raises(PapermillExecutionError, match=says):
        run_report(tmp_path, **wrong)
