"""What the routes share: one object for each process, reached through the application."""

import threading
import time
from dataclasses import dataclass

from flask import current_app

from .audit import Writer
from .config import Config
from .deadline import BodyDeadline
from .keys import KeyRing
from .logs import log
from .models import Promoted


@dataclass(frozen=True)
class Service:
    "The parts of a running service."

    config: Config
    keys: KeyRing
    models: Promoted
    writer: Writer
    deadline: BodyDeadline

    def watch(self, seconds: float = 1) -> None:
        "Follow keys, promotions and slow bodies from now on, beside the requests; each in a thread of its own, because a database may take long to say no."
        for refresh in (self.keys.refresh, self.models.refresh, self.deadline.check):
            threading.Thread(target=_again, args=(refresh, seconds), daemon=True).start()


def _again(refresh, seconds):
    while True:
        time.sleep(seconds)
        try:
            refresh()
        except Exception:
            log.exception("refresh failed")


def service() -> Service:
    "The service of the application that answers."
    return current_app.extensions["credit-risk"]
