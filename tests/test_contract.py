"""The contract and the features: what a request may hold, and the inputs that models get."""

import math
import random
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from credit_risk.contract import (
    AGE_MAX,
    AGE_MIN,
    CROSS_FIELD_RULES,
    EXAMPLE,
    EXAMPLES,
    WORK_AGE,
    BadRequest,
    civil_day,
    civil_days,
    disagreeing,
    disagreements,
    dossier_from_json,
    dossier_to_json,
    parse_request,
    years_between,
)
from credit_risk.features import (
    ALL_FEATURES,
    CHECKS,
    DIRECTED_CODES,
    FEATURES,
    REASON_CODES,
    REASONS,
    WATCHED,
    described,
    fact_columns,
    feature_columns,
    feature_table,
    features,
    instalment,
)
from credit_risk.fields import FIELDS

ROOT = Path(__file__).resolve().parent.parent
TODAY = date(2026, 11, 1)
NEVER_IN_A_DOSSIER = {"sexe", "departement", "statut_pret"}
SIZES = (0.0, 1e-9, 0.01, 1.0, 2900.0, 2999.99, 3000.0, 1e6, 1e12)


# ---- random dossiers ----------------------------------------------------------------------------
def near(day, draw, days=1):
    "A day at most so many days from another."
    return day + timedelta(days=draw.randint(-days, days))


def birthday(born, years):
    "The day on which somebody reaches an age, 1 March where 29 February does not exist."
    try:
        return born.replace(year=born.year + years)
    except ValueError:
        return date(born.year + years, 3, 1)


def random_fact(field, draw):
    "A value that the contract allows, often at a limit, or None."
    if draw.random() < 0.15:
        return None
    if field.kind == "category":
        return draw.choice(field.categories)
    if field.kind == "date":
        return date(draw.randint(1900, 2040), draw.randint(1, 12), draw.randint(1, 28))
    size = draw.choice([field.low, field.high, draw.choice(SIZES), -draw.choice(SIZES)])
    value = min(max(size, field.low), field.high)
    return int(value) if field.kind == "integer" else float(value)


def random_dossier(draw):
    "A dossier of which no two facts need to be of one person; half of its days lie near a limit."
    dossier = {name: random_fact(field, draw) for name, field in FIELDS.items()}
    born = dossier["date_naissance"] or date(1984, 2, 29)
    if draw.random() < 0.5:
        asked = near(birthday(born, draw.choice([AGE_MIN, AGE_MAX, 40])), draw)
        dossier["date_demande"] = asked
        dossier["date_embauche"] = draw.choice([near(asked, draw), near(birthday(born, 14), draw)])
        dossier["date_ouverture"] = near(asked, draw)
    return dossier


@pytest.fixture(scope="module")
def dossiers():
    "Many random dossiers, two that know nothing, and one with the first and the last of all days."
    draw = random.Random(20)
    known_nothing = dict.fromkeys(FIELDS)
    extreme = known_nothing | {"date_naissance": date.min, "date_demande": date.max}
    return [random_dossier(draw) for _ in range(5_000)] + [known_nothing, known_nothing, extreme]


@pytest.fixture
def dossier():
    "The dossier of the good example."
    return parse_request(EXAMPLE, TODAY)[1]


# ---- the request --------------------------------------------------------------------------------
def refused(body, today=TODAY):
    "The pointers of a refusal; none where the body is accepted."
    try:
        parse_request(body, today)
    except BadRequest as problem:
        return {error["pointer"] for error in problem.errors}
    return set()


def example_with(section, **facts):
    "The good example with some facts of a section changed."
    return EXAMPLE | {section: EXAMPLE[section] | facts}


@pytest.mark.parametrize("body", [{}, [], None, "x", 3])
def test_a_body_that_is_no_object_with_facts_is_refused_as_a_whole(body):
    assert refused(body) == {""}


def test_a_section_that_is_no_object_is_named():
    assert refused({"client": 3}) == {"/client", "/demande"}


@pytest.mark.parametrize("value", ["2450", True, math.nan, math.inf, -1, [], {}])
def test_a_number_is_a_finite_number_within_its_limits(value):
    assert refused(example_with("client", revenu_mensuel=value)) == {"/client/revenu_mensuel"}


@pytest.mark.parametrize("value", [48.5, "48", True, 0, 421, math.nan])
def test_a_whole_number_is_a_whole_number_within_its_limits(value):
    assert refused(example_with("demande", duree_mois=value)) == {"/demande/duree_mois"}


