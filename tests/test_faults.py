"""What breaks around the service: killed processes and databases, full disks, damaged artifacts.

And callers who are slow or hostile."""

import http.client
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from mariadb_server import private_mariadb
from service import KEY, UNLIMITED, Load, another_version, changed, encoded, running, until

from api.bodies import READS, READS_PER_KEY, BodyReads
from api.problems import Problem
from credit_risk.artifacts import promote
from credit_risk.audit import verify
from credit_risk.bank import create_bank
from credit_risk.contract import EXAMPLE
from credit_risk.database import connect
from credit_risk.keys import create_key

CYCLES = int(os.environ.get("FAULT_CYCLES", "1"))  # make soak: twenty
CRASH_LOOP = 5.5  # seconds: the server gives up where a worker dies sooner after its start


def decision_ids(connection):
    return {row[0] for row in connection.exec_driver_sql("select decision_id from decisions")}


# ---- killed ------------------------------------------------------------------------------------


def test_killed_workers_lose_no_decision_and_come_back(own_directory):
    with (
        running(own_directory, "--workers", "2", **UNLIMITED) as service,
        Load(service) as load,
    ):
        for _ in range(CYCLES):
            time.sleep(CRASH_LOOP + 0.5)
            load.goes_on()
            for pid in service.workers():
                os.kill(pid, signal.SIGKILL)
        load.goes_on()
        load.stop()
        assert set(load.statuses) == {200}
        assert set(load.received) <= service.decision_ids()
        assert service.audit_problems() == []
        assert service.is_ready()


@pytest.fixture
def durable_mariadb():
    "A MariaDB of the test's own, whose commits are on the disk, and the address of a bank in it."
    with private_mariadb("--innodb-flush-log-at-trx-commit=1") as server, server.database() as url:
        engine = connect(url)
        create_bank(engine, 5, progress=False)
        engine.dispose()
        yield server, url


def test_a_killed_database_loses_no_decision_and_the_service_recovers(trained, durable_mariadb):
    server, url = durable_mariadb
    changes = {"CREDIT_RISK_DATABASE_URL": url, **UNLIMITED}
    with running(trained, "--workers", "2", **changes) as service, Load(service) as load:
        for _ in range(CYCLES):
            load.goes_on()
            server.kill()
            until(lambda: 503 in load.statuses[-20:])
            assert not service.is_ready()
            server.start()
            until(service.is_ready, 30)
        load.goes_on()
        load.stop()
    engine = connect(url)
    with engine.connect() as connection:
        assert set(load.received) <= decision_ids(connection)
        assert verify(connection, trained / "artifacts")["problems"] == []
    engine.dispose()
    assert set(load.statuses) == {200, 503}


# ---- full disks --------------------------------------------------------------------------------


def limit_file_size(pids, size):
    "As on a full disk, no file of these processes grows beyond a size."
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_full_disk_gives_503_and_then_recovers_without_a_restart(own_service):
    assert own_service.score().status == 200
    workers = own_service.workers()
    limit_file_size(workers, 4096)
    answers = [own_service.score(changed(montant=2000 + i)) for i in range(5)]
    assert {a.status for a in answers} == {503}
    assert {a.json["type"] for a in answers} == {"/problems/audit-unavailable"}
    assert "decision_id" not in answers[0].json
    limit_file_size(workers, resource.RLIM_INFINITY)
    until(lambda: own_service.score().status == 200)
    assert workers == own_service.workers()
    assert own_service.audit_problems() == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 MB, which only root may mount.

    Where that is refused, `test_a_full_disk…` above stands in for it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(disk, file):
    "Write a file until nothing more fits on the disk."
    with open(file, "wb", buffering=0) as filler:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    filler.write(bytes(size))
    assert shutil.disk_usage(disk).free == 0


def test_a_file_system_without_space_gives_503_and_then_recovers_without_a_restart(
    own_directory, small_disk
):
    shutil.copytree(own_directory, small_disk, dirs_exist_ok=True)
    filler = small_disk / "filler"
    with running(small_disk) as service:
        answers = [service.score()]
        workers = service.workers()
        fill(small_disk, filler)
        # some decisions still fit into what the journal held
        answers += [service.score(changed(montant=2000 + i)) for i in range(20)]
        refused = [a for a in answers if a.status != 200]
        assert len(refused) > 10
        assert {a.json["type"] for a in refused} == {"/problems/audit-unavailable"}
        filler.unlink()
        until(lambda: service.score().status == 200)
        assert workers == service.workers()
        assert service.audit_problems() == []
        given = {a.json["decision_id"] for a in answers if a.status == 200}
        assert given <= service.decision_ids()


