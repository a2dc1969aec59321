"""Who calls, whether they may, and how often: a route asks for it by `@require("score")`."""

import hmac
from functools import wraps
from math import ceil
from threading import Lock
from time import monotonic
from typing import NamedTuple

import sqlalchemy as sa
from flask import current_app, request

from credit_risk.keys import SCOPES, Key, fingerprint, instant, read_keys

from .logs import CALLER
from .problems import Problem

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="credit-risk"'}
GROUP_DIGITS = 4  # hexadecimal digits of a hash


class Rate(NamedTuple):
    "How often a key may call."

    calls: int
    seconds: int


class KeyRing:
    """The key of the environment and those of the bank, with the rate limit of each.

    Keys stand in groups by the first digits of their hash, so that a call compares few of them."""

    def __init__(self, engine: sa.Engine, local: str, rate: Rate):
        self.engine = engine
        self.rate = rate
        self.local = Key("local", fingerprint(local), frozenset(SCOPES))
        self.empty_at: dict[str, float] = {}  # name of a key to the moment when its bucket is empty
        self.counting = Lock()  # guards it
        self.hold([self.local])
        self.refresh()

    def refresh(self) -> None:
        """Read the keys of the bank again.

        While the bank is away the keys that are known stay: no decision is given without its audit
        row anyway."""
        try:
            with self.engine.connect() as connection:
                self.hold([self.local, *read_keys(connection)])
        except sa.exc.SQLAlchemyError:
            pass

    def hold(self, keys: list[Key]) -> None:
        "Hold these keys and no others; a revoked one is left out."
        groups: dict[str, list[Key]] = {}
        for key in keys:
            if key.revoquee_le is None:
                groups.setdefault(key.empreinte[:GROUP_DIGITS], []).append(key)
        self.groups = groups

    def find(self, header: str) -> Key | None:
        "The key of an Authorization header, compared in constant time; None where it is not good."
        scheme, _, token = header.partition(" ")
        given = fingerprint(token.strip())
        found = None
        for key in self.groups.get(given[:GROUP_DIGITS], ()):
            if hmac.compare_digest(key.empreinte, given):
                found = key
        if found is None or scheme.lower() != "bearer":
            return None
        return found if found.expire_le is None or found.good(instant()) else None

    def wait(self, key: Key, applications: int = 1) -> int:
        """Seconds until the key may call again; 0 where it may now, and the call is counted.

        This is a leaky bucket, kept as the moment at which it is empty: one number for each key. A
        fixed window would let twice the rate pass at its edge. The limiters of packages need a
        thread to tidy up, and cost more than the decision itself."""
        now = monotonic()
        cost = self.rate.seconds * min(applications, self.rate.calls) / self.rate.calls
        with self.counting:
            empty_at = max(self.empty_at.get(key.nom, now), now) + cost
            if empty_at - now > self.rate.seconds:
                return ceil(empty_at - now - self.rate.seconds)
            self.empty_at[key.nom] = empty_at
        return 0


def spend(keys: KeyRing, key: Key, applications: int = 1) -> None:
    "Count a call, or the applications of a large one, against the rate limit of its key."
    if not applications:
        return
    seconds = keys.wait(key, applications)
    if seconds:
        raise Problem("too-many-requests", headers={"Retry-After": str(seconds)})


def require(scope: str):
    "A route that only keys of a scope may call; `environ[CALLER]` is the key."
    if scope not in SCOPES:
        raise ValueError(f"scope must be one of {', '.join(SCOPES)}, not {scope!r}")

    def guard(view):
        @wraps(view)
        def guarded(*args, **kwargs):
            environ = request.environ
            keys = current_app.extensions["credit-risk"].keys
            key = keys.find(environ.get("HTTP_AUTHORIZATION", ""))
            if key is None:
                raise Problem("unauthorized", headers=CHALLENGE)
            if scope not in key.portees:
                raise Problem("forbidden", f"This address needs a key of scope {scope}.")
            spend(keys, key)
            environ[CALLER] = key
            return view(*args, **kwargs)

        return guarded

    return guard