@pytest.mark.parametrize("value", [0, "12/04/1988", "2020-W01-1", "1988-4-12", "1988-02-30", ""])
def test_a_date_is_a_calendar_day_written_year_month_day(value):
    assert refused(example_with("client", date_naissance=value)) == {"/client/date_naissance"}


def test_a_category_is_one_of_its_codes():
    assert refused(example_with("demande", objet="voyage")) == {"/demande/objet"}


def test_a_misspelt_field_is_refused():
    assert refused(example_with("client", salaire=1)) == {"/client/salaire"}


def test_a_pointer_escapes_the_characters_that_json_pointers_use():
    assert refused(example_with("client", **{"a/b~c": 1})) == {"/client/a~1b~0c"}


def test_a_client_of_the_bank_needs_only_the_loan():
    demande = EXAMPLE["demande"]
    assert parse_request({"client_id": 7, "demande": demande}, TODAY)[0] == 7


def test_a_client_of_the_bank_brings_no_facts_of_their_own():
    assert refused({"client_id": 7, **EXAMPLE}) == {"/client", "/compte"}


def test_every_problem_of_a_request_is_named_at_once():
    body = {"client_id": "7", "demande": {}}
    assert refused(body) == {"/client_id", "/demande/montant", "/demande/duree_mois"}


def test_a_contradiction_is_named_beside_a_field_that_is_wrong_by_itself():
    body = example_with("client", date_naissance="1726-03-01", revenu_mensuel="2450")
    assert refused(body) == {"/client/date_naissance", "/client/revenu_mensuel"}


def test_a_refusal_says_the_rule_of_the_field():
    with pytest.raises(BadRequest, match="montant must be a number between 100 and 1\u202f000"):
        parse_request(example_with("demande", montant=5), TODAY)


def test_an_application_without_a_date_is_of_today():
    body = example_with("demande", date_demande=None)
    assert parse_request(body, TODAY)[1]["date_demande"] == TODAY


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_valid_application_with_every_field(name):
    client_id, facts = parse_request(EXAMPLES[name].body, date(2024, 3, 15))
    assert client_id is None and set(facts) == set(FIELDS)


def test_a_dossier_comes_back_from_json_unchanged(dossiers):
    for facts in dossiers[-500:]:
        assert dossier_from_json(dossier_to_json(facts)) == facts


def test_a_dossier_never_holds_what_is_kept_for_audit():
    assert not NEVER_IN_A_DOSSIER & set(FIELDS)


# ---- facts that must agree ----------------------------------------------------------------------
CONTRADICTIONS = [
    (
        {"date_demande": date(2026, 11, 2)},
        {"date_demande": "date_demande must not be later than today, 2026-11-01"},
    ),
    (
        {"date_naissance": date(2006, 3, 16), "date_embauche": None},
        {"date_naissance": "date_naissance must make the client 18 to 100 years old on 2024-03-15"},
    ),
    (
        {"date_embauche": date(2024, 3, 16)},
        {"date_embauche": "date_embauche must not be later than date_demande, 2024-03-15"},
    ),
    (
        {"date_naissance": date(2004, 2, 29), "date_embauche": date(2018, 2, 28)},
        {"date_embauche": "date_embauche must be at least 14 years after date_naissance"},
    ),
    (
        {"date_ouverture": date(2024, 3, 16)},
        {"date_ouverture": "date_ouverture must not be later than date_demande, 2024-03-15"},
    ),
    (
        {"jours_decouvert_3m": 4, "jours_decouvert_12m": 3},
        {"jours_decouvert_3m": "jours_decouvert_3m must not be larger than jours_decouvert_12m"},
    ),
    (
        {"nb_rejets_3m": 4, "nb_rejets_12m": 3},
        {"nb_rejets_3m": "nb_rejets_3m must not be larger than nb_rejets_12m"},
    ),
]


@pytest.mark.parametrize(("changed", "expected"), CONTRADICTIONS)
def test_a_contradiction_names_a_field_and_says_the_fix(dossier, changed, expected):
    assert disagreements(dossier | changed, TODAY) == expected


def start(rule):
    "The beginning of the message of a rule, which no other rule has."
    return rule.message.split("{")[0]


@pytest.mark.parametrize("rule", CROSS_FIELD_RULES, ids=start)
def test_each_rule_has_a_contradiction_above(rule):
    messages = [expected.get(rule.field, "") for _, expected in CONTRADICTIONS]
    assert sum(message.startswith(start(rule)) for message in messages) == 1


def test_a_birthday_counts_on_the_day_itself():
    born = date(2006, 3, 15)
    assert not disagreements({"date_naissance": born, "date_demande": date(2024, 3, 15)}, TODAY)
    assert disagreements({"date_naissance": born, "date_demande": date(2024, 3, 14)}, TODAY)


