"""API keys: what each scope opens, how soon a new key, a revoked one and an expired one are obeyed, and the rate limit."""

import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service import KEY, ROOT, environment, running, until

from credit_risk.contract import EXAMPLE
from credit_risk.database import connect
from credit_risk.keys import create_key, revoke_key


@contextmanager
def bank(service):
    "A transaction on the bank of a service."
    engine = connect(f"sqlite:///{service.directory}/bank.db")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def called(service, key):
    return service.score(EXAMPLE, Authorization=f"Bearer {key}")


def test_a_key_opens_what_its_scope_says_until_it_is_revoked(own_service):
    with bank(own_service) as c:
        score, audit = create_key(c, "agence-12", ["score"]), create_key(c, "controle", ["audit"])
    until(lambda: called(own_service, score).status == 200, 5)
    refused = called(own_service, audit)
    assert (
        refused.status == 403
        and refused.json["type"] == "/problems/forbidden"
        and "scope score" in refused.json["detail"]
    )
    assert ("agence-12",) in own_service.sql(
        "select distinct cle from decisions"
    ) and own_service.sql("select count(*) from decisions where cle = 'controle'") == [(0,)]
    with bank(own_service) as c:
        revoke_key(c, "agence-12")
    until(lambda: called(own_service, score).status == 401, 5)
    assert called(own_service, KEY).status == 200
    assert score not in own_service.log and audit not in own_service.log


def test_an_expired_key_opens_nothing(own_service):
    with bank(own_service) as c:
        key = create_key(c, "stage", ["score"], datetime.now(UTC) + timedelta(seconds=4))
    until(lambda: called(own_service, key).status == 200, 3)
    until(lambda: called(own_service, key).status == 401, 6)


def test_a_key_that_calls_too_often_waits_and_another_does_not(own_directory):
    with running(own_directory, CREDIT_RISK_RATE_LIMIT="5/minute") as service:
        before = service.decisions()
        answers = [service.score(EXAMPLE) for _ in range(7)]
        assert [a.status for a in answers] == [200] * 5 + [429] * 2
        assert (
            answers[-1].json["type"] == "/problems/too-many-requests"
            and 1 <= int(answers[-1].headers["retry-after"]) <= 60
        )
        with bank(service) as c:
            other = create_key(c, "other", ["score"])
        until(lambda: called(service, other).status == 200, 5)
        assert (
            service.request("GET", "/healthz").status == 200 and service.decisions() == before + 6
        )


def test_pages_of_other_origins_are_let_in_by_name_only(own_directory):
    with running(own_directory, CREDIT_RISK_CORS_ORIGINS="https://desk.example.org") as service:
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
            "Authorization": None,
        }
        for origin, let in (
            ("https://desk.example.org", True),
            ("https://evil.example.org", False),
            ("null", False),
        ):
            before = service.request("OPTIONS", "/score", headers=asked | {"Origin": origin})
            answer = service.score(EXAMPLE, Origin=origin)
            assert answer.status == 200
            assert (
                before.headers.get("access-control-allow-origin"),
                answer.headers.get("access-control-allow-origin"),
            ) == ((origin, origin) if let else (None, None))
            assert (
                "authorization" in before.headers.get("access-control-allow-headers", "").lower()
            ) == let
            assert "origin" in answer.headers["vary"].lower()


def test_keys_are_made_listed_and_revoked_on_the_command_line(own_directory):
    def cli(*words):
        return subprocess.run(
            [Path(sys.executable).with_name("credit-risk"), "key", *words],
            cwd=ROOT,
            env=environment(own_directory),
            capture_output=True,
            text=True,
            check=False,
        )

    made = cli(
        "create", "agence-12", "--scope", "score", "--scope", "audit", "--expires", "2099-01-01"
    )
    assert (
        made.returncode == 0
        and made.stdout.startswith("cr_")
        and made.stdout.count("\n") == 1
        and "agence-12" in made.stderr
    )
    key = made.stdout.strip()
    with running(own_directory) as service:
        assert called(service, key).status == 200
        listed = cli("list")
        assert (
            "agence-12" in listed.stdout
            and "score audit" in listed.stdout
            and "2099-01-01" in listed.stdout
            and key not in listed.stdout
        )
        assert cli("revoke", "agence-12").returncode == 0
        until(lambda: called(service, key).status == 401, 5)
    again = cli("create", "agence-12", "--scope", "score")
    assert (
        again.returncode == 1
        and "choose a new one" in again.stderr
        and again.stderr.count("\n") == 1
    )
