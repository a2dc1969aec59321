"""A body must arrive in time: a caller who sends it byte by byte would hold a thread of the server for ever.

The server reads a body inside a call that cannot be interrupted, and does not say on which socket. So the reads that last are watched from a
thread of their own: the connections of that address on which nothing was answered for as long are shut for reading, the read then ends
short, and the caller gets a 408. An idle connection may be among them; its caller opens another, as HTTP expects. Linux only."""

import os
import socket
import struct
import sys
import threading
import time
from contextlib import contextmanager

LAST_SENT = 44  # of struct tcp_info: milliseconds since this side last sent data


class BodyDeadline:
    "Watches the reads of one process."

    def __init__(self, seconds: float):
        self.seconds, self.reads, self.late = seconds, {}, set()

    @contextmanager
    def reading(self, address: str):
        "A read of a body; the value is a function that says whether it was ended."
        me = threading.get_ident()
        self.reads[me] = time.monotonic(), address
        try:
            yield lambda: me in self.late
        finally:
            del self.reads[me]
            self.late.discard(me)

    def check(self) -> None:
        "End the reads that last too long."
        limit = time.monotonic() - self.seconds
        for thread, (since, address) in list(self.reads.items()):
            if since < limit and thread in self.reads:
                self.late.add(thread)
                _shut(address, self.seconds)


def _shut(address, seconds):
    if sys.platform != "linux":
        return
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as s:
                if (
                    s.family in (socket.AF_INET, socket.AF_INET6)
                    and s.type == socket.SOCK_STREAM
                    and s.getpeername()[0] == address
                ):
                    [quiet] = struct.unpack_from(
                        "I",
                        s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_SENT + 4),
                        LAST_SENT,
                    )
                    if quiet >= 1000 * seconds:
                        s.shutdown(socket.SHUT_RD)
        except OSError:  # gone, or a listener
            continue
