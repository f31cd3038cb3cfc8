"""Turns the daemon's wall clock, and looks at what goes out when, and what it says.

    drive.py BINARY FOLDER [CASE...]

Here, a time is early or late by the clock of this process, which nobody turns; what a request says
is compared with the clock that the daemon was given, as its receiver would.
"""

import calendar
import datetime
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

from daemon import Daemon, Report  # noqa: E402
from sink import Sink, awaited, listen  # noqa: E402

HOUR, DAY = 3600, 86400
# a clock that is turned is looked at once in 5 s
LATE_SECONDS_MAX = 7
# of a request that says when it was sent
SAID_SECONDS_MAX = 2
RETRY_SECONDS = 2
# more than what a start passes over
AHEAD_SECONDS = 120
# a wait that was begun is not cut short by more than this
EARLY_SECONDS_MAX = 0.1

SETTINGS = """
[storage]
path = "{folder}/store"
min_free_disk = "16MiB"
ballast = "1MiB"
[retry]
schedule = [{retries}]
jitter = 0
[breaker]
open_for = "1s"
open_max = "1s"
[egress]
https_only = false
allow = ["127.0.0.0/8"]
ports = []
[retention]
sweep_every = "1s"
[log]
level = "warn"
"""


class Stage:
    """A daemon with a clock that is turned, and a receiver."""

    def __init__(self, report, binary, folder, retries=("2s",) * 40):
        self.report, self.folder = report, folder
        os.makedirs(folder)
        subprocess.run([binary, "secret", "generate", "--out", f"{folder}/secret"], check=True)
        with open(f"{folder}/secret", encoding="ascii") as file:
            self.sink = Sink(listen(), file.read().strip())
        self.offset = 0
        self.turn(0)
        text = SETTINGS.format(folder=folder, retries=", ".join(f'"{r}"' for r in retries))
        text += self.endpoint("ok") + self.endpoint("rate") + 'rate = "10/s"\n'
        self.daemon = Daemon(binary, folder, text)
        self.daemon.wrapper = self.wrapper()

    def endpoint(self, name):
        url = f"http://127.0.0.1:{self.sink.port}/"
        return (
            f'[[endpoint]]\nname = "{name}"\nurl = "{url}"\ntypes = ["{name}.*"]\n'
            f'secret = {{ file = "{self.folder}/secret" }}\n'
        )

    def wrapper(self, **more):
        """The daemon's environment: its clock stands in a file, and is read anew each time."""
        given = {
            "LD_PRELOAD": os.environ["LIBFAKETIME"],
            "FAKETIME_TIMESTAMP_FILE": f"{self.folder}/offset",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
            **more,
        }
        return ["env", *(f"{name}={value}" for name, value in given.items())]

    def turn(self, offset):
        """The daemon's wall clock is so many seconds ahead of ours from now on."""
        self.offset = offset
        with open(f"{self.folder}/offset.new", "w", encoding="ascii") as file:
            file.write(f"{offset:+d}\n")
        os.rename(f"{self.folder}/offset.new", f"{self.folder}/offset")

    def turn_to(self, utc):
        self.turn(calendar.timegm(time.strptime(utc, "%Y-%m-%dT%H:%M:%S")) - int(time.time()))

    def wall(self):
        return time.time() + self.offset

    def submit(self, kind="ok.event", **said):
        """The id of an event; `said` goes into its envelope."""
        envelope = json.dumps({"type": kind, "data": {}, **said})
        status, _, answer = self.daemon.post("/v1/events", envelope, "application/json")
        if status != 202:
            raise RuntimeError(f"an event is answered {status}: {answer[:300]}")
        return json.loads(answer)["id"]

    def arrivals(self, event):
        return [one for one in list(self.sink.arrivals) if one.id == event]

    def arrives(self, event, count=1, seconds=LATE_SECONDS_MAX):
        """The arrivals of an event, once there are so many, or the time is over."""
        awaited(seconds, lambda: len(self.arrivals(event)) >= count, 0.01)
        return self.arrivals(event)

    def takes(self, what):
        """A new event arrives at once, verified, and says the time that it is sent at."""
        began, event = time.monotonic(), self.submit()
        arrivals = self.arrives(event)
        off = abs(arrivals[0].timestamp - arrivals[0].wall - self.offset) if arrivals else 0
        self.report.check(
            arrivals and arrivals[0].verified and off <= SAID_SECONDS_MAX,
            f"{what}: a new event arrives after "
            f"{((arrivals[0].at if arrivals else 0) - began) * 1000:.0f} ms, signed at a time "
            f"that is {off:.1f} s off",
            f"{len(arrivals)} arrivals",
        )
        return event

    def fails(self, event="", status=500):
        """An event that is refused; gives it once its first attempt has been made."""
        self.sink.status = status
        event = event or self.submit()
        self.arrives(event)
        return event

    def in_order(self, what, events):
        """Ids ascend as the events were admitted, and so do the sequences that receivers see."""
        seen = {one.id: one.sequence for one in list(self.sink.arrivals)}
        sequences = [seen[event] for event in events if event in seen]
        self.report.check(
            events == sorted(events)
            and sequences == sorted(sequences)
            and len(sequences) == len(events),
            f"{what}: {len(events)} ids and {len(sequences)} sequences ascend",
            events,
        )


