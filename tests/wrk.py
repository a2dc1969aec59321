"""Load, and what it costs each process: for the run notebooks that measure the service.

By wrk, or by callers in Python where it is not installed: those take more of the cores that they
share with what they measure."""

import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from statistics import mean, quantiles
from urllib.parse import urlsplit

from service import KEY, children

from credit_risk.contract import EXAMPLE

INSTALLED = shutil.which("wrk") is not None
MISSING = "wrk is not installed: callers in Python make the load, and slow down what they measure"
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
    seconds: float,  # wrk measures whole ones, at least one
    body: str = json.dumps(EXAMPLE),
) -> dict:  # requests/s, latencies in ms, answers that were no success, requests without an answer
    "One measurement."
    if INSTALLED:
        return _load_by_wrk(address, connections, seconds, body)
    return _load_by_callers(address, connections, seconds, body)


def _load_by_wrk(address, connections, seconds, body):
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory, "score.lua")
        sent = Path(directory, "body.json")
        script.write_text(SCRIPT)
        sent.write_text(body)
        duration = f"-d{max(1, round(seconds))}s"
        amount = ["-t1", f"-c{connections}", duration, "--timeout=20s"]
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


def _load_by_callers(address, connections, seconds, body):
    latencies, statuses = [], []  # ms; 0 is a request without an answer
    began = time.perf_counter()

    def call():
        with closing(_connection(address)) as connection:
            while time.perf_counter() - began < seconds:
                start = time.perf_counter()
                statuses.append(_status(connection, address, body))
                latencies.append(1e3 * (time.perf_counter() - start))

    callers = [threading.Thread(target=call) for _ in range(connections)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    percentiles = quantiles(latencies, n=100, method="inclusive")
    return {
        "requests": len(statuses),
        "requests/s": len(statuses) / (time.perf_counter() - began),
        "mean ms": mean(latencies),
        "p50 ms": percentiles[49],
        "p99 ms": percentiles[98],
        "refused": sum(status >= 400 for status in statuses),
        "lost": statuses.count(0),
    }


def _connection(address):
    at = urlsplit(address)
    if at.scheme == "https":  # nginx of the tests, whose certificate is signed by itself
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return HTTPSConnection(at.hostname, at.port, timeout=20, context=context)
    return HTTPConnection(at.hostname, at.port, timeout=20)


def _status(connection, address, body):
    "The status of one answer; 0 where none came."
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    try:
        connection.request("POST", urlsplit(address).path, body, headers)
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException):
        connection.close()
        return 0
    return response.status


def cpu(
    *pids: int,  # each with the processes that it started, and that those started
) -> float:  # seconds
    "Processor time used so far."
    return sum(_cpu_of_tree(pid) for pid in pids)


def _cpu_of_tree(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / TICK + cpu(*children(pid))
