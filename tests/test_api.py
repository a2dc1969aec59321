"""POST /score and what surrounds it, on the real server: every answer, every refusal, and the audit."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import date, timedelta
from math import log

import jsonschema
import pytest
from service import KEY, ROOT, environment, free_port, running, until

from credit_risk.audit import chain_problems, verify
from credit_risk.bank import create_bank
from credit_risk.contract import EXAMPLE, FIELDS, SECTIONS, Result
from credit_risk.database import connect, dossier_of_client
from credit_risk.features import REASON_CODES

TOMORROW = (date.today() + timedelta(days=1)).isoformat()


def changed(**facts):
    "The example with other facts; None leaves a fact out."
    body = deepcopy(EXAMPLE)
    for name, value in facts.items():
        section = body[FIELDS[name].section]
        if value is None:
            section.pop(name, None)
        else:
            section[name] = value
    return body


def encoded(**facts):
    return json.dumps(changed(**facts)).encode()


def check_audit(service):
    "The chains of the audit, read from the file itself."
    engine = connect(f"sqlite:///{service.directory}/bank.db")
    with engine.connect() as connection:
        problems = verify(connection, service.directory / "artifacts")["problems"]
    engine.dispose()
    return problems


# ---- what is promised --------------------------------------------------------------------------------------------------------


def test_the_example_gets_a_decision_with_every_field(service):
    example = service.request("GET", "/openapi.json").json["paths"]["/score"]["post"][
        "requestBody"
    ]["content"]["application/json"]["example"]
    answer = service.score(example)
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    result = Result.model_validate(answer.json, strict=False)
    assert set(answer.json) == set(Result.model_fields) - {
        "point_in_time"
    }  # only where a scenario is named
    assert (
        0 < result.probabilite_defaut < 1
        and result.raisons
        and result.modele.version
        == (service.directory / "artifacts" / "current").read_text().strip()
    )


def test_the_audit_holds_the_answer_byte_for_byte(service):
    answer = service.score(EXAMPLE)
    [(dossier, resultat, cle)] = service.sql(
        "select dossier, resultat, cle from decisions where decision_id = ?",
        answer.json["decision_id"],
    )
    assert resultat.encode() == answer.body
    facts = {name: value for section in EXAMPLE.values() for name, value in section.items()}
    assert json.loads(dossier) == {name: facts.get(name) for name in FIELDS}
    assert cle == "local" and KEY not in str(service.sql("select * from decisions"))


def test_a_client_of_the_bank_scores_as_the_same_facts_inline(service):
    engine = connect(f"sqlite:///{service.directory}/bank.db")
    asked = {
        "date_demande": "2024-03-15",
        "montant": 9000.0,
        "duree_mois": 48,
        "taux_annuel": 5.2,
        "objet": "auto",
    }
    with engine.connect() as connection:
        clients = [
            row[0]
            for row in service.sql(
                "select client_id from clients where date_naissance < '1990-01-01' and coalesce(date_embauche, '') < '2024' limit 20"
            )
        ]
        dossiers = {
            c: dossier_of_client(connection, c, asked | {"date_demande": date(2024, 3, 15)})
            for c in clients
        }
    engine.dispose()
    assert len(dossiers) == 20
    for client_id, dossier in dossiers.items():
        by_id = service.score({"client_id": client_id, "demande": asked})
        inline = {
            s: {
                f.name: str(v) if isinstance(v, date) else v
                for f in fields
                if (v := dossier[f.name]) is not None
            }
            for s, fields in SECTIONS.items()
        }
        by_facts = service.score(inline)
        assert by_id.status == by_facts.status == 200, (by_id.body, by_facts.body)
        assert by_id.json | {"decision_id": ""} == by_facts.json | {"decision_id": ""}
        [(audited,)] = service.sql(
            "select dossier from decisions where decision_id = ?", by_id.json["decision_id"]
        )
        assert json.loads(audited)["client_id"] == client_id


def test_an_answer_says_what_speaks_against_the_applicant_and_where_the_cut_offs_are(service):
    poor = changed(
        nb_rejets_12m=6,
        nb_rejets_3m=3,
        mois_depuis_rejet=1,
        jours_decouvert_12m=200,
        jours_decouvert_3m=60,
        revenu_mensuel=900.0,
        epargne=None,
    )
    for body in (EXAMPLE, poor):
        answer = service.score(body).json
        reason_codes, cuts = answer["motifs"], answer["seuils"]
        assert len(reason_codes) <= 4 and [m["contribution"] for m in reason_codes] == sorted(
            (m["contribution"] for m in reason_codes), reverse=True
        )
        assert all(
            m["contribution"] > 0
            and set(m["champs"]) <= set(FIELDS)
            and m["libelle"]
            and m["label"]
            for m in reason_codes
        )
        assert {m["code"] for m in reason_codes} <= {*REASON_CODES, "inconnu"}
        assert (
            abs(
                answer["score"]
                - (
                    600
                    - 20
                    / log(2)
                    * (
                        log(answer["probabilite_defaut"] / (1 - answer["probabilite_defaut"]))
                        + log(50)
                    )
                )
            )
            <= 0.5 + 1e-9
        )
        low, high = answer["intervalle"]["bas"], answer["intervalle"]["haut"]
        assert low <= answer["probabilite_defaut"] <= high and low < high
        assert answer["recommandation"] == (
            "refuser"
            if low > cuts["refuser"]
            else "accepter"
            if high < cuts["accepter"] and not answer["anomalie"]["est_atypique"]
            else "examiner"
        )
    assert "rejets" in {m["code"] for m in reason_codes} and "rejets" not in {
        m["code"] for m in service.score(EXAMPLE).json["motifs"]
    }


def test_only_three_facts_are_needed(service):
    answer = service.score(
        {"client": {"date_naissance": "1988-04-12"}, "demande": {"montant": 9000, "duree_mois": 48}}
    )
    assert answer.status == 200 and answer.json["date_demande"] == date.today().isoformat()


def test_health_and_readiness(service):
    assert service.request("GET", "/healthz", headers={"Authorization": None}).json == {
        "status": "alive"
    }
    ready = service.request("GET", "/readyz", headers={"Authorization": None})
    assert ready.status == 200 and ready.json == {
        "status": "ready",
        "version": service.score(EXAMPLE).json["modele"]["version"],
    }


def test_the_openapi_document_is_the_contract(service):
    document = service.request("GET", "/openapi.json").json
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    for section, fields in SECTIONS.items():
        properties = schemas[section.capitalize()]["properties"]
        assert list(properties) == [f.name for f in fields]
        for f in fields:
            schema = next(
                (s for s in properties[f.name].get("anyOf", ()) if s["type"] != "null"),
                properties[f.name],
            )
            assert (
                schema["x-rule"],
                schema["x-regle"],
                schema["x-label"],
                schema["x-libelle"],
            ) == (f.rule("en"), f.rule("fr"), f.label_en, f.label_fr)
            assert (schema.get("minimum"), schema.get("maximum")) == (f.low, f.high)
            assert tuple(schema.get("enum", ())) == f.categories and (
                schema.get("format") == "date"
            ) == (f.kind == "date")
    post = document["paths"]["/score"]["post"]
    assert {"200", "400", "401", "413", "415", "422", "500", "503"} <= set(post["responses"])
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": document["components"],
    }
    body = post["requestBody"]["content"]["application/json"]
    jsonschema.validate(body["example"], schema | body["schema"])
    jsonschema.validate(
        service.score(body["example"]).json,
        schema | post["responses"]["200"]["content"]["application/json"]["schema"],
    )
    problem = service.score({})
    jsonschema.validate(
        problem.json,
        schema | post["responses"]["422"]["content"]["application/problem+json"]["schema"],
    )


def test_headers_keep_the_page_to_itself(service):
    page = service.request("GET", "/", headers={"Authorization": None})
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    assert (
        "default-src 'none'" in page.headers["content-security-policy"]
        and "unsafe" not in page.headers["content-security-policy"]
    )
    for path in ("/", "/healthz", "/nowhere"):
        headers = service.request("GET", path).headers
        assert (
            headers["x-content-type-options"] == "nosniff"
            and headers["referrer-policy"] == "no-referrer"
            and "default-src 'none'" in headers["content-security-policy"]
        )
        assert not any(
            word in str(headers).lower() for word in ("granian", "flask", "werkzeug", "python")
        )


# ---- what is refused ---------------------------------------------------------------------------------------------------------

HUGE = b'{"client": {"situation_familiale": "' + b"x" * 10_000_000 + b'"}}'
BODIES = {  # what: body, status, end of the problem's type, pointers (None: no `errors`)
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
    assert (answer.status, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    ), answer.body
    assert (
        problem["type"] == f"/problems/{kind}"
        and problem["status"] == status
        and problem["title"]
        and problem["detail"]
    )
    assert service.request("GET", problem["type"]).json["title"] == problem["title"]
    if pointers is None:
        assert "errors" not in problem
    else:
        assert {e["pointer"] for e in problem["errors"]} == pointers
        for e in problem["errors"]:
            assert e["pointer"].split("/")[-1] in e["detail"]
    assert service.decisions() == before and service.request("GET", "/healthz").status == 200


def test_a_body_of_the_largest_size_is_read(service):
    assert (
        service.request("POST", "/score", b" " * (64 * 1024 - len(encoded())) + encoded()).status
        == 200
    )


def test_a_body_without_a_length_has_the_same_limit(service):
    before = service.decisions()
    assert service.request("POST", "/score", encoded(), chunked=True).status == 200
    assert service.request("POST", "/score", HUGE, chunked=True).status == 413
    assert service.request("POST", "/score", encoded() + b" " * 70_000, chunked=True).status == 413
    assert service.decisions() == before + 1


def test_ten_thousand_mistakes_are_counted_and_not_all_listed(service):
    answer = service.score({f"k{i}": 0 for i in range(5000)})
    assert (
        answer.status == 422
        and len(answer.json["errors"]) == 100
        and "5002" in answer.json["detail"]
        and len(answer.body) < 20_000
    )


@pytest.mark.parametrize(
    "header",
    [
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
    ],
)
def test_no_key_and_wrong_keys_are_refused(service, header):
    before = service.decisions()
    for body in (encoded(), b"not even JSON"):
        answer = service.request("POST", "/score", body, {"Authorization": header})
        assert (
            answer.status == 401
            and answer.json["type"] == "/problems/unauthorized"
            and answer.headers["www-authenticate"].startswith("Bearer")
        )
    assert service.decisions() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": None},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_only_plain_json_is_read(service, headers):
    answer = service.request("POST", "/score", encoded(), headers)
    assert answer.status == 415 and answer.json["type"] == "/problems/unsupported-media-type"


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/score", 405),
        ("PUT", "/score", 405),
        ("BREW", "/score", 405),
        ("POST", "/", 405),
        ("GET", "/nowhere", 404),
        ("POST", "/score/", 404),
        ("GET", "/%ff", 404),
        ("GET", "/app.js%00", 404),
        ("GET", "/../settings.ini", 404),
        ("GET", "/%2e%2e/settings.ini", 404),
        ("GET", "/docs/%2e%2e/settings.ini", 404),
        ("GET", "/docs/a%00b", 404),
        ("GET", "/problems/none", 404),
    ],
)
def test_other_addresses_and_methods_are_problems_too(service, method, path, status):
    answer = service.request(method, path)
    assert (
        answer.status == status
        and answer.headers["content-type"] == "application/problem+json"
        and answer.json["status"] == status
    )
    if status == 405:
        assert "POST" in answer.headers["allow"] or path == "/"


# ---- the audit ---------------------------------------------------------------------------------------------------------------


def test_concurrent_decisions_are_all_audited_in_one_sound_chain(service):
    before = service.decisions()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda i: service.score(changed(montant=1000 + i)), range(240)))
    assert {a.status for a in answers} == {200}
    ids = {a.json["decision_id"] for a in answers}
    assert len(ids) == 240 and service.decisions() == before + 240
    assert ids <= {row[0] for row in service.sql("select decision_id from decisions")}
    assert check_audit(service) == []


def test_a_changed_or_missing_row_is_named(own_service):
    ids = [own_service.score(changed(montant=1000 + i)).json["decision_id"] for i in range(5)]
    assert check_audit(own_service) == []
    own_service.sql(
        "update decisions set dossier = replace(dossier, '1001', '1009') where decision_id = ?",
        ids[1],
    )
    own_service.sql("delete from decisions where decision_id = ?", ids[3])
    problems = check_audit(own_service)
    assert (
        len(problems) == 3
        and ids[1] in problems[0]
        and "changed" in problems[0]
        and ids[4] in problems[1]
        and "missing" in problems[1]
    )
    assert (
        ids[1] in problems[2] and "gives another answer" in problems[2]
    )  # made again from the dossier that is there now


def test_no_decision_without_its_audit_row(own_service):
    assert own_service.score(EXAMPLE).status == 200
    before = own_service.decisions()
    own_service.sql("alter table decisions rename to away")
    answer = own_service.score(changed(revenu_mensuel=7654.32))
    assert (
        answer.status == 503
        and answer.json["type"] == "/problems/audit-unavailable"
        and "retry-after" in answer.headers
    )
    assert "probabilite_defaut" not in answer.json and "decision_id" not in answer.json
    assert (
        own_service.request("GET", "/readyz").status == 503
        and own_service.request("GET", "/healthz").status == 200
    )
    own_service.sql("alter table away rename to decisions")
    assert own_service.decisions() == before
    until(lambda: own_service.request("GET", "/readyz").status == 200)
    assert own_service.score(EXAMPLE).status == 200 and own_service.decisions() == before + 1
    assert check_audit(own_service) == []
    assert "audit" in own_service.log and not any(
        fact in own_service.log for fact in ("7654.32", EXAMPLE["client"]["date_naissance"], KEY)
    )


def test_a_bank_that_cannot_be_read_is_a_503_and_facts_inline_still_score(own_service):
    asked = {
        "client_id": own_service.sql("select min(client_id) from clients")[0][0],
        "demande": {"montant": 9000, "duree_mois": 48},
    }
    assert own_service.score(asked).status == 200
    own_service.sql("alter table releves_mensuels rename to away")
    answer = own_service.score(asked)
    assert (
        answer.status == 503
        and answer.json["type"] == "/problems/bank-unavailable"
        and "releves" not in answer.body.decode()
    )
    assert own_service.score(EXAMPLE).status == 200
    own_service.sql("alter table away rename to releves_mensuels")
    assert own_service.score(asked).status == 200


def under_load(service, seconds):
    "Requests from eight connections until the server is gone; the decisions that were received whole."
    received, stop = [], threading.Event()

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
        while not stop.is_set():
            try:
                connection.request(
                    "POST",
                    "/score",
                    encoded(),
                    {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
                )
                response = connection.getresponse()
                body = response.read()
                if response.status == 200:
                    received.append(json.loads(body)["decision_id"])
            except (OSError, http.client.HTTPException):
                return

    threads = [threading.Thread(target=client) for _ in range(8)]
    for t in threads:
        t.start()
    stop.wait(seconds)
    return received, stop, threads


@pytest.mark.parametrize("victim", ["everything", "the worker"])
def test_a_killed_server_loses_no_decision_that_it_gave(own_directory, victim):
    received = []
    for _ in range(3):
        with running(own_directory) as service:
            got, stop, threads = under_load(service, 0.7)
            if victim == "everything":
                os.killpg(service.process.pid, signal.SIGKILL)
            else:
                for pid in service.workers():
                    os.kill(pid, signal.SIGKILL)
            for t in threads:
                t.join(30)
            stop.set()
            assert len(got) > 10
            received += got
            if victim == "the worker":  # the server starts another one by itself
                until(lambda: ready(service))
                assert service.score(EXAMPLE).status == 200
            assert set(received) <= {
                row[0] for row in service.sql("select decision_id from decisions")
            }
            assert check_audit(service) == []


def ready(service):
    try:
        return service.request("GET", "/readyz").status == 200
    except OSError:
        return False


def test_mariadb_keeps_the_same_promises(trained, tmp_path, mariadb_url):
    create_bank(mariadb_url, n_clients=50, truth=tmp_path / "truth.db", progress=False)
    engine = connect(mariadb_url)
    (tmp_path / "artifacts").symlink_to(trained / "artifacts")
    with running(tmp_path, CREDIT_RISK_DATABASE_URL=mariadb_url) as service:
        asked = {"client_id": 1, "demande": {"montant": 9000, "duree_mois": 48}}
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(
                    lambda i: service.score(changed(montant=1000 + i) if i % 2 else asked),
                    range(80),
                )
            )
        assert {a.status for a in answers} == {200}
        with engine.begin() as connection:
            connection.exec_driver_sql("rename table decisions to away")
        assert service.score(EXAMPLE).json["type"] == "/problems/audit-unavailable"
        with engine.begin() as connection:
            connection.exec_driver_sql("rename table away to decisions")
        with (
            engine.connect() as connection
        ):  # every connection of the service is cut, as by a restart
            me = connection.exec_driver_sql("select connection_id()").scalar()
            others = [
                row[0]
                for row in connection.exec_driver_sql("show processlist")
                if row[0] != me and row[3] == engine.url.database
            ]
            for other in others:
                connection.exec_driver_sql(f"kill {other}")
        assert (
            others
            and service.score(asked).status == 200
            and service.request("GET", "/readyz").status == 200
        )
    with engine.connect() as connection:
        assert (
            chain_problems(connection) == []
            and connection.exec_driver_sql("select count(*) from decisions").scalar() == 81
        )
        stored = {
            row[0]: row[1]
            for row in connection.exec_driver_sql("select decision_id, resultat from decisions")
        }
    engine.dispose()
    assert all(stored[a.json["decision_id"]].encode() == a.body for a in answers)


# ---- starting and stopping ---------------------------------------------------------------------------------------------------


def start(directory, *options, **changes):
    "A start that is expected to be refused."
    return subprocess.run(
        [sys.executable, "-m", "api", "--port", str(free_port()), *options],
        cwd=ROOT,
        env=environment(directory, **changes),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "setting, value, words",
    [
        ("CREDIT_RISK_API_KEY", None, "CREDIT_RISK_API_KEY is not set"),
        ("CREDIT_RISK_API_KEY", "short", "at least 20"),
        ("CREDIT_RISK_API_KEY", "twenty characters and a space", "without spaces"),
        ("CREDIT_RISK_API_KEY_FILE", "/nowhere/key", "not both"),
        ("CREDIT_RISK_DATABASE_URL", "oracle://me:secret@host/db", "sqlite:// or mariadb://"),
        ("CREDIT_RISK_DATABASE_URL", "::secret", "must read"),
        ("CREDIT_RISK_DATABASE_URL", "sqlite:////proc/none/bank.db", "CREDIT_RISK_DATABASE_URL"),
        ("CREDIT_RISK_DATABASE_URL", "mariadb://me:secret@127.0.0.1:1/db", "does not answer"),
        ("CREDIT_RISK_ARTIFACTS", "/nowhere", "credit-risk retrain"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(trained, setting, value, words):
    refused = start(trained, **{setting: value})
    assert refused.returncode == 2 and refused.stdout == ""
    assert (
        refused.stderr.startswith("credit-risk: ")
        and refused.stderr.count("\n") == 1
        and words in refused.stderr
    )
    assert "me:secret" not in refused.stderr and "::secret" not in refused.stderr


def test_a_bank_without_tables_is_refused(trained, tmp_path):
    refused = start(trained, CREDIT_RISK_DATABASE_URL=f"sqlite:///{tmp_path}/empty.db")
    assert refused.returncode == 2 and "credit-risk init-db" in refused.stderr


def test_an_artifact_with_a_changed_byte_is_refused(own_directory):
    version = (own_directory / "artifacts" / "current").read_text().strip()
    scorer = own_directory / "artifacts" / version / "scorer.json"
    scorer.write_bytes(scorer.read_bytes().replace(b"1", b"2", 1))
    refused = start(own_directory)
    assert (
        refused.returncode == 2
        and "scorer.json" in refused.stderr
        and refused.stderr.count("\n") == 1
    )


def test_a_port_that_is_taken_is_refused(service):
    refused = start(service.directory, "--port", str(service.port))
    assert (
        refused.returncode == 2
        and f"127.0.0.1:{service.port}" in refused.stderr
        and refused.stderr.count("\n") == 1
    )
    assert start(service.directory, "--port", "eighty").returncode == 2


def test_it_listens_on_this_machine_only(service):
    with socket.socket() as s, pytest.raises(OSError):
        s.connect(("127.0.0.2", service.port))


def test_it_prints_one_address_with_the_key_when_asked(own_directory):
    key_file = own_directory / "key"
    key_file.write_text("another-key-for-the-tests\n")
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "api",
            "--port",
            str(port := free_port()),
            "--print-key",
            "--workers",
            "2",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(
            own_directory, CREDIT_RISK_API_KEY=None, CREDIT_RISK_API_KEY_FILE=str(key_file)
        ),
    ) as process:
        try:
            assert (
                process.stdout.readline()
                == f"http://127.0.0.1:{port}/#key=another-key-for-the-tests\n"
            )
        finally:
            process.terminate()
        assert process.stdout.read() == "" and process.wait(20) == 0


def test_it_stops_with_its_children_and_finishes_what_it_accepted(own_directory):
    with running(own_directory, "--workers", "2") as service:
        workers = service.workers()
        got, stop, threads = under_load(service, 0.5)
        service.process.terminate()
        assert service.process.wait(20) == 0
        stop.set()
        for t in threads:
            t.join(30)
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
        assert (
            got
            and set(got) <= {row[0] for row in service.sql("select decision_id from decisions")}
            and check_audit(service) == []
        )


def test_workers_do_not_outlive_a_killed_server(own_service):
    workers = own_service.workers()
    own_service.process.kill()
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