def test_facts_that_are_missing_contradict_nothing():
    assert disagreements({}, TODAY) == {}


def test_years_are_counted_by_birthdays():
    draw = random.Random(3)
    for _ in range(2_000):
        born = date(draw.randint(1900, 2030), draw.randint(1, 12), draw.randint(1, 28))
        day = near(born, draw, days=40_000)
        had_birthday = (day.month, day.day) >= (born.month, born.day)
        expected = day.year - born.year - (not had_birthday)
        assert years_between(civil_day(born), civil_day(day)) == expected


def test_a_column_of_days_has_the_numbers_of_its_days():
    days = [date.min, date(1969, 12, 31), date(1970, 1, 1), date(2000, 2, 29), date.max]
    column = np.array([*days, None], dtype="M8[D]")
    assert civil_days(column)[:-1].tolist() == [civil_day(day) for day in days]
    assert math.isnan(civil_days(column)[-1])


@pytest.mark.parametrize("today", [TODAY, date(1990, 1, 1), date.max])
def test_columns_contradict_where_their_rows_do(dossiers, today):
    alone = [bool(disagreements(facts, today)) for facts in dossiers]
    assert disagreeing(fact_columns(dossiers), today).tolist() == alone


@pytest.mark.parametrize("rule", CROSS_FIELD_RULES, ids=start)
def test_the_random_dossiers_break_each_rule(dossiers, rule):
    messages = [disagreements(facts, TODAY).get(rule.field, "") for facts in dossiers]
    assert any(message.startswith(start(rule)) for message in messages)


def test_some_of_the_random_dossiers_break_no_rule(dossiers):
    assert not all(disagreements(facts, TODAY) for facts in dossiers)


def test_the_age_limits_are_those_of_the_messages():
    text = " ".join(rule.message for rule in CROSS_FIELD_RULES)
    assert f"{AGE_MIN} to {AGE_MAX} years" in text and f"least {WORK_AGE} years" in text


# ---- features -----------------------------------------------------------------------------------
def same_bits(first, second):
    "Whether two values are equal, or both missing."
    if isinstance(first, str) or first is None or isinstance(second, str):
        return first == second or (first is None and second != second)
    return (first != first and second != second) or first == second


def test_a_row_and_a_column_give_the_same_bits(dossiers):
    columns = feature_columns(fact_columns(dossiers))
    together = {name: column.tolist() for name, column in columns.items()}
    for index, facts in enumerate(dossiers):
        for name, value in features(facts).items():
            assert same_bits(value, together[name][index]), (name, facts)


def test_the_training_table_has_the_features_of_each_application(dossier):
    table = feature_table([dossier, dict.fromkeys(FIELDS)])
    alone = features(dossier)
    assert list(table) == list(FEATURES)
    assert all(same_bits(alone[name], table[name].iloc[0]) for name in FEATURES)
    assert table.iloc[1].isna().all()


def test_a_feature_uses_only_facts_of_the_contract():
    for variable in ALL_FEATURES.values():
        assert set(variable.facts) <= set(FIELDS), variable.name


@pytest.mark.parametrize("fact", ["revenu_mensuel", "charges_mensuelles"])
def test_a_missing_fact_gives_a_missing_feature(dossier, fact):
    assert math.isnan(features(dossier | {fact: None})["reste_a_vivre"])


def test_a_missing_fact_changes_no_feature_that_does_not_use_it(dossier):
    usual = features(dossier)
    for fact in FIELDS:
        changed = features(dossier | {fact: None})
        for name, variable in ALL_FEATURES.items():
            if fact not in variable.facts:
                assert same_bits(usual[name], changed[name]), (fact, name)


def test_a_zero_denominator_gives_a_missing_feature(dossier):
    assert math.isnan(features(dossier | {"revenu_mensuel": 0.0})["taux_effort"])


def test_an_account_that_was_never_overdrawn_uses_no_overdraft(dossier):
    facts = dossier | {"solde_min_12m": 5.0, "decouvert_autorise": None}
    assert features(facts)["utilisation_decouvert"] == 0


def test_no_rejected_payment_counts_as_longer_than_the_twelve_months(dossier):
    assert features(dossier)["mois_sans_rejet"] == 13


def test_the_instalment_repays_the_loan_with_its_interest():
    monthly = 0.052 / 12
    assert instalment(9_000, 48, 5.2) == round(9_000 * monthly / (1 - (1 + monthly) ** -48), 2)
    assert instalment(9_000, 48, 0) == 187.5


