"""Cases in which names do not lead where they should."""

import time

from lab import WELL, v4
from sink import Sink

# a resolver asks twice, 5 s each (resolv.conf(5)); the look-up goes on so long after the attempt
SILENCE_SECONDS = 5
NOT_ALLOWED = "192.168.5.5"
# the daemon has 32 look-ups under way at most
CROWD, CROWD_SECONDS = 36, 5
BROKEN = {
    "silent": ("silent", "timeout_dns"),
    "servfail": ("servfail", "dns_error"),
    "nxdomain": ("nxdomain", "dns_error"),
    "empty": ([], "dns_error"),
}


def unanswered(stage):
    """Names without an answer, with a failure, not there, without an address; one that is slow."""
    sink, zone = stage.sink(v4(WELL)), stage.lab.names.zone
    for name, (entry, _) in BROKEN.items():
        zone[f"{name}.example.net"] = entry
        stage.endpoint(name, f"http://{name}.example.net:{sink.port}/")
    zone["late.example.net"], stage.lab.names.delay["late.example.net"] = [v4(WELL)], 2
    stage.endpoint("late", f"http://late.example.net:{sink.port}/")
    for name in [*BROKEN, "late"]:
        stage.submit(name, 10)
    time.sleep(SILENCE_SECONDS)
    for name, (_, outcome) in BROKEN.items():
        seen = stage.outcomes(name)
        stage.report.check(
            seen and set(seen) == {outcome}, f"dns, {name}: {len(seen)} times {outcome}", set(seen)
        )
    for name in BROKEN:
        zone[f"{name}.example.net"] = [v4(WELL)]
    for name in [*BROKEN, "late"]:
        stage.all_delivered(f"dns, {name}", name, sink)
    failed = sum(one["attempts"] for one in stage.deliveries("late")) - 10
    stage.report.check(failed == 0, "dns, late: an answer after 2 s is in time", failed)


def rebinding(stage):
    """A name leads to an allowed address first, then to the daemon's own machine, then back."""
    sink, name = stage.sink(v4(WELL)), "rebinding.example.net"
    inside = Sink(stage.lab.listen_beside_the_daemon(sink.port), stage.secret)
    stage.lab.names.zone[name] = [v4(WELL)]
    stage.endpoint("rebinding", f"http://{name}:{sink.port}/")
    stage.submit("rebinding", 5)
    stage.all_delivered("rebinding, before", "rebinding", sink)
    stage.lab.names.zone[name] = ["127.0.0.1"]
    time.sleep(1.5)  # the first answer was good for a second
    stage.submit("rebinding", 5)
    time.sleep(1.5)
    seen = stage.outcomes("rebinding")
    stage.report.check(
        seen.count("blocked_address") >= 5 and set(seen) == {"ok", "blocked_address"},
        f"rebinding: refused {seen.count('blocked_address')} times",
        seen,
    )
    stage.lab.names.zone[name] = [v4(WELL)]
    stage.all_delivered("rebinding, after", "rebinding", sink)
    # the other listener is reached by whoever is let: the daemon was not
    stage.report.check(not inside.arrivals, "rebinding: nothing came to 127.0.0.1")


def mixed(stage):
    """An answer that holds an allowed address and one that is not: neither is called."""
    sink, name = stage.sink(v4(WELL)), "mixed.example.net"
    stage.lab.names.zone[name] = [v4(WELL), NOT_ALLOWED]
    stage.endpoint("mixed", f"http://{name}:{sink.port}/")
    stage.submit("mixed", 5)
    time.sleep(1.5)
    seen = stage.outcomes("mixed")
    stage.report.check(
        len(seen) >= 5 and set(seen) == {"blocked_address"} and not sink.arrivals,
        f"mixed: refused {len(seen)} times",
        seen,
    )
    stage.lab.names.zone[name] = [v4(WELL)]
    stage.all_delivered("mixed, after", "mixed", sink)


def crowd(stage):
    """More names that do not resolve than look-ups may be under way."""
    sink, zone = stage.sink(v4(WELL)), stage.lab.names.zone
    names = [f"crowd-{number}" for number in range(CROWD)]
    for name in names:
        zone[f"{name}.example.net"] = "silent"
        stage.endpoints[name] = f"http://{name}.example.net:{sink.port}/"
    stage.reload()
    for name in names:
        stage.submit(name, 2)
    time.sleep(CROWD_SECONDS)
    seen = sum((stage.outcomes(name) for name in names), [])
    stage.report.check(
        set(seen) == {"timeout_dns", "dns_overloaded"},
        f"dns, crowd: {seen.count('timeout_dns')} times timeout_dns, "
        f"{seen.count('dns_overloaded')} times dns_overloaded",
        set(seen),
    )
    for name in names:
        zone[f"{name}.example.net"] = [v4(WELL)]
    for name in names:
        stage.all_delivered(f"dns, {name}", name, sink)
