"""Puts the daemon between a submitter and a network that fails.

    drive.py BINARY FOLDER [CASE...]

After each case: every event is in a state, with a reason; the healthy endpoint has been served as
ever; descriptors and memory are back to where they were.
"""

import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

import dns  # noqa: E402
import lab as laboratory  # noqa: E402
import liars  # noqa: E402
from daemon import Report  # noqa: E402
from lab import Lab, v4, v6  # noqa: E402
from sink import awaited  # noqa: E402
from stage import Stage  # noqa: E402

LOSS_PERCENT = 25
RESET_PERCENT = 20


def loss(stage):
    """A quarter of all packets is lost, both ways."""
    sink = stage.sink(v4(laboratory.LOSSY))
    stage.endpoint("loss", f"http://{v4(laboratory.LOSSY)}:{sink.port}/")
    lost = f"numgen random mod 100 < {LOSS_PERCENT} drop"
    stage.lab.rules(
        f"to ip daddr {v4(laboratory.LOSSY)} {lost}",
        f"from ip saddr {v4(laboratory.LOSSY)} {lost}",
    )
    stage.submit("loss", 40, 3_000)
    stage.all_delivered("loss", "loss", sink)


def slow_wire(stage):
    """A wire of 800 kbit/s, and a receiver that takes a second to answer."""
    sink = stage.sink(laboratory.SLOW_WIRE, delay=1)
    stage.endpoint("slow", f"http://{laboratory.SLOW_WIRE}:{sink.port}/")
    stage.submit("slow", 25, 8_000)
    stage.all_delivered("slow wire", "slow", sink)


def black_hole(stage):
    """The receiver's address swallows everything, in the middle of traffic, and is healed."""
    sink = stage.sink(v4(laboratory.DARK))
    stage.endpoint("dark", f"http://{v4(laboratory.DARK)}:{sink.port}/")
    stage.submit("dark", 5)
    stage.lab.rules(f"to ip daddr {v4(laboratory.DARK)} drop")
    stage.submit("dark", 30)
    timeouts = {"timeout_connect", "timeout_response"}
    awaited(15, lambda: timeouts <= set(stage.outcomes("dark")))
    seen = stage.outcomes("dark")
    stage.report.check(
        timeouts <= set(seen),
        f"black hole: {seen.count('timeout_connect')} attempts had no connection in time, "
        f"{seen.count('timeout_response')} no answer",
        set(seen),
    )
    stage.lab.rules()
    stage.all_delivered("black hole", "dark", sink)


def resets(stage):
    """Connections are reset in mid-flow, and later nobody is let in at all."""
    address = v4(laboratory.RESETS)
    sink = stage.sink(address)
    stage.endpoint("resets", f"http://{address}:{sink.port}/")
    data = f"to ip daddr {address} tcp flags & (syn | psh) == psh"
    stage.lab.rules(f"{data} numgen random mod 100 < {RESET_PERCENT} reject with tcp reset")
    stage.submit("resets", 60, 40_000)
    time.sleep(1.5)
    stage.lab.rules(f"to ip daddr {address} reject with tcp reset")
    stage.submit("resets", 20)
    time.sleep(1.5)
    seen = stage.outcomes("resets")
    stage.report.check(
        "connection_reset" in seen and "connect_refused" in seen,
        f"resets: {seen.count('connection_reset')} attempts were reset, "
        f"{seen.count('connect_refused')} refused",
        set(seen),
    )
    stage.lab.rules()
    stage.all_delivered("resets", "resets", sink)


def ipv6(stage):
    """Receivers that only IPv6 leads to, by address and by name."""
    sink = stage.sink(v6(laboratory.WELL))
    stage.lab.names.zone["six.example.net"] = [v6(laboratory.WELL)]
    stage.endpoint("literal", f"http://[{v6(laboratory.WELL)}]:{sink.port}/")
    stage.endpoint("named", f"http://six.example.net:{sink.port}/")
    for name in ("literal", "named"):
        stage.submit(name, 10)
        stage.all_delivered(f"ipv6, {name}", name, sink)


def one_family_broken(stage):
    """A name of both families, of which one leads nowhere: the other one is taken."""
    four, six = v4(laboratory.BOTH), v6(laboratory.BOTH)
    stage.lab.names.zone["both.example.net"] = [four, six]
    drop = {four: f"to ip daddr {four} drop", six: f"to ip6 daddr {six} drop"}
    for number, (works, broken, family) in enumerate(
        ((six, four, "prefer-v4"), (four, six, "prefer-v6"), (four, six, "prefer-v4"))
    ):
        sink, name = stage.sink(works), f"both-{number}"
        stage.family = family
        stage.endpoint(name, f"http://both.example.net:{sink.port}/")
        stage.lab.rules(drop[broken])
        stage.submit(name, 10)
        stage.all_delivered(f"{family}, {broken} leads nowhere", name, sink)
        retried = sum(one["attempts"] for one in stage.deliveries(name)) - 10
        stage.report.check(retried == 0, f"{family}: the same attempt tries the other", retried)
        stage.lab.rules()
    stage.family = "prefer-v4"


CASES = [
    loss, slow_wire, black_hole, resets, ipv6, one_family_broken,
    dns.unanswered, dns.rebinding, dns.mixed, dns.crowd,
    liars.lies, liars.smuggled, liars.early, liars.no_end,
]


def main():
    binary, folder, *chosen = sys.argv[1:]
    report, lab, began = Report(), Lab(), time.monotonic()
    stage = None
    try:
        lab.build()
        lab.narrow("pr1", "800kbit")
        stage = Stage(report, binary, folder, lab)
        stage.start()
        time.sleep(1)
        for case in CASES:
            if not chosen or case.__name__ in chosen:
                stage.around(case)
        stage.end()
    finally:
        if stage:
            stage.daemon.kill()
        lab.remove()
    print(f"{time.monotonic() - began:.0f} s")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
