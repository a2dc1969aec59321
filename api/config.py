"""The configuration of the service: read from the environment, refused at start when it is wrong."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from credit_risk.database import ROOT, connect, database_url

from .keys import Rate


class ConfigError(ValueError):
    "One line that says which setting is wrong, and what it must be."


@dataclass(frozen=True)
class Config:
    "What the service needs to know."

    engine: sa.Engine = field(repr=False)
    artifacts: Path
    key: str = field(repr=False)  # of the environment, with every scope; its name is local
    rate: Rate  # of each key, in each process
    origins: frozenset  # of pages elsewhere that a browser may let in
    body_seconds: float  # within which a body must have arrived
    log_level: str


def read_key(env: Mapping[str, str]) -> str:
    "The API key itself, from the environment or from the file that it names."
    key, file = env.get("CREDIT_RISK_API_KEY"), env.get("CREDIT_RISK_API_KEY_FILE")
    if key and file:
        raise ConfigError("set CREDIT_RISK_API_KEY or CREDIT_RISK_API_KEY_FILE, not both")
    if file:
        try:
            key = Path(file).read_text("ascii").strip()
        except (OSError, ValueError) as e:
            raise ConfigError(
                f"CREDIT_RISK_API_KEY_FILE: {file} cannot be read ({type(e).__name__})"
            ) from None
    if not key:
        raise ConfigError(
            "CREDIT_RISK_API_KEY is not set: it must hold the key that callers send, at least 20 characters"
        )
    if len(key) < 20 or not all("!" <= c <= "~" for c in key):
        raise ConfigError(
            "CREDIT_RISK_API_KEY must be at least 20 printable ASCII characters, without spaces"
        )
    return key


def _within_seconds(url):
    "A database server that no longer answers must not hold a request for ever."
    url = sa.make_url(url)
    limits = {"connect_timeout": "5", "read_timeout": "10", "write_timeout": "10"}
    return (
        url.render_as_string(False)
        if url.get_backend_name() == "sqlite"
        else url.update_query_dict(limits | dict(url.query)).render_as_string(False)
    )


def _rate(text):
    parts = re.fullmatch(r"([1-9][0-9]{0,8})/(second|minute|hour)", text)
    if not parts:
        raise ConfigError(
            f"CREDIT_RISK_RATE_LIMIT must read like 1000/second or 600/minute, not {text}"
        )
    return Rate(int(parts[1]), {"second": 1, "minute": 60, "hour": 3600}[parts[2]])


def _origins(text):
    origins = frozenset(text.split())
    for origin in origins:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", origin):
            raise ConfigError(
                f"CREDIT_RISK_CORS_ORIGINS must list origins like https://desk.example.org, separated by spaces, not {origin}"
            )
    return origins


def _seconds(name, text):
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?", text) or not 0.1 <= float(text) <= 300:
        raise ConfigError(f"{name} must be a number of seconds between 0.1 and 300, not {text}")
    return float(text)


def _level(text):
    if text not in ("debug", "info", "warning", "error"):
        raise ConfigError(
            f"CREDIT_RISK_LOG_LEVEL must be one of debug, info, warning, error, not {text}"
        )
    return text


def read_config(env: Mapping[str, str] = os.environ) -> Config:
    "The configuration, checked as far as it can be without opening the bank."
    key = read_key(env)
    try:
        engine = connect(_within_seconds(database_url(env.get("CREDIT_RISK_DATABASE_URL"))))
    except sa.exc.ArgumentError:  # its message may quote a password
        raise ConfigError(
            "CREDIT_RISK_DATABASE_URL must read sqlite:///FILE or mariadb://USER:PASSWORD@HOST/NAME"
        ) from None
    except (ValueError, OSError) as e:
        raise ConfigError(
            f"CREDIT_RISK_DATABASE_URL is not usable: {e if type(e) is ValueError else e.strerror.lower()}"
        ) from None
    return Config(
        engine,
        Path(env.get("CREDIT_RISK_ARTIFACTS") or ROOT / "artifacts"),
        key,
        _rate(env.get("CREDIT_RISK_RATE_LIMIT") or "1000/second"),
        _origins(env.get("CREDIT_RISK_CORS_ORIGINS") or ""),
        _seconds("CREDIT_RISK_BODY_SECONDS", env.get("CREDIT_RISK_BODY_SECONDS") or "10"),
        _level(env.get("CREDIT_RISK_LOG_LEVEL") or "info"),
    )