# ---- artifacts ---------------------------------------------------------------------------------


FILES = ("scorer.json", "anomaly.json", "metrics.json", "model_card.md", "manifest.json")


def damage(file):
    "Change a byte in the numbers of a file."
    file.write_bytes(file.read_bytes().replace(b"1", b"2", 1))


def versions_of(service):
    "The versions that answer now: several requests, since they may reach several processes."
    return {service.score().json["modele"]["version"] for _ in range(8)}


def test_a_promoted_version_is_picked_up_without_dropping_a_request(own_directory):
    another_version(own_directory, "next", 0.5)
    with (
        running(own_directory, "--workers", "2", **UNLIMITED) as service,
        Load(service) as load,
    ):
        assert versions_of(service) == {"test"}
        load.goes_on()
        promote(own_directory / "artifacts", "next")
        until(lambda: versions_of(service) == {"next"})
        load.goes_on()
        load.stop()
        assert set(load.statuses) == {200}
        assert service.audit_problems() == []


def test_a_damaged_version_that_is_promoted_is_refused_without_dropping_a_request(own_directory):
    artifacts = own_directory / "artifacts"
    another_version(own_directory, "bad", 0.7)
    damage(artifacts / "bad" / "anomaly.json")
    with running(own_directory, **UNLIMITED) as service, Load(service) as load:
        load.goes_on()
        (artifacts / "current").write_text("bad\n")  # by hand: promote would refuse it
        until(lambda: "anomaly.json" in service.request("GET", "/readyz").json.get("refused", ""))
        load.goes_on()
        assert versions_of(service) == {"test"}
        load.stop()
        assert set(load.statuses) == {200}


def test_a_worker_that_starts_on_a_bad_version_takes_the_one_before_it(own_directory):
    another_version(own_directory, "next", 0.5)
    promote(own_directory / "artifacts", "next")
    damage(own_directory / "artifacts" / "next" / "scorer.json")
    with running(own_directory) as service:
        assert service.score().json["modele"]["version"] == "test"
        ready = service.request("GET", "/readyz").json
        assert ready["version"] == "test"
        assert "scorer.json" in ready["refused"]
        assert "scorer.json" in service.log


def test_a_changed_byte_of_the_version_that_serves_is_named(module_service):
    for name in FILES:
        file = module_service.directory / "artifacts" / "test" / name
        whole = file.read_bytes()
        file.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        answer = module_service.request("GET", "/readyz")
        assert answer.status == 503, name
        assert name in answer.json["detail"]
        file.write_bytes(whole)
        assert module_service.is_ready()


# ---- slow callers ------------------------------------------------------------------------------


class UnfinishedBody:
    "A request whose body has begun and does not end."

    def __init__(self, service, key):
        self.body = encoded()
        self.finished = False
        self.socket = socket.create_connection(("127.0.0.1", service.port), timeout=30)
        head = (
            "POST /score HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {key}",
            "Content-Type: application/json",
            f"Content-Length: {len(self.body)}",
        )
        self.socket.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + self.body[:1])

    def is_answered(self):
        return bool(select.select([self.socket], [], [], 0)[0])

    def answer(self):
        "The answer, and its body as JSON."
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        return response, json.loads(response.read())

    def finish(self):
        "Send the rest of the body."
        self.finished = True
        self.socket.sendall(self.body[1:])

    def end(self):
        "Finish it, unless it was answered before, and close the connection."
        if self.socket.fileno() == -1:
            return
        if not self.finished and not self.is_answered():
            self.finish()
            self.answer()
        self.close()

    def close(self):
        self.socket.close()


@pytest.fixture
def begin(module_service):
    "A function that begins some bodies of a key; those that are still open end with the test."
    begun = []

    def begin_bodies(key, n):
        bodies = [UnfinishedBody(module_service, key) for _ in range(n)]
        begun.extend(bodies)
        return bodies

    yield begin_bodies
    for body in begun:
        body.end()


