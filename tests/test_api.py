"""POST /score on the real server: answers, refusals, the audit, start and stop."""

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from math import log

import jsonschema
import pytest
from service import KEY, ROOT, Load, changed, encoded, environment, free_port, running, start, until

from api.config import ConfigError, read_config
from api.problems import PROBLEMS
from credit_risk.answer import Result
from credit_risk.audit import chain_problems
from credit_risk.bank import create_bank
from credit_risk.contract import EXAMPLE
from credit_risk.database import connect, dossier_of_client
from credit_risk.features import REASON_CODES
from credit_risk.fields import FIELDS, SECTIONS

TOMORROW = (date.today() + timedelta(days=1)).isoformat()
NO_KEY = {"Authorization": None}

# ---- what is promised --------------------------------------------------------------------------


def example_of_the_document(service):
    post = service.request("GET", "/openapi.json").json["paths"]["/score"]["post"]
    return post["requestBody"]["content"]["application/json"]["example"]


def test_the_example_gets_a_decision_with_every_field(service):
    answer = service.score(example_of_the_document(service))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    result = Result.model_validate(answer.json, strict=False)
    assert 0 < result.probabilite_defaut < 1
    assert result.raisons
    of_a_scenario = {"point_in_time"}  # only where one is named
    assert set(answer.json) == set(Result.model_fields) - of_a_scenario


def test_an_answer_names_the_promoted_version(service):
    promoted = (service.directory / "artifacts" / "current").read_text().strip()
    assert service.score().json["modele"]["version"] == promoted


def test_the_audit_holds_the_answer_byte_for_byte_and_the_facts(service):
    answer = service.score()
    [(dossier, resultat, cle)] = service.sql(
        "select dossier, resultat, cle from decisions where decision_id = ?",
        answer.json["decision_id"],
    )
    assert resultat.encode() == answer.body
    facts = {name: value for section in EXAMPLE.values() for name, value in section.items()}
    assert json.loads(dossier) == {name: facts.get(name) for name in FIELDS}
    assert cle == "local"


def test_the_audit_never_holds_a_key(service):
    service.score()
    assert KEY not in str(service.sql("select * from decisions"))


ASKED = {
    "date_demande": "2024-03-15",
    "montant": 9000.0,
    "duree_mois": 48,
    "taux_annuel": 5.2,
    "objet": "auto",
}


@pytest.fixture(scope="module")
def dossiers(service):
    "Dossiers of twenty clients of the bank, by client_id."
    rows = service.sql(
        "select client_id from clients where date_naissance < '1990-01-01' "
        "and coalesce(date_embauche, '') < '2024' limit 20"
    )
    facts = ASKED | {"date_demande": date.fromisoformat(ASKED["date_demande"])}
    with service.bank() as connection:
        found = {row[0]: dossier_of_client(connection, row[0], facts) for row in rows}
    assert len(found) == 20
    return found


def inline(dossier):
    "The body that gives the facts of a dossier."
    body = {}
    for section, fields in SECTIONS.items():
        facts = {f.name: dossier[f.name] for f in fields if dossier[f.name] is not None}
        body[section] = {n: str(v) if isinstance(v, date) else v for n, v in facts.items()}
    return body


def test_a_client_of_the_bank_scores_as_the_same_facts_inline(service, dossiers):
    for client_id, dossier in dossiers.items():
        by_id = service.score({"client_id": client_id, "demande": ASKED})
        by_facts = service.score(inline(dossier))
        assert by_id.status == by_facts.status == 200, (by_id.body, by_facts.body)
        assert by_id.json | {"decision_id": ""} == by_facts.json | {"decision_id": ""}


def test_the_audit_names_the_client_whose_facts_were_read(service, dossiers):
    client_id = min(dossiers)
    answer = service.score({"client_id": client_id, "demande": ASKED})
    [(dossier,)] = service.sql(
        "select dossier from decisions where decision_id = ?", answer.json["decision_id"]
    )
    assert json.loads(dossier)["client_id"] == client_id


