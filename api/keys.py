"""Who calls, whether they may, and how often: `@require("score")` on a route is all that it takes."""

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


class Rate(NamedTuple):
    "So many calls in so many seconds."

    calls: int
    seconds: int


class KeyRing:
    """The key of the environment and those of the bank, with the rate limit of each.

    `refresh` reads the bank again. While the bank is away the keys that are known stay: no decision is given without its audit row anyway."""

    def __init__(self, engine: sa.Engine, local: str, rate: Rate):
        self.engine, self.rate = engine, rate
        self.local = Key("local", fingerprint(local), frozenset(SCOPES))
        self.spent, self.counting = {}, Lock()
        self.shelve([self.local])
        self.refresh()

    def refresh(self) -> None:
        try:
            with self.engine.connect() as connection:
                self.shelve([self.local, *read_keys(connection)])
        except sa.exc.SQLAlchemyError:
            pass

    def shelve(self, keys: list[Key]) -> None:
        shelves = {}
        for key in keys:
            if key.revoquee_le is None:
                shelves.setdefault(key.empreinte[:4], []).append(key)
        self.shelves = shelves

    def find(self, header: str) -> Key | None:
        "The key of an Authorization header. Four digits of its hash choose the shelf; what could be guessed is compared in constant time."
        scheme, _, token = header.partition(" ")
        given, found = fingerprint(token.strip()), None
        for key in self.shelves.get(given[:4], ()):
            if hmac.compare_digest(key.empreinte, given):
                found = key
        if found is None or scheme.lower() != "bearer":
            return None
        return found if found.expire_le is None or found.good(instant()) else None

    def wait(self, key: Key, applications: int = 1) -> int:
        """Seconds until the key may call again; 0 where it may now.

        A bucket that drains at the rate, as a moment at which it is empty: one number a key, no window at whose edge twice the rate passes,
        and no thread to tidy up, which cost the limiters of the packages more than the decision itself."""
        now, cost = (
            monotonic(),
            self.rate.seconds * min(applications, self.rate.calls) / self.rate.calls,
        )
        with self.counting:
            empty = max(self.spent.get(key.nom, now), now) + cost
            if empty - now > self.rate.seconds:
                return ceil(empty - now - self.rate.seconds)
            self.spent[key.nom] = empty
        return 0


def spend(keys: KeyRing, key: Key, applications: int = 1) -> None:
    "Count a call, or the applications of a large one, against the rate limit of its key."
    if applications and (seconds := keys.wait(key, applications)):
        raise Problem("too-many-requests", headers={"Retry-After": str(seconds)})


def require(scope: str):
    "A route that only keys of a scope may call; `environ[CALLER]` is the key."
    if scope not in SCOPES:
        raise ValueError(f"scope must be one of {', '.join(SCOPES)}, not {scope!r}")

    def guard(view):
        @wraps(view)
        def guarded(*args, **kwargs):
            keys, environ = current_app.extensions["credit-risk"].keys, request.environ
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
