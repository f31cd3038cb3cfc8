"""A receiver that verifies, remembers what it took, and behaves as it is told."""

import base64
import collections
import hashlib
import hmac
import socket
import threading
import time

# of one request: the connection is closed if it takes longer to come
REQUEST_SECONDS_MAX = 60

Arrival = collections.namedtuple("Arrival", "id at wall timestamp attempt sequence verified status")


class Request:
    """Its headers (names in lower case) and its body; None where the connection ended."""

    def __init__(self, headers, body):
        self.headers, self.body = headers, body

    @staticmethod
    def read(stream):
        if not stream.readline():
            return None
        headers = {}
        while line := stream.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        body = stream.read(length)
        return Request(headers, body) if len(body) == length else None

    def verified(self, secret):
        """Whether one of its signatures is ours (Standard Webhooks, `v1`)."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        said = f"{self.headers.get('webhook-id')}.{self.headers.get('webhook-timestamp')}."
        digest = hmac.new(key, said.encode() + self.body, hashlib.sha256).digest()
        wanted = "v1," + base64.b64encode(digest).decode()
        return wanted in self.headers.get("webhook-signature", "").split()


class Sink:
    """Serves a listening socket. `status` may be changed at any time, or be a function of the
    request; `delay` is waited for before each answer, in seconds."""

    def __init__(self, listener, secret, status=204, delay=0):
        self.listener, self.secret, self.status, self.delay = listener, secret, status, delay
        self.port = listener.getsockname()[1]
        self.arrivals = []
        self.connections = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.attend, args=(connection,), daemon=True).start()

    def attend(self, connection):
        self.connections.add(connection)
        connection.settimeout(REQUEST_SECONDS_MAX)
        try:
            self.serve(connection)
        except (OSError, ValueError):
            pass  # whoever called is gone, or was cut off
        finally:
            self.connections.discard(connection)
            connection.close()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection.makefile("rb") as stream:
            while (request := Request.read(stream)) is not None:
                status = self.status(request) if callable(self.status) else self.status
                self.remember(request, status)
                if self.delay:
                    time.sleep(self.delay)
                if not self.answer(connection, request, status):
                    return

    def remember(self, request, status):
        headers = request.headers
        self.arrivals.append(
            Arrival(
                headers.get("webhook-id"),
                time.monotonic(),
                time.time(),
                int(headers.get("webhook-timestamp", "0")),
                int(headers.get("postrider-attempt", "0")),
                int(headers.get("postrider-sequence", "0")),
                request.verified(self.secret),
                status,
            )
        )

    def answer(self, connection, _request, status):
        """Answers, and says whether the connection is kept."""
        connection.sendall(f"HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n".encode())
        return True

    def taken(self):
        """The ids of what it accepted, each verified."""
        return {one.id for one in list(self.arrivals) if one.verified and 200 <= one.status < 300}

    def unverified(self):
        return [one.id for one in list(self.arrivals) if not one.verified]

    def hang_up(self):
        """Ends all connections."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def listen(address="127.0.0.1", port=0):
    """A listening socket of either family."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(256)
    return listener


def awaited(seconds, reached, every=0.05):
    """Whether it is reached in that time."""
    until = time.monotonic() + seconds
    while not (good := reached()) and time.monotonic() < until:
        time.sleep(every)
    return bool(good)


def quantile(values, share):
    values = sorted(values)
    return values[min(int(len(values) * share), len(values) - 1)] if values else 0.0
