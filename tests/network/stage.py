"""What every case stands on: the daemon in its namespace, a healthy endpoint that gets an event
every so often, and the judgement after each case."""

import json
import subprocess
import threading
import time

from daemon import Daemon
from sink import Sink, awaited, quantile

HEALTHY = "well.example.net"
TICK_SECONDS = 0.05
# from submit to arrival at the healthy endpoint, whatever happens to the others
NINE_OF_TEN_SECONDS_MAX = 0.25
SLOWEST_SECONDS_MAX = 10
DONE_SECONDS_MAX = 40
# states that say enough; any other one comes with a reason and the outcome of the last attempt
PLAIN = {"delivered", "queued", "sending"}
# connections that idle are closed after 1 s, look-ups that hang after 10 s
BACK_SECONDS_MAX = 15
DESCRIPTORS_MORE_MAX = 4
RESIDENT_MORE_MAX = 12 << 20

SETTINGS = """
[storage]
path = "{folder}/store"
min_free_disk = "16MiB"
ballast = "1MiB"
[delivery]
connect_timeout = "1s"
dns_timeout = "3s"
dns_cache_ttl = "1s"
response_timeout = "3s"
attempt_timeout = "4s"
pool_idle_timeout = "1s"
[retry]
policy = "exponential"
base = "1s"
factor = 1.0
max = "1s"
max_attempts = 100
jitter = 0
[breaker]
open_for = "1s"
open_max = "1s"
[egress]
https_only = false
allow = ["10.77.0.0/16", "10.78.0.0/16", "fd77::/64"]
ports = []
ip_family = "{family}"
[log]
level = "warn"
"""


