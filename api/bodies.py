"""A bound on the request bodies that are being read at once, for each key and for all of them.

A thread of the server reads a body in a call that nothing can interrupt, for as long as the sender
takes. Without a bound, a few slow senders would hold every thread of a process. With it they hold
their share: the next body is refused at once, and other addresses and other keys are served.

A sender who stops keeps its part of the share until the connection ends. Ending it in time is for
the proxy before the service (`nginx.conf.sample`): the port is not for callers to reach directly.

A body that is there already, as behind a proxy that buffers, is read in far less than `PATIENCE`.
So a full share is no reason to refuse while one of its reads is younger than that: the request
waits for it, and no longer than `PATIENCE`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from .problems import Problem

THREADS = 16  # requests that each process handles at once
READS = 12  # bodies that it reads at once; the other threads answer requests without a body
READS_PER_KEY = 8  # of them, for one key
PATIENCE = 0.25  # seconds: longer than a busy machine lets a process wait


@dataclass(frozen=True, eq=False)
class Read:
    "A body that is being read."

    key: str  # name of the API key
    start: float  # seconds of the monotonic clock


@dataclass(frozen=True)
class FullShare:
    "Why no further body may be read now."

    problem: str  # name of the problem to answer
    reads: list[Read]  # one of them must end first


class BodyReads:
    "The bodies that one process is reading."

    def __init__(
        self,
        most: int = READS,
        most_per_key: int = READS_PER_KEY,
        patience: float = PATIENCE,  # seconds
    ):
        self.most = most
        self.most_per_key = most_per_key
        self.patience = patience
        self.reads: set[Read] = set()
        self.ended = threading.Condition()

    @contextmanager
    def reading(self, key: str) -> Iterator[None]:
        "Read a body of a key inside the block; raises `Problem` where its share stays full."
        read = self._begin(key)
        try:
            yield
        finally:
            with self.ended:
                self.reads.remove(read)
                self.ended.notify_all()

    def _begin(self, key):
        "Take a part of the share of a key, and wait for one where that may help."
        end_of_patience = monotonic() + self.patience
        with self.ended:
            while full := self._full_share(key):
                now = monotonic()
                youngest = max(read.start for read in full.reads)
                if now >= min(end_of_patience, youngest + self.patience):
                    raise Problem(full.problem, headers={"Retry-After": "1"})
                self.ended.wait(end_of_patience - now)
            read = Read(key, monotonic())
            self.reads.add(read)
            return read

    def _full_share(self, key):
        "The share that is full, of this key or of all; None where there is room."
        if len(self.reads) < self.most_per_key:
            return None
        own = [read for read in self.reads if read.key == key]
        if len(own) >= self.most_per_key:
            return FullShare("slow-bodies", own)
        if len(self.reads) >= self.most:
            return FullShare("busy", list(self.reads))
        return None
