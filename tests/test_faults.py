"""What breaks around the service: killed processes, a killed database, a full disk, damaged artifacts, slow and hostile callers."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from mariadb_server import private_mariadb
from service import KEY, Load, running, until
from test_api import changed, check_audit

from credit_risk.artifacts import promote, read_version, write_version
from credit_risk.audit import verify
from credit_risk.bank import create_bank
from credit_risk.contract import EXAMPLE
from credit_risk.database import connect

CYCLES = int(os.environ.get("FAULT_CYCLES", "2"))  # make soak: twenty


def ready(service):
    try:
        return service.request("GET", "/readyz").status == 200
    except OSError:
        return False


def test_killed_workers_lose_no_decision_and_come_back(own_directory):
    with (
        running(own_directory, "--workers", "2", CREDIT_RISK_RATE_LIMIT="100000/second") as service,
        Load(service) as load,
    ):
        for _ in range(CYCLES):
            time.sleep(
                6
            )  # a process that dies within 5.5 s of its start is a crash loop to the server: it exits, and whoever supervises it starts it again
            load.goes_on()
            for pid in service.workers():
                os.kill(pid, signal.SIGKILL)
        load.goes_on()
        load.__exit__()
        assert set(load.statuses) == {200} and set(load.received) <= {
            row[0] for row in service.sql("select decision_id from decisions")
        }
        assert check_audit(service) == [] and ready(service)


def test_a_killed_database_loses_no_decision_and_the_service_recovers(trained):
    with private_mariadb("--innodb-flush-log-at-trx-commit=1") as server, server.database() as url:
        engine = connect(url)
        create_bank(engine, 5, progress=False)
        with (
            running(
                trained,
                "--workers",
                "2",
                CREDIT_RISK_DATABASE_URL=url,
                CREDIT_RISK_RATE_LIMIT="100000/second",
            ) as service,
            Load(service) as load,
        ):
            for _ in range(CYCLES):
                load.goes_on()
                server.kill()
                until(lambda: 503 in load.statuses[-20:])
                assert not ready(service)
                server.start()
                until(lambda: ready(service), 30)
            load.goes_on()
            load.__exit__()
            assert set(load.statuses) == {200, 503}
            with engine.connect() as c:
                stored = {row[0] for row in c.exec_driver_sql("select decision_id from decisions")}
                assert (
                    set(load.received) <= stored
                    and verify(c, trained / "artifacts")["problems"] == []
                )
        engine.dispose()


def test_a_full_disk_gives_503_and_then_recovers_without_a_restart(own_service):
    assert own_service.score(EXAMPLE).status == 200
    workers = own_service.workers()
    for pid in workers:
        resource.prlimit(
            pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY)
        )  # as on a full disk, no file grows
    answers = [own_service.score(changed(montant=2000 + i)) for i in range(5)]
    assert {a.status for a in answers} == {503} and {a.json["type"] for a in answers} == {
        "/problems/audit-unavailable"
    }
    assert "decision_id" not in answers[0].json
    for pid in workers:
        resource.prlimit(
            pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
    until(lambda: own_service.score(EXAMPLE).status == 200)
    assert workers == own_service.workers() and check_audit(own_service) == []


@pytest.fixture
def small_disk(tmp_path):
    "A file system of 64 MB, which only root may mount; where that is refused, `test_a_full_disk…` above still stands in for it."
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_file_system_without_space_gives_503_and_then_recovers_without_a_restart(
    own_directory, small_disk
):
    shutil.copytree(own_directory, small_disk, dirs_exist_ok=True)
    with running(small_disk) as service:
        given, workers = [service.score(EXAMPLE)], service.workers()
        with open(small_disk / "filler", "wb", buffering=0) as filler:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while True:
                        filler.write(bytes(size))
        assert shutil.disk_usage(small_disk).free == 0
        given += [
            service.score(changed(montant=2000 + i)) for i in range(20)
        ]  # some still fit into what the journal held
        refused = [a for a in given if a.status != 200]
        assert len(refused) > 10 and {a.json["type"] for a in refused} == {
            "/problems/audit-unavailable"
        }
        (small_disk / "filler").unlink()
        until(lambda: service.score(EXAMPLE).status == 200)
        assert workers == service.workers() and check_audit(service) == []
        assert {a.json["decision_id"] for a in given if a.status == 200} <= {
            row[0] for row in service.sql("select decision_id from decisions")
        }


# ---- artifacts ---------------------------------------------------------------------------------------------------------------


def another_version(directory, name, intercept):
    "A copy of the version that serves under another name, with another intercept; its golden rows are left out."
    content = read_version(directory / "artifacts", "test")
    scorer = content["scorer"]
    scorer["model"]["intercept"] += intercept
    write_version(
        directory / "artifacts",
        name,
        {
            "scorer.json": scorer,
            "anomaly.json": content["anomaly"],
            "metrics.json": {},
            "model_card.md": "Made by a test.",
        },
        {},
        [],
    )


def test_a_promoted_version_is_picked_up_without_dropping_a_request_and_a_bad_one_is_not(
    own_directory,
):
    another_version(own_directory, "next", 0.5)
    another_version(own_directory, "bad", 0.7)
    artifacts = own_directory / "artifacts"
    with (
        running(own_directory, "--workers", "2", CREDIT_RISK_RATE_LIMIT="100000/second") as service,
        Load(service) as load,
    ):

        def version():
            return service.score(EXAMPLE).json["modele"]["version"]

        assert version() == "test"
        load.goes_on()
        promote(artifacts, "next")
        until(lambda: {version() for _ in range(8)} == {"next"})
        file = artifacts / "bad" / "anomaly.json"
        file.write_bytes(file.read_bytes().replace(b"1", b"2", 1))
        (artifacts / "current").write_text("bad\n")  # by hand: promote would refuse it
        until(lambda: "anomaly.json" in service.request("GET", "/readyz").json.get("refused", ""))
        load.goes_on()
        assert {version() for _ in range(8)} == {"next"}
        load.__exit__()
        assert set(load.statuses) == {200} and check_audit(service) == []


def test_a_worker_that_starts_on_a_bad_version_takes_the_one_before_it(own_directory):
    another_version(own_directory, "next", 0.5)
    artifacts = own_directory / "artifacts"
    promote(artifacts, "next")
    file = artifacts / "next" / "scorer.json"
    file.write_bytes(file.read_bytes().replace(b"1", b"2", 1))
    with running(own_directory) as service:
        assert service.score(EXAMPLE).json["modele"]["version"] == "test"
        said = service.request("GET", "/readyz").json
        assert (
            said["version"] == "test"
            and "scorer.json" in said["refused"]
            and "scorer.json" in service.log
        )


@pytest.mark.parametrize(
    "name", ["scorer.json", "anomaly.json", "metrics.json", "model_card.md", "manifest.json"]
)
def test_a_changed_byte_of_the_version_that_serves_is_named(own_service, name):
    file = own_service.directory / "artifacts" / "test" / name
    whole = file.read_bytes()
    file.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    answer = own_service.request("GET", "/readyz")
    assert answer.status == 503 and name in answer.json["detail"]
    file.write_bytes(whole)
    assert ready(own_service)


# ---- callers -----------------------------------------------------------------------------------------------------------------


def send_slowly(port, seconds, n=1):
    "Bodies that come a byte at a time; what the server says of each."

    def one(_):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
            s.sendall(
                f"POST /score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n".encode()
            )
            end = time.monotonic() + seconds
            s.settimeout(0.2)
            while time.monotonic() < end:
                try:
                    s.sendall(b" ")
                    if said := s.recv(4000):
                        return said
                    return b"closed"
                except TimeoutError:
                    continue
                except OSError:
                    return b"closed"
            return b"nothing"

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(one, range(n)))


def test_slow_bodies_hold_the_service_no_longer_than_it_allows(own_directory):
    with running(own_directory, CREDIT_RISK_BODY_SECONDS="1") as service:
        started = time.monotonic()
        said = send_slowly(service.port, 20, 40)  # more than the threads there are
        assert b"nothing" not in said and any(b" 408 " in s for s in said), said[:3]
        assert time.monotonic() - started < 15 and service.score(EXAMPLE).status == 200


def test_floods_of_headers_and_endless_request_lines_are_refused(service):
    for head in (
        "".join(f"X-{i}: {i}\r\n" for i in range(5_000)),
        f"X-Long: {'x' * 500_000}\r\n",
        f"Cookie: {'a=b; ' * 60_000}\r\n",
    ):
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as s:
            try:
                s.sendall(
                    f"POST /score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n{head}\r\n".encode()
                )
                said = s.recv(200)
            except OSError:
                said = b""
            assert said == b"" or said.split()[1] in (b"400", b"413", b"431"), said
    assert service.score(EXAMPLE).status == 200


HOSTILE = [
    "' or 1=1; drop table decisions; --",
    '"><script>alert(1)</script>',
    "{{7*7}}",
    "${jndi:ldap://x/y}",
    "../../etc/passwd",
    "\u202egnp.exe",
    "A" * 20_000,
    "\x00",
    "%s%s%n",
    "=cmd|' /C calc'!A0",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_in_any_string_gets_nowhere(service, text):
    before = service.decisions()
    for section, facts in EXAMPLE.items():
        for name in facts:
            body = {**EXAMPLE, section: {**facts, name: text}}
            answer = service.score(body)
            assert (
                answer.status == 422
                and [e["pointer"] for e in answer.json["errors"]] == [f"/{section}/{name}"]
                and text not in answer.body.decode()
            ), (name, answer.body)
    for body in (
        {text: 1},
        {**EXAMPLE, text: {}},
        {**EXAMPLE, "client": {**EXAMPLE["client"], text: 1}},
        {"client_id": text, "demande": EXAMPLE["demande"]},
    ):
        assert service.score(body).status in (400, 422)
    for headers in ({"Idempotency-Key": text}, {"X-Request-Id": text}):
        try:
            answer = service.score({}, **headers)
        except (ValueError, UnicodeEncodeError):
            continue  # not even a header
        assert answer.status in (400, 422)
    assert service.decisions() == before and text not in service.log


# ---- idempotency, batch, reading again -----------------------------------------------------------------------------------------


def test_a_repeated_request_gets_the_same_decision_and_another_body_a_409(own_service):
    key, before = {"Idempotency-Key": "order-1"}, own_service.decisions()
    first = own_service.score(EXAMPLE, **key)
    again = own_service.score(EXAMPLE, **key)
    assert (
        first.status == again.status == 200
        and first.body == again.body
        and again.headers["idempotency-replayed"] == "true"
        and "idempotency-replayed" not in first.headers
    )
    other = own_service.score(changed(montant=9001), **key)
    assert (
        other.status == 409
        and other.json["type"] == "/problems/key-reused"
        and own_service.decisions() == before + 1
    )
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(
                lambda i: own_service.score(
                    changed(montant=5000 + i % 4), **{"Idempotency-Key": f"race-{i % 4}"}
                ),
                range(64),
            )
        )
    assert (
        {a.status for a in answers} == {200}
        and len({a.body for a in answers}) == 4
        and own_service.decisions() == before + 5
    )
    assert own_service.score(EXAMPLE, **{"Idempotency-Key": "two words"}).status == 400
    assert check_audit(own_service) == []


def test_a_batch_decides_each_application_and_names_the_errors_of_the_others(own_service):
    before = own_service.decisions()
    sent = {
        "applications": [
            EXAMPLE,
            changed(montant=-5, objet="yacht"),
            changed(montant=12_000),
            {"client_id": 2147483647, "demande": {"montant": 9000, "duree_mois": 48}},
            7,
        ]
    }
    answer = own_service.request("POST", "/score/batch", json.dumps(sent).encode())
    results = answer.json["resultats"]
    assert answer.status == 200 and len(results) == 5 and own_service.decisions() == before + 2
    alone = own_service.score(EXAMPLE).json
    assert results[0] | {"decision_id": ""} == alone | {"decision_id": ""}
    assert {e["pointer"] for e in results[1]["errors"]} == {
        "/applications/1/demande/montant",
        "/applications/1/demande/objet",
    }
    assert [e["pointer"] for e in results[3]["errors"]] == ["/applications/3/client_id"] and [
        e["pointer"] for e in results[4]["errors"]
    ] == ["/applications/4"]
    full = own_service.request(
        "POST", "/score/batch", json.dumps({"applications": [EXAMPLE] * 200}).encode()
    )
    assert full.status == 200 and own_service.decisions() == before + 203
    for wrong in (
        {"applications": [EXAMPLE] * 201},
        {"applications": []},
        {"applications": {}},
        [],
        {"applications": [EXAMPLE], "x": 1},
    ):
        assert own_service.request("POST", "/score/batch", json.dumps(wrong).encode()).status == 422
    assert check_audit(own_service) == []


def test_a_decision_is_read_again_with_its_reasons(own_service):
    given = own_service.score(EXAMPLE)
    read = own_service.request("GET", f"/decisions/{given.json['decision_id']}")
    assert (
        read.status == 200
        and read.json["resultat"] == given.json
        and read.json["cle"] == "local"
        and read.json["intacte"] is True
    )
    assert (
        read.headers["x-request-id"] != given.headers["x-request-id"] == given.json["decision_id"]
    )
    own_service.sql(
        "update decisions set cle = 'other' where decision_id = ?", given.json["decision_id"]
    )
    assert (
        own_service.request("GET", f"/decisions/{given.json['decision_id']}").json["intacte"]
        is False
    )
    assert (
        own_service.request("GET", "/decisions/none").json["type"] == "/problems/unknown-decision"
    )


def test_what_prometheus_and_the_log_say(own_service):
    own_service.score(EXAMPLE, **{"X-Request-Id": "gateway-12345678"})
    own_service.score({})
    text = own_service.request("GET", "/metrics").body.decode()
    assert (
        'credit_risk_requests_total{route="/score",status="200"} 1.0' in text
        and 'credit_risk_requests_total{route="/score",status="422"} 1.0' in text
    )
    for name in (
        'credit_risk_model{version="test"} 1.0',
        "credit_risk_request_seconds_bucket",
        "credit_risk_commit_seconds_count 1.0",
        "credit_risk_commit_rows_count 1.0",
        "credit_risk_decisions_total{",
    ):
        assert name in text
    lines = [json.loads(line) for line in own_service.log.splitlines()]
    [line] = [x for x in lines if x.get("gateway_id")]
    assert (
        line["gateway_id"] == "gateway-12345678"
        and line["route"] == "/score"
        and line["status"] == 200
        and line["key"] == "local"
        and len(line["request_id"]) == 36
    )
    assert not any(str(fact) in own_service.log for fact in ("1988-04-12", 2450.0, KEY))


# ---- requests made from the OpenAPI document -------------------------------------------------------------------------------------


def test_requests_made_from_the_document_get_documented_answers(own_directory):
    examples = os.environ.get("FAULT_EXAMPLES", "15")  # for each address and phase; make soak: 250
    with running(own_directory, CREDIT_RISK_RATE_LIMIT="100000/second") as service:
        run = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                "run",
                f"{service.url}openapi.json",
                "-H",
                f"Authorization: Bearer {KEY}",
                "--seed",
                "1",
                "-n",
                examples,
                "--no-color",
                "--phases",
                "examples,coverage,fuzzing",
                "-c",
                "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            ],
            cwd=own_directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout[-3000:]
        [generated] = re.findall(r"(\d+) generated", run.stdout)
        assert int(generated) > 500 and check_audit(service) == []