class Stage:
    def __init__(self, report, binary, folder, lab):
        self.report, self.folder, self.lab = report, folder, lab
        path = f"{folder}/secret"
        subprocess.run([binary, "secret", "generate", "--out", path], check=True)
        with open(path, encoding="ascii") as file:
            self.secret = file.read().strip()
        self.endpoints = {}  # name -> url
        self.family = "prefer-v4"
        self.daemon = Daemon(binary, folder, self.settings())
        self.daemon.wrapper = lab.wrapper()
        self.submitted = {}  # type -> ids
        self.ticks = []  # (id, when it was submitted)
        self.ticking = True

    def settings(self):
        text = SETTINGS.format(folder=self.folder, family=self.family)
        for name, url in self.endpoints.items():
            text += f'[[endpoint]]\nname = "{name}"\nurl = "{url}"\ntypes = ["{name}.*"]\n'
            text += f'secret = {{ file = "{self.folder}/secret" }}\n'
        return text

    def sink(self, address, kind=Sink, **told):
        return kind(self.lab.listen(address), self.secret, **told)

    def start(self):
        self.well = self.sink("10.77.0.2")
        self.lab.names.zone[HEALTHY] = ["10.77.0.2"]
        self.endpoints["well"] = f"http://{HEALTHY}:{self.well.port}/"
        self.daemon.configure(self.settings())
        self.daemon.start()
        threading.Thread(target=self.tick, daemon=True).start()

    def tick(self):
        while self.ticking:
            began = time.monotonic()
            status, _, answer = self.daemon.submit("well.tick", b"{}")
            if status == 202:
                self.ticks.append((json.loads(answer)["id"], began))
            time.sleep(TICK_SECONDS)

    def endpoint(self, name, url):
        """One endpoint more, which gets the events of its name."""
        self.endpoints[name] = url
        self.reload()

    def reload(self):
        self.daemon.configure(self.settings())
        status, _, answer = self.daemon.reload()
        if status != 200:
            raise RuntimeError(f"the reload is refused: {answer[:300]}")

    def submit(self, name, count, payload_bytes=300):
        """So many events for an endpoint; the set of their ids."""
        ids = set()
        for _ in range(count):
            body = b"x" * payload_bytes
            status, _, answer = self.daemon.submit(f"{name}.event", body, "text/plain")
            if status != 202:
                raise RuntimeError(f"an event for {name} is answered {status}: {answer[:200]}")
            ids.add(json.loads(answer)["id"])
        self.submitted.setdefault(name, set()).update(ids)
        return ids

    def deliveries(self, name):
        return self.daemon.pages(f"/v1/deliveries?endpoint={name}")

    def outcomes(self, name):
        """The outcome of each attempt of each delivery, as the log of the delivery tells it."""
        found = []
        for one in self.deliveries(name):
            _, body = self.daemon.get(f"/v1/deliveries/{one['id']}")
            kinds = [step["kind"] for step in json.loads(body).get("steps", [])]
            found += [kind["attempt"]["outcome"] for kind in kinds if "attempt" in kind]
        return found

    def all_delivered(self, what, name, sink, seconds=DONE_SECONDS_MAX):
        """Each event of an endpoint is with its receiver, verified, and stored as delivered."""
        ids, began = self.submitted[name], time.monotonic()
        awaited(seconds, lambda: self.states(name) == {"delivered": len(ids)}, 0.3)
        took, states = time.monotonic() - began, self.states(name)
        attempts = sum(one["attempts"] for one in self.deliveries(name))
        good = ids <= sink.taken() and states == {"delivered": len(ids)} and not sink.unverified()
        self.report.check(
            good,
            f"{what}: {len(ids)} of {len(ids)} delivered and verified, {attempts} attempts, "
            f"{took:.1f} s after the last was submitted",
            f"taken {len(ids & sink.taken())}, {states}, unverified {len(sink.unverified())}",
        )

    def states(self, name):
        found = {}
        for one in self.deliveries(name):
            found[one["state"]] = found.get(one["state"], 0) + 1
        return found

    def unexplained(self, name):
        """Deliveries that are missing, or of which it is not said where they are and why."""
        there = {one["event_id"]: one for one in self.deliveries(name)}
        vague = [
            one for one in there.values()
            if one["state"] not in PLAIN and not (one["reason"] and one["last_outcome"])
        ]
        return sorted(self.submitted.get(name, set()) - set(there)) + vague

    def around(self, case):
        """Runs a case, and judges what it must not have touched."""
        what, before, began = case.__name__, self.daemon.kernel_says(), time.monotonic()
        print(f"--- {what}: {case.__doc__.splitlines()[0]}", flush=True)
        names = set(self.endpoints)
        try:
            case(self)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            self.report.check(False, f"{what}: it runs to its end", repr(error))
        self.lab.rules()
        vague = [one for name in self.endpoints for one in self.unexplained(name)]
        self.report.check(not vague, f"{what}: each delivery has a state and a reason", vague[:2])
        self.judge_the_healthy(what, began)
        # what the case was about is over
        self.endpoints = {n: url for n, url in self.endpoints.items() if n in names}
        self.reload()
        self.judge_what_is_left(what, before)

    def judge_the_healthy(self, what, began):
        ticks = [(tick, at) for tick, at in list(self.ticks) if at >= began]
        awaited(5, lambda: {tick for tick, _ in ticks} <= self.well.taken())
        arrived = {one.id: one.at for one in reversed(list(self.well.arrivals))}
        took = [arrived[tick] - at for tick, at in ticks if tick in arrived]
        usual, slowest = quantile(took, 0.9), max(took, default=99)
        self.report.check(
            len(took) == len(ticks)
            and usual <= NINE_OF_TEN_SECONDS_MAX
            and slowest <= SLOWEST_SECONDS_MAX,
            f"{what}: the healthy endpoint got its {len(ticks)} events, half of them in "
            f"{quantile(took, 0.5) * 1000:.1f} ms, nine of ten in {usual * 1000:.1f} ms, "
            f"the slowest in {slowest * 1000:.0f} ms",
            f"{len(took)} of {len(ticks)} arrived",
        )

    def judge_what_is_left(self, what, before):
        def back():
            resident, descriptors, threads = self.daemon.kernel_says()
            return (
                descriptors <= before[1] + DESCRIPTORS_MORE_MAX
                and resident <= before[0] + RESIDENT_MORE_MAX
            )

        good = awaited(BACK_SECONDS_MAX, back, 0.2)
        after = self.daemon.kernel_says()
        self.report.check(
            good,
            f"{what}: descriptors {before[1]} -> {after[1]}, "
            f"resident {before[0] / 2**20:.1f} -> {after[0] / 2**20:.1f} MiB, "
            f"threads {before[2]} -> {after[2]}",
        )

    def end(self):
        self.ticking = False
        self.report.check(self.daemon.stop() == 0, "the daemon stops cleanly", self.daemon.tail())