POOR = changed(
    nb_rejets_12m=6,
    nb_rejets_3m=3,
    mois_depuis_rejet=1,
    jours_decouvert_12m=200,
    jours_decouvert_3m=60,
    revenu_mensuel=900.0,
    epargne=None,
)


@pytest.fixture(scope="module", params=[EXAMPLE, POOR], ids=["good", "poor"])
def answer(request, service):
    "The answer to a good application, then to a poor one."
    return service.score(request.param).json


def test_an_answer_has_at_most_four_reason_codes_the_heaviest_first(answer):
    contributions = [code["contribution"] for code in answer["motifs"]]
    assert len(contributions) <= 4
    assert contributions == sorted(contributions, reverse=True)
    assert all(contribution > 0 for contribution in contributions)


def test_a_reason_code_has_words_in_both_languages_and_names_its_fields(answer):
    for code in answer["motifs"]:
        assert code["code"] in {*REASON_CODES, "inconnu"}
        assert set(code["champs"]) <= set(FIELDS)
        assert code["libelle"]
        assert code["label"]


def test_the_reason_codes_tell_a_poor_application_from_a_good_one(service):
    assert "rejets" in {code["code"] for code in service.score(POOR).json["motifs"]}
    assert "rejets" not in {code["code"] for code in service.score().json["motifs"]}


def test_the_points_follow_the_probability(answer):
    probability = answer["probabilite_defaut"]
    log_odds = log(probability / (1 - probability))
    points = 600 - 20 / log(2) * (log_odds + log(50))
    assert abs(answer["score"] - points) <= 0.5 + 1e-9


def test_the_recommendation_follows_the_interval_and_the_cut_offs(answer):
    low, high = answer["intervalle"]["bas"], answer["intervalle"]["haut"]
    assert low <= answer["probabilite_defaut"] <= high
    assert low < high
    expected = "examiner"
    if low > answer["seuils"]["refuser"]:
        expected = "refuser"
    elif high < answer["seuils"]["accepter"] and not answer["anomalie"]["est_atypique"]:
        expected = "accepter"
    assert answer["recommandation"] == expected


def test_only_three_facts_are_needed(service):
    body = {
        "client": {"date_naissance": "1988-04-12"},
        "demande": {"montant": 9000, "duree_mois": 48},
    }
    answer = service.score(body)
    assert answer.status == 200
    assert answer.json["date_demande"] == date.today().isoformat()


def test_health_needs_no_key(service):
    assert service.request("GET", "/healthz", headers=NO_KEY).json == {"status": "alive"}


def test_readiness_needs_no_key_and_names_the_version(service):
    ready = service.request("GET", "/readyz", headers=NO_KEY)
    version = service.score().json["modele"]["version"]
    assert ready.status == 200
    assert ready.json == {"status": "ready", "version": version}


# ---- the OpenAPI document ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def document(service):
    return service.request("GET", "/openapi.json").json


@pytest.fixture(scope="module")
def post_score(document):
    return document["paths"]["/score"]["post"]


def validate(value, schema, document):
    "Hold a value to a schema of the document."
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": document["components"],
    }
    jsonschema.validate(value, whole | schema)


def answer_schema(post_score, status, media_type):
    return post_score["responses"][status]["content"][media_type]["schema"]


def test_the_document_is_openapi_3_1(document):
    assert document["openapi"].startswith("3.1")


@pytest.mark.parametrize("section", SECTIONS)
def test_the_fields_of_the_document_are_those_of_the_contract(document, section):
    fields = SECTIONS[section]
    properties = document["components"]["schemas"][section.capitalize()]["properties"]
    assert list(properties) == [f.name for f in fields]
    for f in fields:
        alternatives = properties[f.name].get("anyOf", [properties[f.name]])
        schema = next(one for one in alternatives if one["type"] != "null")
        assert (schema["x-rule"], schema["x-regle"]) == (f.rule("en"), f.rule("fr"))
        assert (schema["x-label"], schema["x-libelle"]) == (f.label_en, f.label_fr)
        assert (schema.get("minimum"), schema.get("maximum")) == (f.low, f.high)
        assert tuple(schema.get("enum", ())) == f.categories
        assert (schema.get("format") == "date") == (f.kind == "date")


