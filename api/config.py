"""The configuration of the service: read from the environment, and refused at start if wrong."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from credit_risk.database import ROOT, connect, database_url

from .keys import Rate

KEY_LENGTH = 20  # characters at least
LEVELS = ("debug", "info", "warning", "error")
SECONDS = {"second": 1, "minute": 60, "hour": 3600}
TIMEOUTS = {"connect_timeout": "5", "read_timeout": "10", "write_timeout": "10"}  # seconds
DATABASE_URL = "CREDIT_RISK_DATABASE_URL"


class ConfigError(ValueError):
    "One line that says which setting is wrong, and what it must be."


@dataclass(frozen=True)
class Config:
    "What the service needs to know."

    engine: sa.Engine = field(repr=False)
    artifacts: Path  # folder of versions
    key: str = field(repr=False)  # of the environment, with every scope; its name is local
    rate: Rate  # of each key, in each process
    origins: frozenset[str]  # of pages elsewhere that a browser may let in
    log_level: str  # of LEVELS


def read_key(env: Mapping[str, str]) -> str:
    "The API key itself, from the environment or from the file that it names."
    key = env.get("CREDIT_RISK_API_KEY")
    file = env.get("CREDIT_RISK_API_KEY_FILE")
    if key and file:
        raise ConfigError("set CREDIT_RISK_API_KEY or CREDIT_RISK_API_KEY_FILE, not both")
    if file:
        key = _read_key_file(file)
    if not key:
        raise ConfigError(
            "CREDIT_RISK_API_KEY is not set: it must hold the key that callers send, "
            f"at least {KEY_LENGTH} characters"
        )
    if len(key) < KEY_LENGTH or not all("!" <= c <= "~" for c in key):
        raise ConfigError(
            f"CREDIT_RISK_API_KEY must be at least {KEY_LENGTH} printable ASCII characters, "
            "without spaces"
        )
    return key


def _read_key_file(file):
    try:
        return Path(file).read_text("ascii").strip()
    except (OSError, ValueError) as e:
        raise ConfigError(
            f"CREDIT_RISK_API_KEY_FILE: {file} cannot be read ({type(e).__name__})"
        ) from None


def _engine(text):
    try:
        return connect(_with_timeouts(database_url(text)))
    except sa.exc.ArgumentError:  # its message may quote a password
        forms = "sqlite:///FILE or mariadb://USER:PASSWORD@HOST/NAME"
        raise ConfigError(f"{DATABASE_URL} must read {forms}") from None
    except OSError as e:
        reason = (e.strerror or type(e).__name__).lower()
        raise ConfigError(f"{DATABASE_URL} is not usable: {reason}") from None
    except ValueError as e:
        raise ConfigError(f"{DATABASE_URL} is not usable: {e}") from None


def _with_timeouts(text):
    "A database server that no longer answers must not hold a request for ever."
    url = sa.make_url(text)
    if url.get_backend_name() != "sqlite":
        url = url.update_query_dict(TIMEOUTS | dict(url.query))
    return url.render_as_string(hide_password=False)


def _rate(text):
    parts = re.fullmatch(r"([1-9][0-9]{0,8})/(second|minute|hour)", text)
    if not parts:
        raise ConfigError(
            f"CREDIT_RISK_RATE_LIMIT must read like 1000/second or 600/minute, not {text}"
        )
    return Rate(int(parts[1]), SECONDS[parts[2]])


def _origins(text):
    origins = frozenset(text.split())
    for origin in origins:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", origin):
            raise ConfigError(
                "CREDIT_RISK_CORS_ORIGINS must list origins like https://desk.example.org, "
                f"separated by spaces, not {origin}"
            )
    return origins


def _level(text):
    if text not in LEVELS:
        raise ConfigError(f"CREDIT_RISK_LOG_LEVEL must be one of {', '.join(LEVELS)}, not {text}")
    return text


def read_config(env: Mapping[str, str] = os.environ) -> Config:
    "The configuration, checked as far as it can be without opening the bank."
    return Config(
        key=read_key(env),
        engine=_engine(env.get(DATABASE_URL)),
        artifacts=Path(env.get("CREDIT_RISK_ARTIFACTS") or ROOT / "artifacts"),
        rate=_rate(env.get("CREDIT_RISK_RATE_LIMIT") or "1000/second"),
        origins=_origins(env.get("CREDIT_RISK_CORS_ORIGINS") or ""),
        log_level=_level(env.get("CREDIT_RISK_LOG_LEVEL") or "info"),
    )
