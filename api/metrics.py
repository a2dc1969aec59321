"""What Prometheus reads.

Several processes share files in PROMETHEUS_MULTIPROC_DIR, which the server sets before this module
is imported."""

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
requests = Counter("credit_risk_requests", "Answers, by address and status.", ["route", "status"])
latency = Histogram(
    "credit_risk_request_seconds",
    "From the first byte read by the application to the answer.",
    ["route"],
    buckets=SECONDS,
)
decisions = Counter(
    "credit_risk_decisions",
    "Decisions given, by class, recommendation and whether the application is atypical.",
    ["classe_risque", "recommandation", "est_atypique"],
)
queue = Histogram(
    "credit_risk_commit_rows",
    "Decisions that shared a commit of the audit.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
commit = Histogram("credit_risk_commit_seconds", "A commit of the audit.", buckets=SECONDS)
version = Gauge(
    "credit_risk_model",
    "1 for the version that serves.",
    ["version"],
    multiprocess_mode="mostrecent",
)


def serves(name: str) -> None:
    "Say which version serves, and that no other does."
    for metric in version.collect():
        for sample in metric.samples:
            version.labels(sample.labels["version"]).set(0)
    version.labels(name).set(1)


def text() -> bytes:
    "The metrics of every process, as Prometheus reads them."
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)