def test_the_document_names_the_answers_of_a_score(post_score):
    named = {"200", "400", "401", "413", "415", "422", "429", "500", "503"}
    assert named <= set(post_score["responses"])


def test_the_example_of_the_document_is_valid(document, post_score):
    body = post_score["requestBody"]["content"]["application/json"]
    validate(body["example"], body["schema"], document)


def test_a_decision_is_valid_by_the_document(service, document, post_score):
    schema = answer_schema(post_score, "200", "application/json")
    validate(service.score().json, schema, document)


def test_a_refusal_is_valid_by_the_document(service, document, post_score):
    schema = answer_schema(post_score, "422", "application/problem+json")
    validate(service.score({}).json, schema, document)


# ---- headers -----------------------------------------------------------------------------------


def test_the_page_may_run_its_own_scripts_only(service):
    page = service.request("GET", "/", headers=NO_KEY)
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/", "/healthz", "/nowhere"])
def test_every_answer_has_the_headers_of_security(service, path):
    headers = service.request("GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/healthz", "/nowhere"])
def test_no_answer_names_the_software_behind_it(service, path):
    headers = str(service.request("GET", path).headers).lower()
    assert not any(word in headers for word in ("granian", "flask", "werkzeug", "python"))


# ---- what is refused ---------------------------------------------------------------------------

