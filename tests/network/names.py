"""A name server of our own (RFC 1035, UDP), whose answers are changed while it runs."""

import socket
import struct
import threading
import time

A, AAAA = 1, 28
NO_ERROR = 0
ERRORS = {"servfail": 2, "nxdomain": 3}


class NameServer:
    """`zone[name]` is what a question is answered with: a list of addresses, a list of such lists
    (one for each time that A is asked, the last one again and again), or "servfail", "nxdomain",
    "silent". `delay[name]` is waited for first, in seconds."""

    def __init__(self, address):
        self.zone, self.delay, self.asked = {}, {}, {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            question, client = self.socket.recvfrom(4096)
            threading.Thread(target=self.attend, args=(question, client), daemon=True).start()

    def attend(self, question, client):
        name, kind, end = parse(question)
        self.asked[name] = self.asked.get(name, 0) + (kind == A)
        if name in self.delay:
            time.sleep(self.delay[name])
        entry = self.zone.get(name, "nxdomain")
        if entry == "silent":
            return
        code = ERRORS.get(entry, NO_ERROR) if isinstance(entry, str) else NO_ERROR
        records = [] if code else records_of(self.turn(name, entry), kind)
        head = question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        self.socket.sendto(head + question[12:end] + b"".join(records), client)

    def turn(self, name, entry):
        if entry and isinstance(entry[0], list):
            return entry[min(max(self.asked[name], 1), len(entry)) - 1]
        return entry


def parse(question):
    """The name, the type, and where the question ends."""
    labels, at = [], 12
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("ascii").lower())
        at += 1 + length
    return ".".join(labels), struct.unpack_from(">H", question, at + 1)[0], at + 5


def records_of(addresses, kind):
    """Answers that point at the name in the question, to be kept for no time."""
    family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(kind)
    found = []
    for address in addresses:
        if family == (socket.AF_INET6 if ":" in address else socket.AF_INET):
            data = socket.inet_pton(family, address)
            found.append(struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(data)) + data)
    return found