def ahead(stage):
    """Three hours ahead: what has become due goes, once the clock is looked at."""
    stage.daemon.start()
    events = [stage.takes("before")]
    retried = stage.fails()
    later = stage.submit(delay="40m")
    stage.sink.status = 204
    began = time.monotonic()
    stage.turn(3 * HOUR)
    for what, event, count in (("a retry", retried, 2), ("a delayed event", later, 1)):
        arrivals = stage.arrives(event, count)
        stage.report.check(
            len(arrivals) == count and abs(arrivals[-1].timestamp - stage.wall()) < 60,
            f"ahead: {what}, now overdue, goes after {time.monotonic() - began:.1f} s",
            arrivals,
        )
    events += [retried, later, stage.takes("ahead")]
    stage.in_order("ahead", events)


def back(stage):
    """Three hours back, with retries and delays under way: they take as long as they were to."""
    stage.turn(3 * HOUR)
    stage.daemon.start()
    events = [stage.takes("before"), stage.fails()]
    events.append(stage.submit(delay="3s"))
    stage.turn(0)
    began = time.monotonic()
    stage.sink.status = 500
    retries = stage.arrives(events[1], 4, 4 * RETRY_SECONDS)
    gaps = [after.at - before.at for before, after in zip(retries, retries[1:])]
    stage.report.check(
        len(gaps) >= 3 and min(gaps) >= RETRY_SECONDS - EARLY_SECONDS_MAX and max(gaps) < 4,
        "back: retries 2 s apart come after " + ", ".join(f"{gap:.2f}" for gap in gaps) + " s",
        gaps,
    )
    stage.sink.status = 204
    took = stage.arrives(events[2])[0].at - began
    stage.report.check(2 < took < 4, f"back: a delay of 3 s has taken {took:.2f} s", took)
    events.append(stage.takes("back"))
    late = [one for one in retries[1:] if abs(one.timestamp - one.wall) > SAID_SECONDS_MAX]
    stage.report.check(not late, "back: retries bear the time that the clock was set to", late)
    at = datetime.datetime.fromtimestamp(time.time() + 5, datetime.UTC)
    began = time.monotonic()
    asked = stage.submit(deliver_at=at.isoformat().replace("+00:00", "Z"))
    events.append(asked)
    arrivals = stage.arrives(asked, 1, 5 + LATE_SECONDS_MAX)
    took = arrivals[0].at - began if arrivals else 0
    stage.report.check(
        5 - EARLY_SECONDS_MAX - 0.05 < took < 5 + LATE_SECONDS_MAX,
        f"back: asked for in 5 s by the clock, it comes after {took:.2f} s",
        arrivals,
    )
    flow(stage, "back")
    stage.in_order("back", events)


def flow(stage, what):
    """The rate is what it was, and a breaker that opens is tried, and closes."""
    began = time.monotonic()
    events = [stage.submit("rate.event") for _ in range(20)]
    done = awaited(LATE_SECONDS_MAX, lambda: set(events) <= stage.sink.taken(), 0.01)
    took = time.monotonic() - began
    stage.report.check(
        done and 1.5 < took < 4, f"{what}: 20 events at 10/s take {took:.1f} s", took
    )
    stage.sink.status = 503
    events = [stage.submit() for _ in range(15)]
    opened = awaited(10, lambda: status(stage) == "open")
    stage.sink.status = 204
    closed = awaited(LATE_SECONDS_MAX, lambda: status(stage) == "active")
    taken = awaited(LATE_SECONDS_MAX, lambda: set(events) <= stage.sink.taken())
    stage.report.check(
        opened and closed and taken,
        f"{what}: the breaker opens, is tried and closes",
        f"opened {opened}, closed {closed}, taken {taken}",
    )


