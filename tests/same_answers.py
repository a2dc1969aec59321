"""Whether two checkouts give the same answers: `python tests/same_answers.py OTHER ARTIFACTS`.

OTHER is another checkout, made by `git worktree add`. Both serve one version on an empty
bank and answer random applications, some facts missing, extreme or wrong: by POST /score, by
POST /score/batch, and by score-batch from CSV and from Parquet. Every byte is compared, apart from
decision ids.
"""

import argparse
import hashlib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from dossiers import flat, random_bodies
from service import KEY, free_port

ROOT = Path(__file__).resolve().parent.parent
CALLERS = 8
BATCH = 100
SENT = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


def environment(checkout: Path, folder: Path, artifacts: Path) -> dict:
    "What a command of a checkout sees."
    return os.environ | {
        "PYTHONPATH": str(checkout),
        "CREDIT_RISK_DATABASE_URL": f"sqlite:///{folder}/bank.db",
        "CREDIT_RISK_ARTIFACTS": str(artifacts),
        "CREDIT_RISK_API_KEY": KEY,
        "CREDIT_RISK_RATE_LIMIT": "1000000/second",
        "CREDIT_RISK_LOG_LEVEL": "error",
    }


def run(checkout: Path, env: dict, *arguments: str) -> None:
    "A command of `credit-risk` in a checkout."
    code = "import sys; from credit_risk.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *arguments]
    subprocess.run(command, cwd=checkout, env=env, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def serving(checkout: Path, env: dict):
    "The service of a checkout on a free port."
    port = free_port()
    command = [sys.executable, "-m", "api", "--port", str(port)]
    server = subprocess.Popen(command, cwd=checkout, env=env, stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline().startswith(b"http://"), "the service did not start"
        yield port
    finally:
        server.terminate()
        server.wait(20)
        server.stdout.close()


def post(port: int, path: str, bodies: list[bytes]) -> list[str]:
    "The answers to some bodies, in their order, by callers who keep their connections."

    def answers(share):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        found = []
        for body in share:
            connection.request("POST", path, body, SENT)
            response = connection.getresponse()
            found.append(f"{response.status} {response.read().decode()}")
        connection.close()
        return found

    shares = [bodies[start::CALLERS] for start in range(CALLERS)]
    with ThreadPoolExecutor(CALLERS) as pool:
        parts = list(pool.map(answers, shares))
    return [parts[i % CALLERS][i // CALLERS] for i in range(len(bodies))]


def without_ids(answer: str) -> str:
    return re.sub(r'"decision_id":"[^"]*"', '"decision_id":""', answer)


def answers_of(checkout: Path, artifacts: Path, bodies: list[dict]) -> dict[str, list[str]]:
    "Everything that a checkout answers to some applications."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = environment(checkout, folder, artifacts)
        run(checkout, env, "init-db")
        batches = [bodies[i : i + BATCH] for i in range(0, len(bodies), BATCH)]
        with serving(checkout, env) as port:
            single = post(port, "/score", [json.dumps(body).encode() for body in bodies])
            wrapped = [json.dumps({"applications": batch}).encode() for batch in batches]
            batch = post(port, "/score/batch", wrapped)
        found = {"POST /score": single, "POST /score/batch": batch}
        rows = [{n: None if v is None else str(v) for n, v in flat(b).items()} for b in bodies]
        pd.DataFrame(rows).to_csv(folder / "in.csv", index=False)
        pd.DataFrame(rows).to_parquet(folder / "in.parquet", index=False)
        for kind in ("csv", "parquet"):
            target = folder / f"out-{kind}.csv"
            run(checkout, env, "score-batch", str(folder / f"in.{kind}"), str(target))
            found[f"score-batch {kind}"] = target.read_text("utf-8").splitlines()
        return {
            door: [without_ids(answer) for answer in answers] for door, answers in found.items()
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("artifacts", type=Path, help="folder of versions that both can read")
    parser.add_argument("--n", type=int, default=10_000, help="applications")
    arguments = parser.parse_args()
    bodies = random_bodies(arguments.n)
    artifacts = arguments.artifacts.resolve()
    ours = answers_of(ROOT, artifacts, bodies)
    theirs = answers_of(arguments.other.resolve(), artifacts, bodies)
    differences = 0
    for door, answers in ours.items():
        pairs = list(zip(answers, theirs[door], strict=True))
        different = [(mine, other) for mine, other in pairs if mine != other]
        differences += len(different)
        ok = sum(answer.startswith("200") for answer in answers)
        digest = hashlib.sha256("\n".join(answers).encode()).hexdigest()[:16]
        differ = f"{len(different)} differ"
        print(f"{door}: {len(answers)} answers, {ok} with status 200, {digest}; {differ}")
        for mine, other in different[:3]:
            print("  here :", mine[:400], "\n  there:", other[:400])
    sys.exit(differences > 0)


if __name__ == "__main__":
    main()
