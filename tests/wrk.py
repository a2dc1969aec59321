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
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.timeout
  io.write("JSON")
  io.write(string.format("{{\\"n\\": %d, \\"us\\": %d,", summary.requests, summary.duration))
  io.write(string.format("\\"status\\": %d, \\"lost\\": %d,", errors.status, lost))
  io.write(string.format("\\"mean\\": %f, \\"p50\\": %d,", latency.mean, latency:percentile(50)))
  io.write(string.format("\\"p99\\": %d}}", latency:percentile(99)))
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
        script = Path(directory, "score.lua")
        sent = Path(directory, "body.json")
        script.write_text(SCRIPT)
        sent.write_text(body)
        amount = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=20s"]
        printed = subprocess.run(
            ["wrk", *amount, "-s", script, address],
            env=os.environ | {"BODY": str(sent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    result = json.loads(printed.partition("JSON")[2])
    return {
        "requests": result["n"],
        "requests/s": 1e6 * result["n"] / result["us"],
        "mean ms": result["mean"] / 1e3,
        "p50 ms": result["p50"] / 1e3,
        "p99 ms": result["p99"] / 1e3,
        "refused": result["status"],
        "lost": result["lost"],
    }


def cpu(
    *pids: int,  # each with the processes that it started, and that those started
) -> float:  # seconds
    "Processor time used so far."
    return sum(_cpu_of_tree(pid) for pid in pids)


def _cpu_of_tree(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / TICK + cpu(*children(pid))
