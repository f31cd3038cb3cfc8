"""Fills the disk under the daemon, and makes its writes fail.

    drive.py BINARY FOLDER [CASE...]

In every case: what was acknowledged is there afterwards, body and delivery; what could not be kept
was not acknowledged; a refusal is a problem that says so.
"""

import functools
import http.server
import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

from daemon import Daemon, Report, ask  # noqa: E402
from load import Load  # noqa: E402

DISK_MIB = 128
EXIT_SECONDS_MAX = 30
EXIT_STORE_FAILED = 74
DELIVERY_SECONDS_MAX = 60
# the daemon looks every 5 s whether there is room again
ROUND_SECONDS_MAX = 15
PAYLOAD_BYTES = 20_000

SETTINGS = """
[storage]
path = "{store}"
min_free_disk = "{min_free}"
ballast = "8MiB"

[egress]
https_only = false
allow = ["127.0.0.0/8"]
ports = []

[[endpoint]]
name = "kept"
url = "http://127.0.0.1:{port}/"
paused = true
max_in_flight = 4
"""


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes everything, and counts it."""

    protocol_version = "HTTP/1.1"
    taken = 0

    @classmethod
    def start(cls):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), cls)
        # the daemon is killed while it has connections
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_address[1]

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        Receiver.taken += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def shell(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class SmallDisk:
    """An ext4 of its own on a loop device."""

    def __init__(self, folder, name):
        self.image, self.mount = f"{folder}/{name}.image", f"{folder}/{name}"
        os.makedirs(self.mount)
        shell("truncate", "-s", f"{DISK_MIB}M", self.image)
        shell("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
        shell("mount", "-o", "loop", self.image, self.mount)

    def fill(self):
        """Takes every byte that is left."""
        with open(f"{self.mount}/filler", "wb") as filler:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        filler.write(b"\0" * size)
                        filler.flush()
                except OSError:
                    pass
        os.sync()

    def make_room(self):
        os.unlink(f"{self.mount}/filler")

    def remove(self):
        subprocess.run(["umount", "-l", self.mount], check=False)
        os.unlink(self.image)


def refused_clearly(load):
    """Every refusal so far is a problem of the disk, and says when to try again."""
    good = (503, True, True, "application/problem+json")
    return load.refused and not load.broken and all(
        (status, code in ("disk-low", "store-full"), bool(retry), media) == good
        for status, code, retry, media in load.refused
    )


def said(load):
    return f"refused {load.refused[:2]}, broken {load.broken[:2]}"


def settings(folder, min_free, port=9):
    return SETTINGS.format(store=f"{folder}/store", min_free=min_free, port=port)


def awaited(seconds, reached):
    """Whether it is reached in that time."""
    until = time.monotonic() + seconds
    while not reached() and time.monotonic() < until:
        time.sleep(0.1)
    return bool(reached())


def restart(report, daemon, load, what, sign="/readyz"):
    """Starts it again, and looks for everything."""
    daemon.kill()
    try:
        daemon.start(sign)
    except RuntimeError as error:
        return report.check(False, f"{what}: it starts", str(error))
    lost = load.lost(daemon)
    return report.check(
        not lost, f"{what}: {len(load.acknowledged)} acknowledged, {len(lost)} lost", lost[:3]
    )


def fills_up(report, binary, folder):
    """The events themselves fill the disk up to the low-water mark."""
    disk, load = SmallDisk(folder, "fills-up"), Load()
    daemon = Daemon(binary, f"{folder}/sockets", settings(disk.mount, "48MiB"))
    try:
        daemon.start()
        load.run(daemon, PAYLOAD_BYTES)
        report.check(load.acknowledged, f"fills up: {len(load.acknowledged)} acknowledged first")
        report.check(refused_clearly(load), "fills up: then refused with a reason", said(load))
        lost = load.lost(daemon)
        report.check(not lost, f"fills up: {len(lost)} lost while it runs", lost[:3])
        report.check(daemon.stop() == 0, "fills up: it stops cleanly", daemon.tail())
        restart(report, daemon, load, "fills up: after a restart", "/healthz")
    finally:
        daemon.kill()
        disk.remove()


def is_filled(report, binary, folder):
    """Somebody else takes the last byte, while it runs and when it starts."""
    disk, load, port = SmallDisk(folder, "is-filled"), Load(), Receiver.start()
    daemon = Daemon(binary, f"{folder}/sockets", settings(disk.mount, "16MiB", port))
    try:
        daemon.start()
        load.run(daemon, PAYLOAD_BYTES, events_max=300)
        disk.fill()
        new = load.run(daemon, PAYLOAD_BYTES, events_max=300)
        # either it saw in time that the disk was low, or a write failed and it ends
        clear = refused_clearly(load)
        ended = clear or awaited(EXIT_SECONDS_MAX, lambda: daemon.process.poll() is not None)
        code = daemon.process.poll()
        report.check(
            clear or (ended and code == EXIT_STORE_FAILED),
            f"full: after {new} more, " + ("refused" if clear else f"it ends with {code}"),
            said(load),
        )
        load.forget_refusals()
        if restart(report, daemon, load, "full: started on the full disk", "/healthz"):
            low_and_high(report, daemon, disk, load)
        if restart(report, daemon, load, "full: with room again"):
            report.check(daemon.stop() == 0, "full: it stops cleanly", daemon.tail())
    finally:
        daemon.kill()
        disk.remove()


def low_and_high(report, daemon, disk, load):
    """On the full disk nothing new is taken, and what is there goes out; then there is room."""
    load.run(daemon, PAYLOAD_BYTES, events_max=50)
    report.check(refused_clearly(load), "full: refused with a reason", said(load))
    ballast = f"{disk.mount}/store/ballast"
    report.check(not os.path.exists(ballast), "full: the ballast is given up")
    status = ask(daemon.admin, "POST", "/v1/endpoints/kept/resume", b"")[0]
    report.check(status == 200, "full: the endpoint is resumed", status)
    everything = len(load.acknowledged)
    awaited(DELIVERY_SECONDS_MAX, lambda: Receiver.taken >= everything)
    taken = Receiver.taken
    report.check(taken >= everything, f"full: {taken} of {everything} delivered all the same")
    disk.make_room()
    taken = awaited(ROUND_SECONDS_MAX, lambda: daemon.submit("disk.test", b"{}")[0] == 202)
    report.check(taken, "room again: events are taken without a restart", daemon.tail())
    load.forget_refusals()
    new = load.run(daemon, PAYLOAD_BYTES, events_max=50)
    report.check(new >= 50 and not load.refused, f"room again: {new} accepted", said(load))
    report.check(os.path.exists(ballast), "room again: the ballast is back")


def writes_fail(report, binary, folder, what, injection):
    """The disk reports an error: from then on nothing more is acknowledged, until a restart."""
    store, load = f"{folder}/{what}", Load()
    os.makedirs(store)
    daemon = Daemon(binary, f"{folder}/sockets", settings(store, "16MiB"))
    calm = daemon.wrapper
    traced = "trace=pwrite64,fsync,fdatasync"
    daemon.wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", traced, "-e", injection]
    try:
        daemon.start()
        load.run(daemon, 1000, events_max=20_000, seconds_max=60)
        failed = load.refused or load.broken
        report.check(failed and load.acknowledged, f"{what}: fails under load", said(load))
        report.check(
            load.after_refusal == 0,
            f"{what}: nothing acknowledged after the first failure",
            f"{load.after_refusal} were",
        )
        awaited(EXIT_SECONDS_MAX, lambda: daemon.process.poll() is not None)
        code = daemon.process.poll()
        report.check(code == EXIT_STORE_FAILED, f"{what}: it ends with {code}", daemon.tail())
        daemon.kill()
        daemon.wrapper = calm
        restart(report, daemon, load, f"{what}: after a restart")
    finally:
        daemon.kill()


# every call, one by one and without load: tests/lossy
INJECTIONS = {
    "write-enospc": "inject=pwrite64:error=ENOSPC:when=120+",
    # a disk that fails once and then says that all is well has lost what it failed to write
    "fsync-eio-once": "inject=fsync,fdatasync:error=EIO:when=120",
}


def main():
    binary, folder, *chosen = sys.argv[1:]
    report = Report()
    os.makedirs(f"{folder}/sockets")
    cases = {"fills-up": fills_up, "is-filled": is_filled}
    for what, injection in INJECTIONS.items():
        cases[what] = functools.partial(writes_fail, what=what, injection=injection)
    for name in chosen or cases:
        cases[name](report, binary, folder)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
