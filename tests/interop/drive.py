"""Runs the daemon between a submitter and two receivers that verify with libraries of others.

    drive.py BINARY NODE-FOLDER

Two endpoints, one received in Python and one in Node. The same payloads go out three times: with
one secret, while it is rotated (both sign), and after the old one is gone. Every request must be
verified by every library with every secret that is valid then, and arrive byte for byte.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from daemon import Daemon, Report  # noqa: E402

ARRIVAL_SECONDS_MAX = 60

# What Standard Webhooks' libraries can verify: bytes that are UTF-8, whatever they mean.
PAYLOADS = [
    ("application/json", '{"id": 42, "name": "Zo\u00eb", "note": "\U0001f4ee"}'.encode()),
    ("application/json", b'  {"spaces" :  [ 1,\t2 ] }\r\n'),
    ("application/xml", '<?xml version="1.0"?><order id="42">\u00e4</order>\n'.encode()),
    ("text/plain; charset=utf-8", b"line\r\nline\n\n"),
    ("application/octet-stream", bytes(range(128)) * 8),
    ("application/x-protobuf", "\x08\u0096\x01\x12\x00\u07ff".encode()),
    ("application/octet-stream", b""),
    ("application/json", b'{"large": "' + b"x" * 200_000 + b'"}'),
]


class Receiver:
    """A receiver of others' making, and what it said about each request."""

    def __init__(self, command, secrets):
        self.secrets = secrets
        self.process = subprocess.Popen([*command, secrets], stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["listening"]
        self.requests = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.requests.append(json.loads(line))

    def await_ids(self, ids):
        until = time.monotonic() + ARRIVAL_SECONDS_MAX
        while time.monotonic() < until:
            if ids <= {request["id"] for request in self.requests}:
                return True
            time.sleep(0.05)
        return False


def secret(binary, path):
    subprocess.run([binary, "secret", "generate", "--out", path], check=True)
    with open(path) as file:
        return file.read().strip()


def settings(store, ports, paths):
    text = f'[storage]\npath = "{store}"\nmin_free_disk = "16MiB"\nballast = "1MiB"\n'
    text += '[egress]\nhttps_only = false\nallow = ["127.0.0.0/8"]\nports = []\n'
    text += '[retry]\nschedule = ["1s"]\n'
    files = ", ".join(f'{{ file = "{path}" }}' for path in paths)
    for name, port in ports.items():
        url = f"http://127.0.0.1:{port}/hooks"
        text += f'[[endpoint]]\nname = "{name}"\nurl = "{url}"\nsecrets = [{files}]\n'
    return text


def round_of(report, daemon, receivers, what, signatures):
    """Sends every payload once, and judges what arrived."""
    sent = {}
    for number, (content_type, body) in enumerate(PAYLOADS):
        status, _, answer = daemon.submit("interop.sent", body, content_type)
        if not report.check(status == 202, f"{what}: payload {number} is accepted", answer[:200]):
            continue
        sent[json.loads(answer)["id"]] = (content_type, hashlib.sha256(body).hexdigest())
    for name, receiver in receivers.items():
        arrived = receiver.await_ids(set(sent))
        report.check(arrived, f"{what}: all {len(sent)} events arrive at {name}")
        ours = [request for request in receiver.requests if request["id"] in sent]
        unverified = [request for request in ours if not request["verified"]]
        changed = [r for r in ours if sent[r["id"]] != (r["content_type"], r["sha256"])]
        counts = {request["signatures"] for request in ours}
        verdicts = sum(len(request["verdicts"]) for request in ours)
        report.check(
            ours and not unverified,
            f"{what}: {name}: {len(ours)} requests, {verdicts} verdicts, "
            f"{len(unverified)} unverified",
            json.dumps(unverified[:2]),
        )
        report.check(ours and not changed, f"{what}: {name}: bodies and types as sent", changed[:2])
        report.check(counts == {signatures}, f"{what}: {name}: signed {signatures} times", counts)


def write_secrets(path, secrets):
    with open(path + ".new", "w") as file:
        file.write("\n".join(secrets) + "\n")
    os.rename(path + ".new", path)


def main():
    binary, node_folder = sys.argv[1:3]
    report = Report()
    with tempfile.TemporaryDirectory(prefix="postrider-interop.") as folder:
        old_path, new_path, known = (f"{folder}/{name}" for name in ("old", "new", "known"))
        old, new = secret(binary, old_path), secret(binary, new_path)
        write_secrets(known, [old])
        receivers = {
            "python": Receiver([sys.executable, f"{HERE}/receiver.py"], known),
            "node": Receiver(["node", f"{node_folder}/receiver.mjs"], known),
        }
        ports = {name: receiver.port for name, receiver in receivers.items()}

        def with_secrets(*paths):
            return settings(f"{folder}/store", ports, paths)

        daemon = Daemon(binary, folder, with_secrets(old_path))
        try:
            daemon.start()
            round_of(report, daemon, receivers, "one secret", 1)
            for what, paths, secrets in (
                ("rotating", (new_path, old_path), [new, old]),
                ("rotated", (new_path,), [new]),
            ):
                daemon.configure(with_secrets(*paths))
                status, _, answer = daemon.reload()
                report.check(status == 200, f"{what}: the secrets are reloaded", answer[:300])
                write_secrets(known, secrets)
                round_of(report, daemon, receivers, what, len(paths))
            report.check(daemon.stop() == 0, "the daemon stops cleanly", daemon.tail())
        finally:
            daemon.kill()
            for receiver in receivers.values():
                receiver.process.kill()
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