def status(stage):
    return json.loads(stage.daemon.get("/v1/endpoints/ok")[1])["status"]


def instants(stage):
    """The end of 32-bit time, and a leap second, are passed like any other."""
    stage.turn_to("2016-12-31T23:59:58")
    stage.daemon.start()
    events = [stage.takes("before a leap second")]
    time.sleep(1.5)
    stage.turn(stage.offset - 1)  # 23:59:60: the same second once more
    events.append(stage.takes("in a leap second"))
    time.sleep(1)
    events.append(stage.takes("after a leap second"))
    stage.turn_to("2038-01-19T03:14:05")
    events.append(stage.fails(stage.takes("before 2038-01-19T03:14:08")))
    failing = stage.fails()
    time.sleep(3)
    events.append(failing)
    stage.sink.status = 204
    events.append(stage.takes("after 2038-01-19T03:14:08"))
    retries = stage.arrives(failing, 2)
    gap = retries[1].at - retries[0].at
    stage.report.check(1.9 < gap < 5, f"a retry over that moment comes after {gap:.2f} s", gap)
    stage.in_order("instants", events)


def between_runs(stage):
    """The clock is ahead in one run, and right in the next: what waits is not late by that."""
    stage.turn(AHEAD_SECONDS)
    stage.daemon.start()
    events = [stage.takes("first run")]
    retried = stage.fails()
    delayed = stage.submit(delay="3s")
    stage.report.check(stage.daemon.stop() == 0, "first run: it stops", stage.daemon.tail())
    stage.turn(0)
    stage.sink.status = 204
    began = time.monotonic()
    stage.daemon.start()
    events += [retried, delayed, stage.takes("second run")]
    flow(stage, "second run")
    for what, event, count in (("a retry", retried, 2), ("a delay", delayed, 1)):
        arrivals = stage.arrives(event, count)
        stage.report.check(
            len(arrivals) >= count,
            f"second run: {what} of the first one comes {time.monotonic() - began:.1f} s after "
            f"the start, its clock having been {AHEAD_SECONDS} s ahead",
        )
    stage.in_order("second run", events)


def zones(stage):
    """Time zones change nothing, known or not."""
    for zone in ("Pacific/Kiritimati", "America/St_Johns", "<odd>-25:59:59", "No/Where"):
        stage.daemon.wrapper = stage.wrapper(TZ=zone)
        stage.daemon.start()
        event = stage.takes(zone)
        at = json.loads(stage.daemon.get(f"/v1/events/{event}")[1])["accepted_at"]
        said = datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()
        stage.report.check(
            at.endswith("Z") and abs(said - time.time()) < LATE_SECONDS_MAX,
            f"{zone}: the API says {at}",
        )
        stage.report.check(stage.daemon.stop() == 0, f"{zone}: it stops", stage.daemon.tail())


def retention(stage):
    """Forty days ahead, and back: what is old by the clock goes, what is pending stays."""
    stage.daemon.start()
    events = [stage.takes("before") for _ in range(10)]
    pending = stage.fails()
    stage.turn(40 * DAY)
    gone = awaited(LATE_SECONDS_MAX, lambda: not set(events) & set(stage.daemon.events()))
    stage.report.check(gone, f"retention: {len(events)} that have ended are gone")
    stage.turn(0)
    left = stage.daemon.events()
    stage.report.check(pending in left, "retention: what is pending stays")
    stage.sink.status = 204
    stage.report.check(
        awaited(15, lambda: pending in stage.sink.taken()), "retention: and is delivered"
    )
    new = stage.takes("back")
    time.sleep(2)
    stage.report.check(new in stage.daemon.events(), "retention: new events are kept")


# those whose retries wait for long are given another plan
CASES = {
    ahead: ("30m",) * 3, back: ("2s",) * 40, instants: ("2s",) * 40,
    between_runs: ("2s",) * 40, zones: ("2s",), retention: ("2s",) * 40,
}


def main():
    binary, folder, *chosen = sys.argv[1:]
    report, began = Report(), time.monotonic()
    for case, retries in CASES.items():
        if chosen and case.__name__ not in chosen:
            continue
        print(f"--- {case.__name__}: {case.__doc__.splitlines()[0]}", flush=True)
        stage = Stage(report, binary, f"{folder}/{case.__name__}", retries)
        try:
            case(stage)
        except (OSError, RuntimeError, ValueError, LookupError) as error:
            report.check(False, f"{case.__name__}: it runs to its end", repr(error))
        finally:
            stage.daemon.kill()
    print(f"{time.monotonic() - began:.0f} s")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