HUGE = b'{"client": {"situation_familiale": "' + b"x" * 10_000_000 + b'"}}'
BODIES = {  # body, status, problem, pointers of its errors or None
    "empty": (b"", 400, "malformed-json", None),
    "blank": (b" \n ", 400, "malformed-json", None),
    "not JSON": (b"montant=9000", 400, "malformed-json", None),
    "cut short": (encoded()[:-1], 400, "malformed-json", None),
    "NaN": (encoded(revenu_mensuel=float("nan")), 400, "malformed-json", None),
    "Infinity": (encoded(montant=float("inf")), 400, "malformed-json", None),
    "minus Infinity": (encoded(montant=float("-inf")), 400, "malformed-json", None),
    "a number beyond doubles": (
        encoded().replace(b"2450.0", b"1e999"),
        422,
        "invalid-fields",
        {"/client/revenu_mensuel"},
    ),
    "an integer beyond all bounds": (
        encoded().replace(b"2450.0", b"9" * 400),
        422,
        "invalid-fields",
        {"/client/revenu_mensuel"},
    ),
    "an integer of 5 000 digits": (
        encoded().replace(b"2450.0", b"9" * 5000),
        400,
        "malformed-json",
        None,
    ),
    "duplicate keys": (
        b'{"client_id": 1, "client_id": 2, "demande": {"montant": 9000, "duree_mois": 48}}',
        400,
        "malformed-json",
        None,
    ),
    "deep nesting": (b'{"client":' + b"[" * 30_000, 400, "malformed-json", None),
    "nesting below the limit": (
        b'{"client":' + b"[" * 900 + b"]" * 900 + b"}",
        422,
        "invalid-fields",
        {"/client", "/demande"},
    ),
    "bad UTF-8": (encoded().replace(b"marie", b"mari\xe9"), 400, "malformed-json", None),
    "UTF-16": (encoded().decode().encode("utf-16"), 400, "malformed-json", None),
    "half a surrogate pair as a value": (
        encoded(statut_emploi="\ud800"),
        400,
        "malformed-json",
        None,
    ),
    "half a surrogate pair as a key": (b'{"\\ud800": 1}', 400, "malformed-json", None),
    "an empty object": (b"{}", 422, "invalid-fields", {""}),
    "a list": (b"[]", 422, "invalid-fields", {""}),
    "null": (b"null", 422, "invalid-fields", {""}),
    "a string": (b'"x"', 422, "invalid-fields", {""}),
    "no loan": (
        json.dumps({"client": EXAMPLE["client"]}).encode(),
        422,
        "invalid-fields",
        {"/demande"},
    ),
    "sections of the wrong type": (
        b'{"client": [], "compte": 3, "demande": "x"}',
        422,
        "invalid-fields",
        {"/client", "/compte", "/demande"},
    ),
    "wrong types": (
        encoded(
            revenu_mensuel="2450",
            personnes_a_charge=1.5,
            date_naissance=19880412,
            duree_mois=True,
            statut_emploi=3,
        ),
        422,
        "invalid-fields",
        {
            "/client/revenu_mensuel",
            "/client/personnes_a_charge",
            "/client/date_naissance",
            "/demande/duree_mois",
            "/client/statut_emploi",
        },
    ),
    "unknown fields": (
        json.dumps(EXAMPLE | {"sexe": "F", "client": EXAMPLE["client"] | {"nom": "X"}}).encode(),
        422,
        "invalid-fields",
        {"/sexe", "/client/nom"},
    ),
    "a negative amount": (encoded(montant=-5), 422, "invalid-fields", {"/demande/montant"}),
    "a 300-year-old client": (
        encoded(date_naissance="1726-05-01"),
        422,
        "invalid-fields",
        {"/client/date_naissance"},
    ),
    "a client not born": (
        encoded(date_naissance=TOMORROW, date_embauche=None),
        422,
        "invalid-fields",
        {"/client/date_naissance"},
    ),
    "an account opened tomorrow": (
        encoded(date_ouverture=TOMORROW),
        422,
        "invalid-fields",
        {"/compte/date_ouverture"},
    ),
    "an application of tomorrow": (
        encoded(date_demande=TOMORROW),
        422,
        "invalid-fields",
        {"/demande/date_demande"},
    ),
    "a day that does not exist": (
        encoded(date_naissance="1988-02-30"),
        422,
        "invalid-fields",
        {"/client/date_naissance"},
    ),
    "a date with a time": (
        encoded(date_naissance="1988-04-12T00:00:00"),
        422,
        "invalid-fields",
        {"/client/date_naissance"},
    ),
    "an unknown category": (
        encoded(statut_emploi="CDI"),
        422,
        "invalid-fields",
        {"/client/statut_emploi"},
    ),
    "SQL in a string": (
        encoded(objet="auto'; drop table decisions; --"),
        422,
        "invalid-fields",
        {"/demande/objet"},
    ),
    "a NUL in a string": (encoded(objet="auto\0"), 422, "invalid-fields", {"/demande/objet"}),
    "every kind of mistake at once": (
        encoded(
            date_naissance="1726-05-01",
            revenu_mensuel=-1,
            date_ouverture=TOMORROW,
            jours_decouvert_12m=1,
            jours_decouvert_3m=2,
            montant=None,
            duree_mois=0,
            objet="yacht",
        ),
        422,
        "invalid-fields",
        {
            "/client/date_naissance",
            "/client/revenu_mensuel",
            "/compte/date_ouverture",
            "/compte/jours_decouvert_3m",
            "/demande/montant",
            "/demande/duree_mois",
            "/demande/objet",
        },
    ),
    "an unknown client": (
        b'{"client_id": 2147483647, "demande": {"montant": 9000, "duree_mois": 48}}',
        422,
        "unknown-client",
        {"/client_id"},
    ),
    "an unknown client and a bad amount": (
        b'{"client_id": 2147483647, "demande": {"montant": -5, "duree_mois": 48}}',
        422,
        "invalid-fields",
        {"/client_id", "/demande/montant"},
    ),
    "a client_id that is no number": (
        b'{"client_id": "1 or 1=1", "demande": {"montant": 9000, "duree_mois": 48}}',
        422,
        "invalid-fields",
        {"/client_id"},
    ),
    "a client_id beyond the database": (
        b'{"client_id": 99999999999999999999, "demande": {"montant": 9000, "duree_mois": 48}}',
        422,
        "invalid-fields",
        {"/client_id"},
    ),
    "a client_id and facts": (
        json.dumps({"client_id": 1} | EXAMPLE).encode(),
        422,
        "invalid-fields",
        {"/client", "/compte"},
    ),
    "10 MB": (HUGE, 413, "too-large", None),
    "64 kB and one byte": (
        b" " * (64 * 1024 + 1 - len(encoded())) + encoded(),
        413,
        "too-large",
        None,
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_gets_its_own_problem_and_no_decision(service, name):
    body, status, kind, pointers = BODIES[name]
    before = service.decisions()
    answer = service.request("POST", "/score", body)
    problem = answer.json
    assert answer.status == problem["status"] == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"/problems/{kind}"
    assert problem["title"] == PROBLEMS[kind][1]
    assert problem["detail"]
    if pointers is None:
        assert "errors" not in problem
    else:
        assert {e["pointer"] for e in problem["errors"]} == pointers
        assert all(e["pointer"].split("/")[-1] in e["detail"] for e in problem["errors"])
    assert service.decisions() == before


@pytest.mark.parametrize("kind", sorted(PROBLEMS))
def test_the_type_of_a_problem_is_an_address_that_explains_it(service, kind):
    status, title, what_to_do = PROBLEMS[kind]
    explained = service.request("GET", f"/problems/{kind}", headers=NO_KEY).json
    assert explained == {"title": title, "status": status, "what_to_do": what_to_do}


def test_a_body_of_the_largest_size_is_read(service):
    body = encoded()
    spaces = b" " * (64 * 1024 - len(body))
    assert service.request("POST", "/score", spaces + body).status == 200


@pytest.mark.parametrize(
    "body, status",
    [(encoded(), 200), (HUGE, 413), (encoded() + b" " * 70_000, 413)],
    ids=["small", "10 MB", "70 kB too many"],
)
def test_a_body_without_a_length_has_the_same_limit(service, body, status):
    assert service.request("POST", "/score", body, chunked=True).status == status


def test_five_thousand_mistakes_are_counted_and_not_all_listed(service):
    answer = service.score({f"k{i}": 0 for i in range(5000)})
    assert answer.status == 422
    assert len(answer.json["errors"]) == 100
    assert "5002" in answer.json["detail"]
    assert len(answer.body) < 20_000


WRONG_KEYS = [
    None,
    "",
    "Bearer",
    "Bearer ",
    f"Bearer {KEY}x",
    f"Bearer {KEY[:-1]}",
    f"Basic {KEY}",
    KEY,
    "Bearer \xff\xfe",
    "Bearer " + "x" * 20_000,
]


@pytest.mark.parametrize("header", WRONG_KEYS)
@pytest.mark.parametrize("body", [encoded(), b"not even JSON"], ids=["good", "bad"])
def test_no_key_and_wrong_keys_are_refused_before_the_body_is_read(service, header, body):
    before = service.decisions()
    answer = service.request("POST", "/score", body, {"Authorization": header})
    assert answer.status == 401
    assert answer.json["type"] == "/problems/unauthorized"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert service.decisions() == before


NOT_JSON = [
    {"Content-Type": None},
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Encoding": "gzip"},
]


@pytest.mark.parametrize("headers", NOT_JSON)
def test_only_plain_json_is_read(service, headers):
    answer = service.request("POST", "/score", encoded(), headers)
    assert answer.status == 415
    assert answer.json["type"] == "/problems/unsupported-media-type"


NOWHERE = [
    "/nowhere",
    "/%ff",
    "/app.js%00",
    "/../settings.ini",
    "/%2e%2e/settings.ini",
    "/docs/%2e%2e/settings.ini",
    "/docs/a%00b",
    "/problems/none",
]


def is_problem(answer, status):
    is_json = answer.headers["content-type"] == "application/problem+json"
    return is_json and answer.status == answer.json["status"] == status


@pytest.mark.parametrize("path", NOWHERE)
def test_an_address_that_does_not_exist_is_a_problem(service, path):
    assert is_problem(service.request("GET", path), 404)


def test_an_address_has_one_spelling(service):
    assert is_problem(service.request("POST", "/score/"), 404)


@pytest.mark.parametrize(
    "method, path, allowed",
    [
        ("GET", "/score", "POST"),
        ("PUT", "/score", "POST"),
        ("BREW", "/score", "POST"),
        ("POST", "/", "GET"),
    ],
)
def test_a_method_that_is_not_allowed_is_a_problem_that_names_those_that_are(
    service, method, path, allowed
):
    answer = service.request(method, path)
    assert is_problem(answer, 405)
    assert allowed in answer.headers["allow"]


# ---- the audit ---------------------------------------------------------------------------------


def test_concurrent_decisions_are_all_audited_in_one_sound_chain(service):
    before = service.decisions()
    bodies = [changed(montant=1000 + i) for i in range(240)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(service.score, bodies))
    assert {a.status for a in answers} == {200}
    ids = {a.json["decision_id"] for a in answers}
    assert len(ids) == 240
    assert ids <= service.decision_ids()
    assert service.decisions() == before + 240
    assert service.audit_problems() == []


def test_a_changed_or_missing_row_is_named(own_service):
    ids = [own_service.score(changed(montant=1000 + i)).json["decision_id"] for i in range(5)]
    assert own_service.audit_problems() == []
    own_service.sql(
        "update decisions set dossier = replace(dossier, '1001', '1009') where decision_id = ?",
        ids[1],
    )
    own_service.sql("delete from decisions where decision_id = ?", ids[3])
    was_changed, is_missing, cannot_be_repeated = own_service.audit_problems()
    assert ids[1] in was_changed and "changed" in was_changed
    assert ids[4] in is_missing and "missing" in is_missing
    # it is made again from the dossier that is there now
    assert ids[1] in cannot_be_repeated and "gives another answer" in cannot_be_repeated


@contextmanager
def without(service, table):
    "The bank without one of its tables, while the block lasts."
    service.sql(f"alter table {table} rename to away")
    yield
    service.sql(f"alter table away rename to {table}")


def test_no_decision_without_its_audit_row(module_service):
    before = module_service.decisions()
    with without(module_service, "decisions"):
        answer = module_service.score()
    assert answer.status == 503
    assert answer.json["type"] == "/problems/audit-unavailable"
    assert "retry-after" in answer.headers
    assert "probabilite_defaut" not in answer.json
    assert "decision_id" not in answer.json
    assert module_service.decisions() == before


def test_a_service_without_its_audit_is_alive_and_not_ready_until_it_is_back(module_service):
    with without(module_service, "decisions"):
        assert module_service.request("GET", "/readyz").status == 503
        assert module_service.request("GET", "/healthz").status == 200
    until(module_service.is_ready)
    assert module_service.score().status == 200
    assert module_service.audit_problems() == []


def test_a_decision_that_was_not_recorded_is_logged_without_its_facts(module_service):
    with without(module_service, "decisions"):
        module_service.score(changed(revenu_mensuel=7654.32))
    assert "audit" in module_service.log
    facts = ("7654.32", EXAMPLE["client"]["date_naissance"], KEY)
    assert not any(fact in module_service.log for fact in facts)


def test_a_bank_that_cannot_be_read_is_a_503_and_facts_inline_still_score(module_service):
    client_id = module_service.sql("select min(client_id) from clients")[0][0]
    asked = {"client_id": client_id, "demande": {"montant": 9000, "duree_mois": 48}}
    assert module_service.score(asked).status == 200
    with without(module_service, "releves_mensuels"):
        answer = module_service.score(asked)
        assert answer.status == 503
        assert answer.json["type"] == "/problems/bank-unavailable"
        assert "releves" not in answer.body.decode()
        assert module_service.score().status == 200
    assert module_service.score(asked).status == 200


# ---- killed ------------------------------------------------------------------------------------


def kill_under_load(service, pids):
    "Kill processes while callers ask; the decisions that they received whole."
    with Load(service) as load:
        until(lambda: len(load.received) > 20)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    return load.received


def test_a_killed_server_loses_no_decision_that_it_gave(own_directory):
    received = set()
    for _ in range(2):
        with running(own_directory) as service:
            received |= set(kill_under_load(service, [service.process.pid, *service.workers()]))
            assert received <= service.decision_ids()
            assert service.audit_problems() == []


def test_a_killed_worker_is_replaced_and_loses_no_decision_that_it_gave(own_directory):
    received = set()
    with running(own_directory) as service:
        received |= set(kill_under_load(service, service.workers()))
        until(service.is_ready)
        assert service.score().status == 200
        assert received <= service.decision_ids()
        assert service.audit_problems() == []


# ---- MariaDB -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_mariadb(trained, tmp_path_factory, mariadb):
    "A service on a small bank in MariaDB, and an engine on the same bank."
    folder = tmp_path_factory.mktemp("mariadb")
    (folder / "artifacts").symlink_to(trained / "artifacts")
    with mariadb.database() as url:
        create_bank(url, n_clients=50, truth=folder / "truth.db", progress=False)
        engine = connect(url)
        with running(folder, CREDIT_RISK_DATABASE_URL=url) as service:
            yield service, engine
        engine.dispose()


CLIENT_1 = {"client_id": 1, "demande": {"montant": 9000, "duree_mois": 48}}


def test_on_mariadb_concurrent_decisions_are_audited_byte_for_byte_in_one_chain(on_mariadb):
    service, engine = on_mariadb
    bodies = [changed(montant=1000 + i) if i % 2 else CLIENT_1 for i in range(80)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(service.score, bodies))
    assert {a.status for a in answers} == {200}
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("select decision_id, resultat from decisions").all()
        assert chain_problems(connection) == []
    stored = {decision_id: resultat.encode() for decision_id, resultat in rows}
    assert all(stored[a.json["decision_id"]] == a.body for a in answers)


def test_on_mariadb_no_decision_without_its_audit_row(on_mariadb):
    service, engine = on_mariadb
    with engine.begin() as connection:
        connection.exec_driver_sql("rename table decisions to away")
    refused = service.score()
    with engine.begin() as connection:
        connection.exec_driver_sql("rename table away to decisions")
    assert refused.json["type"] == "/problems/audit-unavailable"


def test_on_mariadb_connections_that_are_cut_are_opened_again(on_mariadb):
    service, engine = on_mariadb
    assert service.score(CLIENT_1).status == 200
    with engine.connect() as connection:
        own = connection.exec_driver_sql("select connection_id()").scalar()
        processes = connection.exec_driver_sql("show processlist").all()
        others = [row[0] for row in processes if row[3] == engine.url.database and row[0] != own]
        for other in others:
            connection.exec_driver_sql(f"kill {other}")
    assert others
    assert service.score(CLIENT_1).status == 200
    assert service.is_ready()
    with engine.connect() as connection:
        assert chain_problems(connection) == []


# ---- starting and stopping ---------------------------------------------------------------------

SETTINGS = [
    ("CREDIT_RISK_API_KEY", "short", "at least 20"),
    ("CREDIT_RISK_API_KEY", "twenty characters and a space", "without spaces"),
    ("CREDIT_RISK_API_KEY_FILE", "/nowhere/key", "not both"),
    ("CREDIT_RISK_DATABASE_URL", "oracle://me:secret@host/db", "sqlite:// or mariadb://"),
    ("CREDIT_RISK_DATABASE_URL", "::secret", "must read"),
    ("CREDIT_RISK_DATABASE_URL", "sqlite:////proc/none/bank.db", "CREDIT_RISK_DATABASE_URL"),
    ("CREDIT_RISK_RATE_LIMIT", "many", "1000/second"),
    ("CREDIT_RISK_CORS_ORIGINS", "desk.example.org", "https://desk.example.org"),
    ("CREDIT_RISK_LOG_LEVEL", "loud", "debug, info, warning, error"),
]


@pytest.mark.parametrize("setting, value, words", SETTINGS)
def test_a_wrong_setting_is_named_in_one_line_without_a_password(trained, setting, value, words):
    with pytest.raises(ConfigError) as refused:
        read_config(environment(trained, **{setting: value}))
    message = str(refused.value)
    assert words in message
    assert "\n" not in message
    assert "secret" not in message


STARTS = [
    ("CREDIT_RISK_API_KEY", None, "CREDIT_RISK_API_KEY is not set"),
    ("CREDIT_RISK_DATABASE_URL", "mariadb://me:secret@127.0.0.1:1/db", "does not answer"),
    ("CREDIT_RISK_ARTIFACTS", "/nowhere", "credit-risk retrain"),
]


def is_one_line(refused):
    "Whether a start was refused in one line on stderr."
    is_line = refused.stderr.startswith("credit-risk: ") and refused.stderr.count("\n") == 1
    return refused.returncode == 2 and refused.stdout == "" and is_line


@pytest.mark.parametrize("setting, value, words", STARTS)
def test_a_start_that_cannot_serve_is_refused_in_one_line(trained, setting, value, words):
    refused = start(trained, **{setting: value})
    assert is_one_line(refused)
    assert words in refused.stderr
    assert "secret" not in refused.stderr


def test_a_bank_without_tables_is_refused(trained, tmp_path):
    refused = start(trained, CREDIT_RISK_DATABASE_URL=f"sqlite:///{tmp_path}/empty.db")
    assert is_one_line(refused)
    assert "credit-risk init-db" in refused.stderr


def test_an_artifact_with_a_changed_byte_is_refused(own_directory):
    version = (own_directory / "artifacts" / "current").read_text().strip()
    scorer = own_directory / "artifacts" / version / "scorer.json"
    scorer.write_bytes(scorer.read_bytes().replace(b"1", b"2", 1))
    refused = start(own_directory)
    assert is_one_line(refused)
    assert "scorer.json" in refused.stderr


def test_a_port_that_is_taken_is_refused(service):
    refused = start(service.directory, "--port", str(service.port))
    assert is_one_line(refused)
    assert f"127.0.0.1:{service.port}" in refused.stderr


def test_a_port_that_is_no_number_is_refused(trained):
    assert is_one_line(start(trained, "--port", "eighty"))


def test_it_listens_on_this_machine_only(service):
    with socket.socket() as s, pytest.raises(OSError):
        s.connect(("127.0.0.2", service.port))


def test_it_prints_one_address_with_the_key_when_asked(own_directory):
    key_file = own_directory / "key"
    key_file.write_text("another-key-for-the-tests\n")
    port = free_port()
    keys = {"CREDIT_RISK_API_KEY": None, "CREDIT_RISK_API_KEY_FILE": str(key_file)}
    process = subprocess.Popen(
        [sys.executable, "-m", "api", "--port", str(port), "--print-key", "--workers", "2"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(own_directory, **keys),
    )
    with process:
        try:
            line = process.stdout.readline()
        finally:
            process.terminate()
        assert line == f"http://127.0.0.1:{port}/#key=another-key-for-the-tests\n"
        assert process.stdout.read() == ""
        assert process.wait(20) == 0


def all_gone(pids):
    return not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_it_stops_with_its_children_and_finishes_what_it_accepted(own_directory):
    with running(own_directory, "--workers", "2") as service:
        workers = service.workers()
        with Load(service) as load:
            until(lambda: len(load.received) > 20)
            service.process.terminate()
            assert service.process.wait(20) == 0
        until(lambda: all_gone(workers))
        assert set(load.received) <= service.decision_ids()
        assert service.audit_problems() == []


def test_workers_do_not_outlive_a_killed_server(own_service):
    workers = own_service.workers()
    own_service.process.kill()
    until(lambda: all_gone(workers))
