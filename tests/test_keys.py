"""API keys: what a scope opens, how soon a change of a key is followed, the rate limit, origins."""

from datetime import UTC, datetime, timedelta

import pytest
from command import credit_risk
from service import KEY, copy_of, running, until

from credit_risk.keys import create_key, revoke_key


def known(service, key):
    "Wait until the service knows a key of scope score."
    until(lambda: service.score_with(key).status == 200, 5)


def refused(service, key, seconds=5):
    "Wait until the service no longer knows a key."
    until(lambda: service.score_with(key).status == 401, seconds)


def test_a_new_key_and_a_revoked_one_are_followed_while_requests_go_on(module_service):
    with module_service.bank() as connection:
        key = create_key(connection, "agence-12", ["score"])
    known(module_service, key)
    with module_service.bank() as connection:
        revoke_key(connection, "agence-12")
    refused(module_service, key)
    assert module_service.score_with(KEY).status == 200


def test_a_key_opens_what_its_scope_says_and_no_more(module_service):
    with module_service.bank() as connection:
        score = create_key(connection, "agence-13", ["score"])
        audit = create_key(connection, "controle", ["audit"])
    known(module_service, score)
    answer = module_service.score_with(audit)
    assert answer.status == 403
    assert answer.json["type"] == "/problems/forbidden"
    assert "scope score" in answer.json["detail"]
    assert ("controle",) not in module_service.sql("select distinct cle from decisions")


def test_the_audit_names_the_key_that_decided_and_the_log_shows_none(module_service):
    with module_service.bank() as connection:
        key = create_key(connection, "agence-14", ["score"])
    known(module_service, key)
    assert ("agence-14",) in module_service.sql("select distinct cle from decisions")
    assert key not in module_service.log


def test_an_expired_key_opens_nothing(module_service):
    expires = datetime.now(UTC) + timedelta(seconds=3)
    with module_service.bank() as connection:
        key = create_key(connection, "stage", ["score"], expires)
    known(module_service, key)
    refused(module_service, key, 6)


@pytest.fixture(scope="module")
def limited(trained):
    "A service that lets a key call five times a minute."
    with copy_of(trained) as folder, running(folder, CREDIT_RISK_RATE_LIMIT="5/minute") as service:
        yield service


def test_a_key_that_calls_too_often_is_told_how_long_to_wait(limited):
    before = limited.decisions()
    answers = [limited.score() for _ in range(7)]
    assert [a.status for a in answers] == [200] * 5 + [429] * 2
    assert answers[-1].json["type"] == "/problems/too-many-requests"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert limited.decisions() == before + 5


def test_a_key_that_calls_too_often_leaves_other_keys_served(limited):
    with limited.bank() as connection:
        busy, other = (create_key(connection, name, ["score"]) for name in ("busy", "other"))
    known(limited, busy)
    while limited.score_with(busy).status == 200:
        pass
    known(limited, other)
    assert limited.request("GET", "/healthz").status == 200


@pytest.fixture(scope="module")
def let_in(trained):
    "A service that lets in the pages of one origin."
    with running(trained, CREDIT_RISK_CORS_ORIGINS="https://desk.example.org") as service:
        yield service


PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
    "Authorization": None,
}


def test_pages_of_an_origin_that_is_named_are_let_in(let_in):
    origin = "https://desk.example.org"
    before = let_in.request("OPTIONS", "/score", headers=PREFLIGHT | {"Origin": origin})
    answer = let_in.score(Origin=origin)
    assert answer.status == 200
    for headers in (before.headers, answer.headers):
        assert headers["access-control-allow-origin"] == origin
        assert "origin" in headers["vary"].lower()
    assert "authorization" in before.headers["access-control-allow-headers"].lower()


@pytest.mark.parametrize("origin", ["https://evil.example.org", "null"])
def test_pages_of_other_origins_are_not_let_in(let_in, origin):
    before = let_in.request("OPTIONS", "/score", headers=PREFLIGHT | {"Origin": origin})
    answer = let_in.score(Origin=origin)
    assert answer.status == 200
    for headers in (before.headers, answer.headers):
        assert "access-control-allow-origin" not in headers
        assert "access-control-allow-headers" not in headers
        assert "origin" in headers["vary"].lower()


def cli(directory, *words):
    "Run `credit-risk key` on a bank."
    url = f"sqlite:///{directory}/bank.db"
    return credit_risk("key", *words, cwd=directory, CREDIT_RISK_DATABASE_URL=url)


SCOPES = ("--scope", "score", "--scope", "audit")


def test_a_key_is_made_on_the_command_line_listed_without_it_and_revoked(own_directory):
    made = cli(own_directory, "create", "agence-12", *SCOPES, "--expires", "2099-01-01")
    assert made.returncode == 0
    assert made.stdout.startswith("cr_")
    assert made.stdout.count("\n") == 1
    assert "agence-12" in made.stderr
    key = made.stdout.strip()
    with running(own_directory) as service:
        assert service.score_with(key).status == 200
        listed = cli(own_directory, "list").stdout
        assert all(text in listed for text in ("agence-12", "score audit", "2099-01-01"))
        assert key not in listed
        assert cli(own_directory, "revoke", "agence-12").returncode == 0
        refused(service, key)


def test_a_name_is_given_to_one_key_only(own_directory):
    assert cli(own_directory, "create", "agence-12", *SCOPES).returncode == 0
    again = cli(own_directory, "create", "agence-12", *SCOPES)
    assert again.returncode == 1
    assert "choose a new one" in again.stderr
    assert again.stderr.count("\n") == 1
