"""Two network namespaces: one for the daemon, one for the world that it calls, and what is done to
the wires between them.

The driver opens the world's sockets from threads that visit its namespace, so that all receivers
live in one process.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess

import names
from sink import listen

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)

# address of the world: IPv4 and IPv6 end alike
WELL, LOSSY, DARK, RESETS, LIARS, BOTH, NAMESERVER = 2, 11, 13, 14, 16, 15, 53
SLOW_WIRE = "10.78.0.2"


def v4(host):
    return f"10.77.0.{host}"


def v6(host):
    return f"fd77::{host}"


def run(*command, stdin=None):
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


class Lab:
    def __init__(self):
        self.daemon, self.world = f"pr-daemon-{os.getpid()}", f"pr-world-{os.getpid()}"
        self.etc = f"/etc/netns/{self.daemon}"
        self.names = None

    def build(self):
        for name in (self.daemon, self.world):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        self.wire("pr0", "10.77.0.1/24", v4(WELL))
        self.wire("pr1", "10.78.0.1/24", SLOW_WIRE)
        run("ip", "-n", self.daemon, "addr", "add", "fd77::1/64", "dev", "pr0", "nodad")
        for host in (WELL, LOSSY, DARK, RESETS, LIARS, BOTH, NAMESERVER):
            if host != WELL:
                run("ip", "-n", self.world, "addr", "add", f"{v4(host)}/24", "dev", "pr0")
            address = f"{v6(host)}/64"
            run("ip", "-n", self.world, "addr", "add", address, "dev", "pr0", "nodad")
        # ip-netns(8): these files stand in for those of /etc
        os.makedirs(self.etc)
        with open(f"{self.etc}/resolv.conf", "w", encoding="ascii") as file:
            file.write(f"nameserver {v4(NAMESERVER)}\nsearch .\n")
        with self.in_world():
            self.names = names.NameServer(v4(NAMESERVER))

    def wire(self, device, ours, theirs):
        run("ip", "link", "add", device, "netns", self.daemon,
            "type", "veth", "peer", "name", device, "netns", self.world)
        for name, address in ((self.daemon, ours), (self.world, f"{theirs}/24")):
            run("ip", "-n", name, "addr", "add", address, "dev", device)
            run("ip", "-n", name, "link", "set", device, "up")

    def narrow(self, device, rate):
        """Lets so much through a wire, each way, with a queue of a second."""
        for name in (self.daemon, self.world):
            run("tc", "-n", name, "qdisc", "add", "dev", device, "root",
                "tbf", "rate", rate, "burst", "4kb", "latency", "1s")

    def rules(self, *lines):
        """The faults that hold from now on; none: none. `to` and `from` stand for the two ways
        between the daemon and the world."""
        table = "add table inet faults\ndelete table inet faults\ntable inet faults {\n"
        for way, hook in (("to", "input"), ("from", "output")):
            table += f"chain {hook} {{\ntype filter hook {hook} priority 0\n"
            own = [line.removeprefix(way) for line in lines if line.startswith(way + " ")]
            table += "\n".join(own) + "\n}\n"
        run("ip", "netns", "exec", self.world, "nft", "-f", "-", stdin=table + "}\n")

    def wrapper(self):
        """What the daemon is started with."""
        return ["ip", "netns", "exec", self.daemon]

    @contextlib.contextmanager
    def visit(self, name):
        """This thread's sockets are made there; setns(2) is of one thread."""
        with open("/proc/thread-self/ns/net") as home, open(f"/var/run/netns/{name}") as there:
            enter(there)
            try:
                yield
            finally:
                enter(home)

    def in_world(self):
        return self.visit(self.world)

    def listen(self, address, port=0):
        with self.in_world():
            return listen(address, port)

    def listen_beside_the_daemon(self, port):
        with self.visit(self.daemon):
            return listen("127.0.0.1", port)

    def remove(self):
        for name in (self.daemon, self.world):
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.etc, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir("/etc/netns")


def enter(namespace):
    if LIBC.setns(namespace.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