def new_key(service, name):
    "A key of scope score that the service knows."
    with service.bank() as connection:
        key = create_key(connection, name, ["score"])
    until(lambda: service.score_with(key).status == 200, 5)
    return key


def refused(bodies):
    return [body for body in bodies if body.is_answered()]


def hold_the_share(begin, key):
    "Begin more bodies of a key than the server has threads; those that it reads, none refused."
    bodies = begin(key, 40)
    until(lambda: len(refused(bodies)) == len(bodies) - READS_PER_KEY)
    return [body for body in bodies if not body.is_answered()]


def refused_now(service):
    "Whether some of as many requests as a share holds are refused now."
    with ThreadPoolExecutor(READS_PER_KEY) as pool:
        answers = list(pool.map(lambda _: service.score(), range(READS_PER_KEY)))
    return {a.status for a in answers} != {200}


def quickly(ask):
    "An answer that must come within a second."
    start = time.monotonic()
    answer = ask()
    assert time.monotonic() - start < 1
    return answer


def test_unfinished_bodies_of_a_key_leave_other_keys_and_addresses_served(module_service, begin):
    slow = new_key(module_service, "slow")
    hold_the_share(begin, slow)
    for _ in range(5):
        assert quickly(lambda: module_service.request("GET", "/healthz")).status == 200
        assert quickly(module_service.score).status == 200


def test_a_key_with_too_many_unfinished_bodies_is_refused_at_once(module_service, begin):
    hold_the_share(begin, KEY)
    answer = quickly(module_service.score)
    assert answer.status == 429
    assert answer.json["type"] == "/problems/slow-bodies"
    assert answer.headers["retry-after"] == "1"


def test_unfinished_bodies_that_end_are_answered_and_everything_is_served_again(
    module_service, begin
):
    held = hold_the_share(begin, KEY)
    for body in held:
        body.finish()
    assert {body.answer()[0].status for body in held} == {200}
    answers = [quickly(module_service.score).status for _ in range(READS_PER_KEY)]
    assert set(answers) == {200}


def test_unfinished_bodies_whose_connection_is_closed_make_room(module_service, begin):
    for body in hold_the_share(begin, KEY):
        body.close()
    until(lambda: not refused_now(module_service), 5)


def test_unfinished_bodies_of_several_keys_leave_addresses_without_a_body_served(
    module_service, begin
):
    first, second = (new_key(module_service, name) for name in ("first", "second"))
    hold_the_share(begin, first)
    rest = READS - READS_PER_KEY
    held = begin(second, rest + 1)
    until(lambda: len(refused(held)) == 1)
    response, problem = refused(held)[0].answer()
    assert (response.status, problem["type"]) == (503, "/problems/busy")
    assert response.headers["Retry-After"] == "1"
    assert quickly(lambda: module_service.request("GET", "/healthz")).status == 200


