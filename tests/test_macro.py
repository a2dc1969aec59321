"""The economy beside the score: the one-factor model, the satellites, the open sources, and a scenario from the command line to an answer."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from service import ROOT, Service, environment, running

from credit_risk import macro
from credit_risk.artifacts import ArtifactError, current_version, read_version
from credit_risk.contract import EXAMPLE
from credit_risk.point_in_time import basel_capital, conditional_probability, systematic_factor

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
    assert 100 * 12.5 * basel_capital(p, 0.45, kind) == pytest.approx(ANNEX_5[kind, p], abs=0.01)


@pytest.mark.parametrize("p", [0, 1e-12, 0.01, 0.5, 1 - 1e-12, 1])
def test_without_correlation_the_economy_has_no_effect(p):
    assert all(conditional_probability(p, 0, z) == p for z in (-5, 0, 5))


def test_certain_outcomes_stay_certain_and_the_middle_is_known():
    for rho in (0.01, 0.3, 0.99):
        assert conditional_probability(0, rho, -4) == 0 and conditional_probability(1, rho, 4) == 1
        assert (
            conditional_probability(1e-9, rho, 0) < 1e-6
            and conditional_probability(1 - 1e-9, rho, 0) > 1 - 1e-6
        )
    assert conditional_probability(0.5, 0.2, 0) == pytest.approx(
        0.5
    )  # the one probability that the median economy leaves alone
    assert conditional_probability(0.02, 0.2, 0) < 0.02  # bad years weigh more than good ones
    worse = [conditional_probability(0.02, 0.2, z) for z in (3, 1, 0, -1, -3)]
    assert worse == sorted(worse)


@pytest.mark.parametrize("p,rho", [(0.01, 0.03), (0.2, 0.12), (0.6, 0.4)])
def test_the_mean_over_all_economies_is_the_probability_through_the_cycle(p, rho):
    z = np.linspace(-9, 9, 20_001)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    assert (macro.vasicek(p, rho, z) * density).sum() * (z[1] - z[0]) == pytest.approx(p, abs=1e-7)
    assert macro.vasicek(p, rho, -1.3) == pytest.approx(
        conditional_probability(p, rho, -1.3), abs=1e-12
    )
    assert systematic_factor(conditional_probability(p, rho, -1.3), p, rho) == pytest.approx(-1.3)


@pytest.mark.parametrize("p,rho", [(-0.1, 0.1), (1.1, 0.1), (0.1, 1), (0.1, -0.1)])
def test_values_that_mean_nothing_are_refused(p, rho):
    with pytest.raises(ValueError, match="must be"):
        conditional_probability(p, rho, 0)


# ---- satellites


@pytest.fixture(scope="module")
def world():
    "A rate that unemployment drives by a known amount, and nothing else."
    rng, quarters = np.random.default_rng(1), pd.period_range("1970Q1", periods=180, freq="Q")
    change = pd.Series(0.4 * rng.standard_normal(180), quarters)
    y = pd.Series(-3 + (0.3 * change + 0.02 * rng.standard_normal(180)).cumsum(), quarters)
    return y, pd.DataFrame(
        {"unemployment": change, "growth": rng.standard_normal(180)}, index=quarters
    )


def test_a_known_driver_is_recovered_and_followed(world):
    fitted = macro.fit_satellite(*world, macro.Specification(("unemployment",), lags=1, momentum=0))
    assert fitted.fit.params["unemployment, lag 0"] == pytest.approx(0.3, abs=0.02)
    path = pd.DataFrame(
        {"unemployment": [1.0, 1.0, 0.0]}, index=pd.period_range("2015Q1", periods=3, freq="Q")
    )
    end = macro.log_odds(fitted.project(path).iloc[-1])
    assert end - world[0].iloc[-1] == pytest.approx(0.6, abs=0.06)
    bands = fitted.intervals(path, draws=100)
    assert (bands.low < bands.middle).all() and (bands.middle < bands.high).all()


def test_a_forecast_knows_nothing_later_than_its_origin(world):
    y, X = world
    spec, until = macro.Specification(("unemployment",)), "2005Q4"
    before = macro.rolling_origin(y, X, spec, 4, "2000Q1", until)
    spoilt, spoilt_X = y.copy(), X.copy()
    spoilt.loc["2005Q1":] += 5
    spoilt_X.loc["2005Q1":] = 9
    after = macro.rolling_origin(spoilt, spoilt_X, spec, 4, "2000Q1", until)
    assert np.array_equal(before.forecast, after.forecast)  # the origin of 2005Q4 is 2004Q4
    assert not np.array_equal(before.actual, after.actual)


def test_the_choice_at_an_origin_uses_past_errors_only(world):
    runs = {
        s.name: macro.rolling_origin(*world, s, 2, "1985Q1", "2010Q4")
        for s in (
            macro.Specification(),
            macro.Specification(("growth",)),
            macro.Specification(("unemployment",)),
        )
    }
    chosen = macro.recursive_choice(runs, 2, "1995Q1")
    late = {n: f.copy() for n, f in runs.items()}
    for f in late.values():
        f.loc["2004Q1":, "forecast"] = 50.0
    again = macro.recursive_choice(late, 2, "1995Q1")
    assert chosen.chosen.loc[:"2005Q1"].equals(again.chosen.loc[:"2005Q1"])


def test_independent_walks_look_related_in_levels_only():
    levels, changes = macro.spurious_share(100, 150)
    assert levels > 0.5 and changes < 0.15


def test_correlation_is_found_where_it_is_and_not_where_it_is_not():
    rng = np.random.default_rng(3)
    z, cohort, p = rng.standard_normal(60), np.repeat(np.arange(60), 300), rng.beta(1.5, 15, 18_000)
    there = macro.asset_correlation(
        p, (rng.random(18_000) < macro.vasicek(p, 0.05, z[cohort])).astype(int), cohort
    )
    nowhere = macro.asset_correlation(p, (rng.random(18_000) < p).astype(int), cohort)
    assert there["low"] < 0.05 < there["high"] and there["p_none"] < 1e-6
    assert nowhere["low"] == 0 and nowhere["p_none"] > 0.01


def test_losses_rise_with_the_scenario_and_the_reverse_test_finds_the_limit():
    rng = np.random.default_rng(0)
    book = pd.DataFrame(
        dict(
            p=rng.beta(1.5, 20, 500),
            montant=9_000.0,
            taux_annuel=5.0,
            duree_mois=48,
            age=rng.integers(1, 40, 500),
        )
    )
    timing = macro.default_timing(rng.beta(1.5, 2.5, 800))
    loans, table = macro.credit_loss(
        book, timing, 0.05, {"base": 0.5, "adverse": -1.0, "severe": -2.5}
    )
    assert (
        table.loss.is_monotonic_increasing
        and set(loans.stage) <= {1, 2}
        and (loans.owed <= 9_000).all()
    )
    loss = lambda u: macro.credit_loss(book, timing, 0.05, {"x": 5 - u}, {"x": 1.0})[1].loss["x"]
    limit = loss(7.5)
    assert macro.reverse_stress(loss, limit, 5) == pytest.approx(7.5, abs=0.05)
    assert macro.reverse_stress(loss, 1e12, 5) is None


def test_without_the_published_file_the_scenario_says_that_it_is_stylised(tmp_path):
    paths = macro.scenarios(4.1, tmp_path)
    assert paths["severe"]["source"].startswith("stylised") and max(
        paths["severe"]["unemployment"]
    ) == pytest.approx(10)
    assert all(len(s["unemployment"]) == macro.HORIZON for s in paths.values())


# ---- sources


def test_the_offline_series_need_no_file_and_no_network(tmp_path):
    frame = macro.offline(tmp_path)
    assert list(frame) == macro.COLUMNS and {
        "unemployment",
        "real_gdp",
        "inflation",
        "policy_rate",
        "credit_spread",
    } <= set(frame.series)
    assert frame.value.notna().all() and frame.vintage.notna().all()


class Alfred:
    "What fredapi gives: a first release and its revision."

    calls = 0

    def get_series(self, code):
        Alfred.calls += 1
        return pd.Series(
            [5.0, 5.4, np.nan], pd.to_datetime(["2008-01-01", "2008-02-01", "2008-03-01"])
        )

    def get_series_as_of_date(self, code, day):
        rows = pd.DataFrame(
            {
                "date": pd.to_datetime(["2008-01-01", "2008-01-01", "2008-02-01"]),
                "realtime_start": pd.to_datetime(["2008-02-01", "2008-03-07", "2008-03-07"]),
                "value": [4.9, 4.8, 5.1],
            }
        )
        return rows[rows.realtime_start <= day]


def test_a_vintage_is_what_was_known_on_the_day():
    early = macro.fetch("unemployment", as_of="2008-02-15", client=Alfred())
    late = macro.fetch("unemployment", as_of="2008-03-15", client=Alfred())
    assert list(early.value) == [4.9] and list(late.value) == [4.8, 5.1]
    assert set(early.vintage) == {pd.Timestamp("2008-02-15")}


def test_what_was_read_today_is_not_asked_again(tmp_path):
    Alfred.calls = 0
    first, second = (macro.fetch("unemployment", cache=tmp_path, client=Alfred()) for _ in range(2))
    assert (
        Alfred.calls == 1
        and first.value.tolist() == second.value.tolist()
        and list(second) == macro.COLUMNS
    )


SDMX = """<?xml version="1.0" encoding="UTF-8"?>
<message:GenericData xmlns:message="http://www.sdmx.org/resources/sdmxml/schemas/v2_1/message" xmlns:generic="http://www.sdmx.org/resources/sdmxml/schemas/v2_1/data/generic" xmlns:common="http://www.sdmx.org/resources/sdmxml/schemas/v2_1/common">
<message:Header><message:ID>x</message:ID><message:Test>false</message:Test><message:Prepared>2026-11-01T10:00:00</message:Prepared><message:Sender id="ECB"/>
<message:Structure structureID="ECB_FM" dimensionAtObservation="TIME_PERIOD"><common:Structure><URN>urn:sdmx:org.sdmx.infomodel.datastructure.DataStructure=ECB:ECB_FMD2(1.0)</URN></common:Structure></message:Structure></message:Header>
<message:DataSet action="Replace" structureRef="ECB_FM"><generic:Series><generic:SeriesKey><generic:Value id="FREQ" value="M"/><generic:Value id="REF_AREA" value="U2"/></generic:SeriesKey>
<generic:Obs><generic:ObsDimension value="2023-01"/><generic:ObsValue value="2.0"/></generic:Obs><generic:Obs><generic:ObsDimension value="2023-02"/><generic:ObsValue value="2.5"/></generic:Obs></generic:Series></message:DataSet></message:GenericData>"""


def test_an_answer_of_the_ecb_takes_the_common_shape(tmp_path):
    import sdmx

    (tmp_path / "answer.xml").write_text(SDMX)

    class Ecb:
        def get(self, kind, flow, key):
            assert (kind, flow, key) == ("data", "FM", "D.U2.EUR.4F.KR.DFR.LEV")
            return sdmx.read_sdmx(tmp_path / "answer.xml")

    rows = macro.fetch("policy_rate", "ecb", client=Ecb())
    assert (
        list(rows.value) == [2.0, 2.5]
        and list(rows.date.dt.strftime("%Y-%m")) == ["2023-01", "2023-02"]
        and list(rows) == macro.COLUMNS
    )


class NoNetwork:
    def get_series(self, code):
        raise ConnectionRefusedError("no route")

    def get(self, *a, **k):
        raise ConnectionResetError("no route")


def test_an_unreachable_source_is_said_and_the_offline_series_of_the_same_country_stands_in(
    tmp_path,
):
    rows, said = macro.fetch_or_offline("unemployment", client=NoNetwork(), data_dir=tmp_path)
    assert len(rows) > 100 and "cannot be reached" in said and "offline values" in said
    with pytest.raises(macro.SourceUnreachable, match="US series"):
        macro.fetch_or_offline("unemployment", "insee", client=NoNetwork())


def test_a_missing_key_says_where_it_goes(monkeypatch):
    monkeypatch.delenv("FRED_API_KEY", raising=False)
    with pytest.raises(macro.SourceUnreachable, match="FRED_API_KEY"):
        macro.fetch("unemployment")


# ---- from the command line to an answer


@pytest.fixture(scope="module")
def with_scenarios(trained, tmp_path_factory) -> Path:
    "A copy of the small bank and its models, to which the command has added scenarios."
    directory = tmp_path_factory.mktemp("scenarios")
    shutil.copytree(trained, directory, dirs_exist_ok=True)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from credit_risk.cli import main; main()",
            "add-scenarios",
            "--database-url",
            f"sqlite:///{directory}/bank.db",
            "--artifacts",
            str(directory / "artifacts"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(directory) | {"MPLBACKEND": "agg"},
    )
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture(scope="module")
def served(with_scenarios):
    with running(with_scenarios) as service:
        yield service


def test_the_command_makes_a_new_version_of_the_same_models(trained, with_scenarios):
    old, new = (
        read_version(d / "artifacts", current_version(d / "artifacts"))
        for d in (trained, with_scenarios)
    )
    assert (
        new["scorer"] == old["scorer"] and new["anomaly"] == old["anomaly"] and "macro" not in old
    )
    assert {"base", "adverse", "severe"} <= set(new["macro"]["scenarios"]) and (
        with_scenarios / "artifacts" / new["manifest"]["version"] / "runs" / "scenarios.html"
    ).exists()


def test_a_scenario_is_answered_beside_the_score_and_changes_nothing_of_it(served: Service):
    plain, severe = served.score(EXAMPLE), served.score(EXAMPLE | {"scenario": "severe"})
    assert plain.status == severe.status == 200 and "point_in_time" not in plain.json
    point = severe.json["point_in_time"]
    assert point["scenario"] == "severe" and point["probabilite_defaut"] == conditional_probability(
        plain.json["probabilite_defaut"], point["correlation"], point["facteur"]
    )
    assert {k: v for k, v in severe.json.items() if k not in ("decision_id", "point_in_time")} == {
        k: v for k, v in plain.json.items() if k != "decision_id"
    }


def test_without_a_scenario_the_bytes_are_those_of_the_version_without(
    service: Service, served: Service
):
    a, b = (s.score(EXAMPLE) for s in (service, served))
    blank = lambda answer: answer.body.replace(answer.json["decision_id"].encode(), b"").replace(
        answer.json["modele"]["version"].encode(), b""
    )
    assert blank(a) == blank(b)


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
    assert answer.status == 422 and [
        (e["pointer"], fix in e["detail"]) for e in answer.json["errors"]
    ] == [("/scenario", True)]


def test_a_version_without_scenarios_says_how_to_get_them(service: Service):
    answer = service.score(EXAMPLE | {"scenario": "severe"})
    assert answer.status == 422 and "add-scenarios" in answer.json["errors"][0]["detail"]
    assert service.score(EXAMPLE | {"scenario": None}).status == 200


def test_a_client_of_the_bank_has_a_scenario_too(served: Service):
    answer = served.score({"client_id": 1, "demande": EXAMPLE["demande"], "scenario": "adverse"})
    assert answer.status == 200 and answer.json["point_in_time"]["scenario"] == "adverse"


def test_the_readiness_covers_the_scenarios_and_a_changed_one_is_refused(
    with_scenarios, served: Service, tmp_path
):
    assert served.request("GET", "/readyz").status == 200
    artifacts = shutil.copytree(with_scenarios / "artifacts", tmp_path / "artifacts")
    version = current_version(artifacts)
    rows = [
        row for row in read_version(artifacts, version)["manifest"]["golden"] if "scenario" in row
    ]
    assert {row["scenario"] for row in rows} >= {"base", "adverse", "severe"}
    path = artifacts / version / "macro.json"
    path.write_text(
        path.read_text("utf-8").replace('"correlation":0.', '"correlation":0.1', 1), "utf-8"
    )
    with pytest.raises(ArtifactError, match="macro.json does not match"):
        read_version(artifacts, version)
    path.unlink()
    with pytest.raises(ArtifactError, match="macro.json cannot be read"):
        read_version(artifacts, version)


# ---- the report


def test_the_numbers_of_the_report_are_those_of_its_run():
    numbers = json.loads((ROOT / "nbs" / "data" / "macro_report.json").read_text("utf-8"))
    notebook = json.loads((ROOT / "nbs" / "runs" / "macro_report.ipynb").read_text("utf-8"))
    code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    assert all(c["execution_count"] for c in code if "".join(c["source"]).strip()) or not any(
        c["execution_count"] for c in code
    )  # nbdev_clean may take the counts
    printed = "".join(
        "".join(o.get("text", "")) for o in code[-1]["outputs"] if o["output_type"] == "stream"
    )
    assert json.loads(printed) == numbers
    shown = "".join(
        "".join(o["data"].get("text/markdown", ""))
        for c in code
        for o in c["outputs"]
        if "data" in o
    )
    assert (
        f"{numbers['level_ratio']:.1f} times" in shown
        and f"{numbers['bank_reverse']:.1f} % unemployment" in shown
    )
