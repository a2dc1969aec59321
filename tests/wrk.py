"""Load by wrk, and what it costs each process: for the run notebooks that measure the service."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from service import KEY, children

from credit_risk.contract import EXAMPLE

SCRIPT = f"""
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {KEY}"
local f = io.open(os.getenv("BODY"), "rb"); wrk.body = f:read("*a"); f:close()
done = function(summary, latency, requests)
  io.write(string.format("JSON{{\\"n\\": %d, \\"us\\": %d, \\"status\\": %d, \\"lost\\": %d, \\"mean\\": %f, \\"p50\\": %d, \\"p99\\": %d}}", summary.requests, summary.duration,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.timeout, latency.mean, latency:percentile(50), latency:percentile(99)))
end
"""
TICK = os.sysconf("SC_CLK_TCK")


def load(
    address: str,  # of POST /score, at a server that knows the key of the tests
    connections: int,
    seconds: float,
    body: str = json.dumps(EXAMPLE),
) -> dict:  # requests/s, latencies in ms, answers that were no success, requests without an answer
    "One measurement."
    with tempfile.TemporaryDirectory() as directory:
        script, sent = Path(directory, "score.lua"), Path(directory, "body.json")
        script.write_text(SCRIPT)
        sent.write_text(body)
        told = subprocess.run(
            [
                "wrk",
                "-t1",
                f"-c{connections}",
                f"-d{seconds}s",
                "--timeout=20s",
                "-s",
                script,
                address,
            ],
            env=os.environ | {"BODY": str(sent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    r = json.loads(told.partition("JSON")[2])
    return {
        "requests": r["n"],
        "requests/s": 1e6 * r["n"] / r["us"],
        "mean ms": r["mean"] / 1e3,
        "p50 ms": r["p50"] / 1e3,
        "p99 ms": r["p99"] / 1e3,
        "refused": r["status"],
        "lost": r["lost"],
    }


def cpu(
    *pids: int,  # each with the processes that it started, and that those started
) -> float:  # seconds
    "Processor time used so far."

    def own(pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK + sum(map(own, children(pid)))

    return sum(map(own, pids))