def test_a_body_shorter_than_its_length_is_a_400(service):
    for address in ("/score", "/score/batch", "/simulate", "/simulate/changes"):
        head = (
            f"POST {address} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as s:
            s.sendall(head.encode() + encoded())
            s.shutdown(socket.SHUT_WR)
            response = http.client.HTTPResponse(s)
            response.begin()
            assert response.status == 400
            assert "shorter than its Content-Length" in json.loads(response.read())["detail"]


@contextmanager
def reads_of(reads, key, n):
    "Some reads of a key that are under way."
    with ExitStack() as stack:
        for _ in range(n):
            stack.enter_context(reads.reading(key))
        yield stack


def test_a_full_share_of_quick_reads_is_waited_for():
    reads = BodyReads(most_per_key=2, patience=10)
    with reads_of(reads, "a", 2) as under_way:
        threading.Timer(0.05, under_way.close).start()
        with reads.reading("a"):
            assert len(reads.reads) == 1


def test_a_full_share_of_slow_reads_is_not_waited_for():
    reads = BodyReads(most_per_key=2, patience=0.1)
    with reads_of(reads, "a", 2):
        time.sleep(0.15)
        start = time.monotonic()
        with pytest.raises(Problem, match="slow-bodies"), reads.reading("a"):
            pass
        assert time.monotonic() - start < 0.1


def test_a_read_that_failed_makes_room():
    reads = BodyReads(most_per_key=1)
    with pytest.raises(OSError), reads.reading("a"):
        raise OSError
    with reads.reading("a"):
        pass


def test_http_2_is_not_spoken(service):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings = b"\0\0\0\4\0\0\0\0\0"
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as s:
        s.sendall(preface + settings)
        received = s.recv(100)
    assert received == b"" or received.startswith(b"HTTP/1.1 4")


# ---- hostile callers ---------------------------------------------------------------------------


FLOODS = {
    "many headers": "".join(f"X-{i}: {i}\r\n" for i in range(5_000)),
    "a long header": f"X-Long: {'x' * 500_000}\r\n",
    "a long cookie": f"Cookie: {'a=b; ' * 60_000}\r\n",
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_headers_is_refused(service, name):
    head = f"POST /score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n{FLOODS[name]}\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as s:
        try:
            s.sendall(head.encode())
            received = s.recv(200)
        except OSError:  # closed while it was sent
            received = b""
    assert received == b"" or received.split()[1] in (b"400", b"413", b"431")
    assert service.score().status == 200


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
def test_a_hostile_text_in_a_field_is_refused_and_not_repeated(service, text):
    before = service.decisions()
    for section, facts in EXAMPLE.items():
        for name in facts:
            answer = service.score({**EXAMPLE, section: {**facts, name: text}})
            assert answer.status == 422
            assert [e["pointer"] for e in answer.json["errors"]] == [f"/{section}/{name}"]
            assert text not in answer.body.decode()
    assert service.decisions() == before
    assert text not in service.log


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_as_a_name_is_refused(service, text):
    before = service.decisions()
    for body in (
        {text: 1},
        {**EXAMPLE, text: {}},
        {**EXAMPLE, "client": {**EXAMPLE["client"], text: 1}},
        {"client_id": text, "demande": EXAMPLE["demande"]},
    ):
        assert service.score(body).status in (400, 422)
    assert service.decisions() == before
    assert text not in service.log


@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Request-Id"])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_in_a_header_gets_nowhere(service, name, text):
    try:
        answer = service.score({}, **{name: text})
    except (ValueError, UnicodeEncodeError):
        return  # not even a header
    assert answer.status in (400, 422)
    assert text not in service.log


# ---- idempotency -------------------------------------------------------------------------------


def test_a_repeated_request_gets_the_decision_that_it_was_given(service):
    before = service.decisions()
    first, again = (service.score(**{"Idempotency-Key": "order-1"}) for _ in range(2))
    assert first.status == again.status == 200
    assert first.body == again.body
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert service.decisions() == before + 1


def test_an_idempotency_key_with_another_body_is_a_409(service):
    key = {"Idempotency-Key": "order-2"}
    assert service.score(**key).status == 200
    before = service.decisions()
    other = service.score(changed(montant=9001), **key)
    assert other.status == 409
    assert other.json["type"] == "/problems/key-reused"
    assert service.decisions() == before


def test_requests_with_one_idempotency_key_that_race_get_one_decision(service):
    def race(i):
        body = changed(montant=5000 + i % 4)
        return service.score(body, **{"Idempotency-Key": f"race-{i % 4}"})

    before = service.decisions()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(race, range(64)))
    assert {a.status for a in answers} == {200}
    assert len({a.body for a in answers}) == 4
    assert service.decisions() == before + 4
    assert service.audit_problems() == []


def test_an_idempotency_key_of_two_words_is_refused(service):
    assert service.score(**{"Idempotency-Key": "two words"}).status == 400


# ---- batches -----------------------------------------------------------------------------------

BATCH = [
    EXAMPLE,
    changed(montant=-5, objet="yacht"),
    changed(montant=12_000),
    {"client_id": 2147483647, "demande": {"montant": 9000, "duree_mois": 48}},
    7,
]


@pytest.fixture(scope="module")
def batch(service):
    "The answers to BATCH, and how many decisions it made."
    before = service.decisions()
    answer = service.post("/score/batch", {"applications": BATCH})
    assert answer.status == 200
    return answer.json["resultats"], service.decisions() - before


def test_a_batch_decides_each_application_as_if_it_were_alone(service, batch):
    results, decisions = batch
    alone = service.score().json
    assert results[0] | {"decision_id": ""} == alone | {"decision_id": ""}
    assert "decision_id" in results[2]
    assert decisions == 2


def test_a_batch_names_the_errors_of_each_application_by_its_place(batch):
    results, _ = batch
    pointers = [{e["pointer"] for e in result.get("errors", ())} for result in results]
    assert pointers == [
        set(),
        {"/applications/1/demande/montant", "/applications/1/demande/objet"},
        set(),
        {"/applications/3/client_id"},
        {"/applications/4"},
    ]


def test_the_largest_batch_is_decided_in_one_sound_chain(service):
    before = service.decisions()
    full = service.post("/score/batch", {"applications": [EXAMPLE] * 200})
    assert full.status == 200
    assert service.decisions() == before + 200
    assert service.audit_problems() == []


def test_a_body_that_is_no_batch_is_refused(service):
    for wrong in (
        {"applications": [EXAMPLE] * 201},
        {"applications": []},
        {"applications": {}},
        [],
        {"applications": [EXAMPLE], "x": 1},
    ):
        assert service.post("/score/batch", wrong).status == 422


# ---- reading again, metrics and log ------------------------------------------------------------


def test_a_decision_is_read_again_with_its_reasons(service):
    given = service.score()
    read = service.request("GET", f"/decisions/{given.json['decision_id']}")
    assert read.status == 200
    assert read.json["resultat"] == given.json
    assert read.json["cle"] == "local"
    assert read.json["intacte"] is True


def test_the_id_of_a_request_is_that_of_its_decision(service):
    given = service.score()
    read = service.request("GET", f"/decisions/{given.json['decision_id']}")
    assert given.headers["x-request-id"] == given.json["decision_id"]
    assert read.headers["x-request-id"] != given.json["decision_id"]


def test_a_decision_that_was_changed_is_read_as_not_intact(module_service):
    decision_id = module_service.score().json["decision_id"]
    change = "update decisions set cle = ? where decision_id = ?"
    module_service.sql(change, "other", decision_id)
    read = module_service.request("GET", f"/decisions/{decision_id}").json
    module_service.sql(change, "local", decision_id)
    assert read["intacte"] is False


def test_a_decision_that_does_not_exist_is_a_problem_of_its_own(service):
    problem = service.request("GET", "/decisions/none").json
    assert problem["type"] == "/problems/unknown-decision"


METRICS = (
    'credit_risk_requests_total{route="/score",status="200"} 1.0',
    'credit_risk_requests_total{route="/score",status="422"} 1.0',
    'credit_risk_model{version="test"} 1.0',
    "credit_risk_request_seconds_bucket",
    "credit_risk_commit_seconds_count 1.0",
    "credit_risk_commit_rows_count 1.0",
    "credit_risk_decisions_total{",
)


def test_prometheus_reads_requests_decisions_commits_and_the_version(own_service):
    own_service.score()
    own_service.score({})
    text = own_service.request("GET", "/metrics").body.decode()
    assert [name for name in METRICS if name not in text] == []


def test_the_log_names_a_request_and_its_key_and_no_fact(service):
    service.score(**{"X-Request-Id": "gateway-12345678"})
    lines = [json.loads(line) for line in service.log.splitlines()]
    [line] = [line for line in lines if line.get("gateway_id") == "gateway-12345678"]
    assert (line["route"], line["status"], line["key"]) == ("/score", 200, "local")
    assert len(line["request_id"]) == 36
    assert not any(str(fact) in service.log for fact in ("1988-04-12", 2450.0, KEY))


# ---- requests made from the OpenAPI document ---------------------------------------------------

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


def test_requests_made_from_the_document_get_documented_answers(own_directory):
    examples = os.environ.get("FAULT_EXAMPLES", "8")  # for each address and phase; make soak: 250
    with running(own_directory, **UNLIMITED) as service:
        schemathesis = Path(sys.executable).with_name("schemathesis")
        command = [schemathesis, "run", f"{service.url}openapi.json", "--seed", "1", "--no-color"]
        options = {
            "-H": f"Authorization: Bearer {KEY}",
            "-n": examples,
            "--phases": "examples,coverage,fuzzing",
            "-c": ",".join(CHECKS),
        }
        for option in options.items():
            command += option
        run = subprocess.run(
            command, cwd=own_directory, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout[-3000:]
        [generated] = re.findall(r"(\d+) generated", run.stdout)
        assert int(generated) > 500
        assert service.audit_problems() == []
