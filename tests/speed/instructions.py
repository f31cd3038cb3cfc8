"""Counts the instructions that an event costs, all threads, from the request to the answer of its
endpoint, and compares them with the record.

    instructions.py BINARY

The daemon runs under callgrind twice, for few events and for many: the difference is theirs alone.
Events come one at a time, each when the one before has arrived: how much is written together does
not depend on time then.
"""

import http.server
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from daemon import Daemon, Report  # noqa: E402

RECORD = os.path.join(HERE, "instructions.txt")
# runs differ by more than a tenth where the machine is busy: threads spin while they wait
TOLERANCE = 0.4
ARRIVES_WITHIN_SECONDS = 120
PAYLOAD_BYTES = 1024
# how many events each of the two runs has
FEW, MANY = 50, 350
# ... and how often it is made
TRIES = 3

SETTINGS = """
[storage]
path = "{folder}/store"
ballast = "1MiB"
# valgrind does not know the filter that makes the store sync
durability = "process"

[log]
level = "warn"

[egress]
https_only = false
allow = ["127.0.0.0/8"]
ports = []

[[endpoint]]
name = "counted"
url = "http://127.0.0.1:{port}/"
secret = {{ value = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }}
"""


class Receiver(http.server.BaseHTTPRequestHandler):
    """Answers 200 and counts."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    arrived = 0
    more = threading.Condition()

    @classmethod
    def start(cls):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), cls)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    @classmethod
    def wait_for(cls, count):
        with cls.more:
            if not cls.more.wait_for(lambda: cls.arrived >= count, ARRIVES_WITHIN_SECONDS):
                raise RuntimeError(f"{cls.arrived} of {count} have arrived")

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
        with Receiver.more:
            Receiver.arrived += 1
            Receiver.more.notify_all()

    def log_message(self, *_):
        pass


def payload(number):
    head = f'{{"number":{number},"pad":"'
    return head + "x" * (PAYLOAD_BYTES - len(head) - 2) + '"}'


def counted(binary, port, events):
    """Instructions of a run with so many events."""
    folder = tempfile.mkdtemp(prefix="postrider-speed.")
    try:
        out = f"{folder}/callgrind"
        # as many workers everywhere
        wrapper = ["env", "TOKIO_WORKER_THREADS=2", "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
        daemon = Daemon(binary, folder, SETTINGS.format(folder=folder, port=port), wrapper)
        before = Receiver.arrived
        try:
            daemon.start()
            for number in range(events):
                status, _, answer = daemon.submit("counted.made", payload(number))
                if status != 202:
                    raise RuntimeError(f"{status}: {answer[:300]}")
                Receiver.wait_for(before + number + 1)
            if daemon.stop() != 0:
                raise RuntimeError(f"it did not end well\n{daemon.tail()}")
        finally:
            daemon.kill()
        with open(out) as file:
            total = re.search(r"^(?:totals|summary): (\d+)", file.read(), re.MULTILINE)
        return int(total[1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compiler():
    """What the number of instructions depends on: architecture and compiler."""
    version = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True)
    return f"{platform.machine()} {version.stdout.strip()}"


def main():
    binary, report = sys.argv[1], Report()
    port = Receiver.start().server_port
    # what else the machine does can only add to it: threads that spin while they wait
    few, many = (
        min(counted(binary, port, events) for _ in range(TRIES)) for events in (FEW, MANY)
    )
    found = (many - few) // (MANY - FEW)
    if os.environ.get("INSTRUCTIONS") == "write":
        with open(RECORD, "w") as file:
            file.write(f"{found} {compiler()}\n")
    with open(RECORD) as file:
        record, by = file.read().strip().split(" ", 1)
    change = found / int(record) - 1
    what = f"{found} instructions an event, {change:+.1%} of the record"
    if by != compiler():
        print(f"skipped: {what}, which is of {by}; INSTRUCTIONS=write makes a new one")
        return 0
    report.check(change <= TOLERANCE, what, "more than there should be")
    if change < -TOLERANCE:
        print("INSTRUCTIONS=write makes a record that is as good")
    return report.end()


sys.exit(main())
