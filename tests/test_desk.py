"""What is asked beside a decision: a simulation, what would improve it, the facts of a client."""

import time
from datetime import date, timedelta

import pytest

from credit_risk.changes import smallest_changes
from credit_risk.contract import EXAMPLE, EXAMPLES, RISKY, parse_request
from credit_risk.fields import FIELDS, SECTIONS
from credit_risk.version import load_version

ORDER = ["refuser", "examiner", "accepter"]  # the better recommendation last

# ---- simulations -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_simulation_is_the_answer_of_a_decision_without_being_one(service, name):
    body = EXAMPLES[name][2]
    decided = service.score(body).json
    del decided["decision_id"]
    before = service.decisions()
    tried = service.post("/simulate", body)
    assert tried.status == 200
    assert tried.json == {"simulation": True} | decided
    assert service.decisions() == before


REFUSED = [
    {},
    [],
    {"client": {}},
    EXAMPLE | {"demande": EXAMPLE["demande"] | {"montant": -1, "date_demande": "2031-01-01"}},
    {"client_id": 2**31 - 1, "demande": EXAMPLE["demande"]},
]


@pytest.mark.parametrize("path", ["/simulate", "/simulate/changes"])
@pytest.mark.parametrize("body", REFUSED)
def test_a_simulation_refuses_what_a_decision_refuses_in_the_same_words(service, path, body):
    refused = service.score(body)
    answer = service.post(path, body)
    assert answer.status == refused.status == 422
    assert answer.json == refused.json
    assert answer.headers["content-type"] == refused.headers["content-type"]


# ---- what would improve the recommendation -----------------------------------------------------


@pytest.fixture(scope="module")
def changes(service):
    "The changes that would improve the recommendation of a risky application."
    found = service.post("/simulate/changes", RISKY).json["changements"]
    assert found
    return found


def applied(change):
    "The risky application after a change."
    body = {section: dict(facts) for section, facts in RISKY.items()}
    for one in change["changements"]:
        name = one["champ"]
        facts = body[FIELDS[name].section]
        assert facts[name] == one["avant"] != one["apres"]
        facts[name] = int(one["apres"]) if name == "duree_mois" else one["apres"]
    return body


def test_each_change_gives_what_a_simulation_of_it_gives(service, changes):
    for change in changes:
        simulated = service.post("/simulate", applied(change)).json
        for name in ("recommandation", "probabilite_defaut", "intervalle"):
            assert change[name] == simulated[name]


def test_each_change_improves_the_recommendation(service, changes):
    now = service.post("/simulate", RISKY).json["recommandation"]
    assert all(ORDER.index(c["recommandation"]) > ORDER.index(now) for c in changes)


HOPELESS = {  # nothing helps, so that every candidate is tried
    "nb_prets_defaut": 3,
    "nb_rejets_12m": 40,
    "nb_rejets_3m": 20,
    "jours_decouvert_12m": 300,
    "jours_decouvert_3m": 90,
    "mois_depuis_rejet": 1,
    "epargne": 1.0,
}


@pytest.mark.parametrize("facts", [{}, HOPELESS], ids=["risky", "hopeless"])
def test_the_changes_come_in_bounded_time(trained, facts):
    "In the time of the processor, the best of several: other work shares the machine."
    version = load_version(trained / "artifacts")
    dossier = parse_request(RISKY, date.today())[1] | facts

    def seconds():
        start = time.process_time()
        smallest_changes(dossier, version)
        return time.process_time() - start

    assert min(seconds() for _ in range(5)) < 0.05


# ---- the facts of a client ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def asked(service):
    "The client and the day of the last application of the bank, and the facts of then."
    client, day = service.sql(
        "select client_id, date_demande from demandes_de_pret order by demande_id desc limit 1"
    )[0]
    return client, day, service.request("GET", f"/clients/{client}?date={day}")


def test_the_facts_of_a_client_are_those_of_the_contract(asked):
    client, day, facts = asked
    assert facts.status == 200
    assert (facts.json["client_id"], facts.json["date_demande"]) == (client, day)
    for section in ("client", "compte"):
        assert set(facts.json[section]) == {f.name for f in SECTIONS[section]}


def test_the_facts_of_a_client_are_not_kept_by_a_browser(asked):
    assert asked[2].headers["cache-control"] == "no-store"


def test_the_facts_of_a_client_are_those_that_a_decision_reads(service, asked):
    client, day, facts = asked
    demande = EXAMPLE["demande"] | {"date_demande": day}
    inline = {part: facts.json[part] for part in ("client", "compte")} | {"demande": demande}
    by_facts = service.post("/simulate", inline)
    by_id = service.post("/simulate", {"client_id": client, "demande": demande})
    assert by_facts.status == by_id.status == 200
    assert by_facts.json == by_id.json


@pytest.mark.parametrize(
    "path, status, pointer",
    [
        (f"/clients/{2**31 - 1}", 404, "/client_id"),
        (f"/clients/{10**30}", 404, "/client_id"),
        ("/clients/1?date=2024-13-01", 422, "/date"),
        (f"/clients/1?date={date.today() + timedelta(days=1)}", 422, "/date"),
        ("/clients/1?date=20240101", 422, "/date"),
    ],
)
def test_the_facts_of_nobody_or_of_no_day_are_a_problem(service, path, status, pointer):
    answer = service.request("GET", path)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert [e["pointer"] for e in answer.json["errors"]] == [pointer]


def test_a_client_is_named_by_a_number(service):
    assert service.request("GET", "/clients/abc").status == 404


# ---- keys and compression ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "method, path",
    [("POST", "/simulate"), ("POST", "/simulate/changes"), ("GET", "/clients/1")],
)
def test_each_needs_a_key(service, method, path):
    body = b"{}" if method == "POST" else None
    assert service.request(method, path, body, {"Authorization": None}).status == 401


GZIP = {"Accept-Encoding": "gzip"}


@pytest.mark.parametrize("path", ["/", "/app.js", "/style.css", "/openapi.json"])
def test_a_text_that_is_the_same_for_everyone_is_sent_small(service, path):
    small = service.request("GET", path, headers=GZIP)
    plain = service.request("GET", path)
    assert small.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert len(small.body) < len(plain.body) / 2
    assert "Accept-Encoding" in small.headers["vary"]
    assert "Accept-Encoding" in plain.headers["vary"]


@pytest.mark.parametrize("path", ["/", "/app.js", "/style.css"])
def test_a_text_that_has_not_changed_is_not_sent_again(service, path):
    etag = service.request("GET", path, headers=GZIP).headers["etag"]
    again = service.request("GET", path, headers=GZIP | {"If-None-Match": etag})
    assert again.status == 304


def test_an_answer_with_facts_of_a_client_is_not_compressed(service):
    assert "content-encoding" not in service.post("/simulate", EXAMPLE, **GZIP).headers
