"""Load that remembers what was promised: what was acknowledged, and with which body."""

import hashlib
import http.client
import itertools
import json
import os
import threading
import time

CLIENTS = 4
REQUEST_SECONDS_MAX = 20


class Load:
    def __init__(self):
        self.acknowledged = {}  # event id -> sha256 of its payload
        self.refused = []  # (status, code, Retry-After, media type)
        self.broken = []  # requests that got no answer
        self.after_refusal = 0  # acknowledged though a request had been refused before it was sent
        self.numbers = itertools.count()

    def run(self, daemon, payload_bytes, events_max=1_000_000, refusals_max=12, seconds_max=120):
        """Submits until so many are acknowledged, refused or broken; gives how many were new."""
        before = len(self.acknowledged)
        refusals_end = len(self.refused) + len(self.broken) + refusals_max
        until = time.monotonic() + seconds_max

        def client():
            while (
                len(self.acknowledged) - before < events_max
                and len(self.refused) + len(self.broken) < refusals_end
                and time.monotonic() < until
            ):
                self.submit_one(daemon, payload_bytes)

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(self.acknowledged) - before

    def submit_one(self, daemon, payload_bytes):
        number = next(self.numbers)
        body = f"{number:016}".encode() + os.urandom(payload_bytes - 16)
        refused_before = bool(self.refused or self.broken)
        try:
            status, headers, answer = daemon.submit(
                "disk.test", body, "application/octet-stream", f"disk-{number}", REQUEST_SECONDS_MAX
            )
        except (OSError, http.client.HTTPException) as error:
            self.broken.append(type(error).__name__)
            return
        if status == 202:
            self.acknowledged[json.loads(answer)["id"]] = hashlib.sha256(body).hexdigest()
            self.after_refusal += refused_before
        else:
            headers = {name.lower(): value for name, value in headers.items()}
            code = json.loads(answer).get("code") if answer.startswith(b"{") else None
            self.refused.append(
                (status, code, headers.get("retry-after"), headers.get("content-type"))
            )

    def forget_refusals(self):
        self.refused, self.broken, self.after_refusal = [], [], 0

    def lost(self, daemon):
        """What was acknowledged and is not there, or not as it was."""
        there, lost = daemon.events(), []
        for event, digest in self.acknowledged.items():
            if event not in there:
                lost.append(f"{event} is gone")
                continue
            status, body = daemon.get(f"/v1/events/{event}/payload")
            if status != 200 or hashlib.sha256(body).hexdigest() != digest:
                lost.append(f"{event} has another payload ({status}, {len(body)} bytes)")
            elif len(json.loads(daemon.get(f"/v1/events/{event}")[1])["deliveries"]) != 1:
                lost.append(f"{event} has no delivery")
        return lost