def test_the_instalment_that_the_bank_states_is_kept(dossier):
    assert features(dossier | {"mensualite": 300.0})["mensualite"] == 300.0
    assert features(dossier)["mensualite"] == instalment(9_000, 48, 5.2)


def test_the_checks_are_zero_for_an_ordinary_application(dossier):
    assert [features(dossier)[name] for name in CHECKS] == [0, 0, 0]


def test_the_checks_count_missing_years_and_amounts_just_under_the_threshold(dossier):
    young = dossier | {"date_embauche": date(2003, 6, 1), "nb_jumeaux": None, "montant": 2990.0}
    assert [features(young)[name] for name in CHECKS] == [0, 1, 1]


@pytest.mark.parametrize("amount", [2_900.0, 3_000.0])
def test_a_round_amount_is_not_just_under_the_threshold(dossier, amount):
    assert features(dossier | {"montant": amount})["sous_seuil"] == 0


def test_the_scorer_uses_no_check_and_the_detector_all_of_them():
    assert not set(CHECKS) & set(FEATURES)
    assert set(CHECKS) <= set(WATCHED) <= set(ALL_FEATURES)


# ---- reason codes and words ---------------------------------------------------------------------
def test_every_feature_says_its_formula_its_missing_rule_and_its_reason_code():
    for variable in FEATURES.values():
        assert variable.formula.__doc__ and variable.when_missing
        assert variable.reason_code in REASON_CODES


def test_a_reason_code_with_a_direction_belongs_to_features_with_a_sign():
    for variable in FEATURES.values():
        assert variable.sign or variable.reason_code not in DIRECTED_CODES, variable.name


def test_every_feature_belongs_to_one_reason_with_its_facts():
    members = [name for reason in REASONS.values() for name in reason.features]
    assert sorted(members) == sorted(FEATURES)
    for code, reason in REASONS.items():
        assert code == reason.code
        assert (reason.label_fr, reason.label_en) == REASON_CODES[code]
        facts = [fact for name in reason.features for fact in FEATURES[name].facts]
        assert reason.facts == tuple(dict.fromkeys(facts))


@pytest.mark.parametrize(
    ("name", "value", "french", "english"),
    [
        (
            "taux_effort",
            0.43123,
            "Part du revenu prise par les crédits\u00a0: 43,1\u00a0%",
            "Share of income taken by commitments: 43.1\u00a0%",
        ),
        (
            "taux_effort",
            None,
            "Part du revenu prise par les crédits\u00a0: non renseigné",
            "Share of income taken by commitments: not known",
        ),
        (
            "montant",
            12500.0,
            "Montant demandé\u00a0: 12\u202f500\u00a0€",
            "Amount: 12\u202f500\u00a0€",
        ),
        ("nb_rejets_12m", 2, "Rejets sur 12 mois\u00a0: 2", "Rejected payments over 12 months: 2"),
        ("statut_emploi", "cdi", "Emploi\u00a0: CDI", "Employment: permanent contract"),
        ("sous_seuil", 1, "Montant juste sous le seuil de justificatifs\u00a0: oui", None),
    ],
)
def test_a_value_reads_as_a_phrase_in_both_languages(name, value, french, english):
    phrases = ALL_FEATURES[name].phrases(value)
    assert phrases[0] == french and english in (phrases[1], None)


@pytest.mark.parametrize(
    ("name", "value", "usual", "french"),
    [
        ("anciennete_emploi", 3, [12, 160], "Ancienneté dans l’emploi faible (3\u00a0mois)"),
        (
            "charges_mensuelles",
            4_000,
            [300, 1_100],
            "Charges mensuelles élevées (4\u202f000\u00a0€)",
        ),
        ("charges_mensuelles", 800, [300, 1_100], "Charges mensuelles (800\u00a0€)"),
        ("embauche_precoce", 2, [0, 0], "Embauche avant l’âge légal\u00a0: 2\u00a0ans"),
        ("canal", "agence", None, "Canal «\u00a0agence\u00a0»"),
    ],
)
def test_an_unusual_value_is_described_as_high_or_low(name, value, usual, french):
    assert described(ALL_FEATURES[name], value, usual)[0] == french


# ---- what the service loads ---------------------------------------------------------------------
ONE_APPLICATION = """
import sys
from datetime import date
from credit_risk.contract import EXAMPLE, parse_request
from credit_risk.features import features
features(parse_request(EXAMPLE, date(2026, 11, 1))[1])
print({"numpy", "pandas"} & set(sys.modules))
"""


def test_one_application_loads_no_numpy():
    command = [sys.executable, "-c", ONE_APPLICATION]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
