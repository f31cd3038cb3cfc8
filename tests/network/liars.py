"""Receivers that do not keep to HTTP."""

import contextlib
import socket
import struct
import time

from lab import LIARS, v4
from sink import Request, Sink, awaited

EVENTS = 3
DONE_SECONDS_MAX = 15
SMUGGLED = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
# longer than an attempt may take
ENDLESS_SECONDS = 6


def reset(connection):
    """Ends a connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def endless(piece):
    """Sends for as long as anybody listens."""

    def go_on(connection):
        until = time.monotonic() + ENDLESS_SECONDS
        while time.monotonic() < until:
            connection.sendall(piece)
            time.sleep(0.001)

    return go_on


def wait(_connection):
    time.sleep(ENDLESS_SECONDS)


class Liar(Sink):
    """Says one thing and does another, until it is `honest`."""

    def __init__(self, listener, secret, lie=b"", then=None, unread=False):
        self.lie, self.then, self.unread, self.honest = lie, then, unread, False
        super().__init__(listener, secret)

    def serve(self, connection):
        if self.honest or not self.unread:
            return super().serve(connection)
        with contextlib.suppress(OSError):
            connection.sendall(self.lie)
            if self.then:
                self.then(connection)

    def answer(self, connection, request, status):
        if self.honest:
            return super().answer(connection, request, status)
        # what it says is no promise: it does not count as taken
        self.arrivals.pop()
        connection.sendall(self.lie)
        if self.then:
            self.then(connection)
        return False


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
# name: (what it sends, what it does then, without reading the request?, outcomes that are right)
LIES = {
    "more": (OK + b"content-length: 100\r\n\r\nten bytes.", None, False, {"connection_reset"}),
    "two": (OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nabc", None, False,
            {"protocol_error"}),
    "negative": (OK + b"content-length: -1\r\n\r\n", None, False, {"protocol_error"}),
    "chunk": (CHUNKED + b"fffffffffffffffff\r\n", None, False, {"protocol_error"}),
    "cut": (CHUNKED + b"5\r\nab", None, False, {"connection_reset"}),
    "garbage": (b"220 mail.example.net ESMTP\r\n", None, False, {"protocol_error"}),
    "nothing": (b"", None, False, {"connection_reset"}),
    "reset": (b"", reset, False, {"connection_reset"}),
    "unread-reset": (b"", reset, True, {"connection_reset"}),
}
# these take as long as they are given, or as much
LASTING = {
    "chunked": (CHUNKED + b"5\r\nhello\r\n", wait, False, {"timeout_total"}),
    "half-head": (OK + b"content-le", wait, False, {"timeout_response"}),
    "headers": (OK, endless(b"x-more: of the same\r\n" * 50), False, {"protocol_error"}),
    "header": (OK + b"x-long: ", endless(b"x" * 4096), False, {"protocol_error"}),
    "continue": (b"", endless(b"HTTP/1.1 100 Continue\r\n\r\n"), False, {"timeout_response"}),
}


def tell(stage, lies, wait_seconds):
    """Each liar has an endpoint; they are found out, and once they are honest all is delivered."""
    told = {}
    for name, (lie, then, unread, _) in lies.items():
        told[name] = stage.sink(v4(LIARS), Liar, lie=lie, then=then, unread=unread)
        stage.endpoints[name] = f"http://{v4(LIARS)}:{told[name].port}/"
    stage.reload()
    for name in lies:
        stage.submit(name, EVENTS)
    time.sleep(wait_seconds)
    for name, (_, _, _, right) in lies.items():
        seen = stage.outcomes(name)
        stage.report.check(
            len(seen) >= EVENTS and set(seen) <= right,
            f"liars, {name}: {len(seen)} times {', '.join(sorted(set(seen)))}",
            f"{seen}, not {right}",
        )
    for name, sink in told.items():
        sink.honest = True
    for name, sink in told.items():
        stage.all_delivered(f"liars, {name}, honest again", name, sink)


def lies(stage):
    """Lengths that are wrong, answers that are none."""
    tell(stage, LIES, 1.5)


def no_end(stage):
    """Answers that never end, or never begin."""
    tell(stage, LASTING, 5)


class Smuggler(Sink):
    """Takes the first request on a connection, with more bytes than it said: a second 200, for a
    request that was not made. What comes next on the same connection it refuses."""

    def serve(self, connection):
        with connection.makefile("rb") as stream:
            status = 200
            while (request := Request.read(stream)) is not None:
                self.remember(request, status)
                first = status == 200
                more = b"content-length: 2\r\n\r\nok" + SMUGGLED if first else b"\r\n"
                connection.sendall(f"HTTP/1.1 {status} Said\r\n".encode() + more)
                status = 500


def smuggled(stage):
    """Answers that nobody asked for: they are not taken for answers to the next request."""
    sink = stage.sink(v4(LIARS), Smuggler)
    stage.endpoint("smuggled", f"http://{v4(LIARS)}:{sink.port}/")
    for _ in range(6):
        stage.submit("smuggled", 2)
        time.sleep(0.1)
    stage.all_delivered("smuggled", "smuggled", sink)


def early(stage):
    """A receiver that says 200 before it has read the request, and resets the connection."""
    sink = stage.sink(v4(LIARS), Liar, lie=SMUGGLED, then=reset, unread=True)
    stage.endpoint("early", f"http://{v4(LIARS)}:{sink.port}/")
    stage.submit("early", EVENTS, 500_000)
    awaited(DONE_SECONDS_MAX, lambda: len(stage.outcomes("early")) >= EVENTS)
    sink.honest = True
    states = {"delivered": EVENTS}
    done = awaited(DONE_SECONDS_MAX, lambda: stage.states("early") == states)
    seen = stage.outcomes("early")
    # where its answer is read before the reset is felt, its word is taken
    stage.report.check(
        len(seen) >= EVENTS and set(seen) <= {"ok", "connection_reset", "protocol_error"},
        f"early: {', '.join(f'{seen.count(word)} times {word}' for word in sorted(set(seen)))}",
        seen,
    )
    stage.report.check(
        done
        and seen.count("ok") == EVENTS
        and sink.taken() <= stage.submitted["early"]
        and not sink.unverified(),
        f"early, honest again: {EVENTS} of {EVENTS} delivered, {len(sink.taken())} since then",
        stage.states("early"),
    )
