"""What the scripts in Python share: a daemon of their own, and its two sockets as HTTP clients."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time

READY_SECONDS_MAX = 60


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("postrider", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path, method, target, body=None, headers=None, timeout=30):
    """One request on a connection of its own: status, headers, body."""
    connection = UnixConnection(path, timeout)
    try:
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


class Daemon:
    """`postrider run` on a configuration that is written here; `wrapper` runs it under a tool."""

    def __init__(self, binary, folder, settings, wrapper=()):
        self.binary, self.folder, self.wrapper = binary, folder, list(wrapper)
        self.ingest, self.admin = f"{folder}/ingest.sock", f"{folder}/admin.sock"
        self.config, self.log = f"{folder}/config.toml", f"{folder}/daemon.log"
        self.process = None
        self.configure(settings)

    def configure(self, settings):
        listen = f'[listen]\ningest = "unix:{self.ingest}"\nadmin = "unix:{self.admin}"\n'
        groups = 'ingest_group = "root"\nadmin_group = "root"\n' if os.getuid() == 0 else ""
        with open(self.config, "w") as config:
            config.write(listen + groups + settings)
        os.chmod(self.config, 0o600)

    def launch(self):
        """Starts it; whether it gets ready is another question."""
        for path in (self.ingest, self.admin):
            if os.path.exists(path):
                os.unlink(path)
        with open(self.log, "ab") as log:
            command = [*self.wrapper, self.binary, "run", "--config", self.config]
            # a session of its own: a tool around the daemon is killed together with it
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True
            )

    def start(self, sign="/readyz"):
        """Starts it and waits for a sign: /healthz says that it runs, /readyz takes events too."""
        self.launch()
        until = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < until:
            if self.process.poll() is not None:
                code = self.process.returncode
                raise RuntimeError(f"the daemon ended with {code}\n{self.tail()}")
            if self.answers(sign):
                return self
            time.sleep(0.05)
        raise RuntimeError(f"the daemon is not ready after {READY_SECONDS_MAX} s\n{self.tail()}")

    def answers(self, sign):
        try:
            return ask(self.admin, "GET", sign, timeout=5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def tail(self, lines=12):
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def submit(self, event_type, body, content_type="application/json", key=None, timeout=30):
        return self.post(f"/v1/events/{event_type}", body, content_type, key, timeout)

    def post(self, target, body, content_type, key=None, timeout=30):
        headers = {"content-type": content_type}
        if key:
            headers["idempotency-key"] = key
        return ask(self.ingest, "POST", target, body, headers, timeout)

    def get(self, target, timeout=30):
        status, _, body = ask(self.admin, "GET", target, timeout=timeout)
        return status, body

    def pages(self, target):
        """Everything that a list holds, page by page."""
        found, cursor = [], ""
        joint = "&" if "?" in target else "?"
        while True:
            status, body = self.get(f"{target}{joint}limit=500{cursor}")
            if status != 200:
                raise RuntimeError(f"{target} answers {status}: {body[:300]}")
            page = json.loads(body)
            found += page["data"]
            if not page["next_cursor"]:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def events(self):
        """Every event it has, by id."""
        return {event["id"]: event for event in self.pages("/v1/events")}

    def kernel_says(self):
        """What it holds: resident bytes, descriptors, threads."""
        process = f"/proc/{self.process.pid}"
        with open(f"{process}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        resident = int(fields["VmRSS"].split()[0]) * 1024
        return resident, len(os.listdir(f"{process}/fd")), int(fields["Threads"])

    def command(self, target):
        return ask(self.admin, "POST", target, b"")

    def reload(self):
        return self.command("/v1/admin/reload")

    def stop(self):
        """Asks it to end, and gives its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Report:
    """Counts what was found; its end is the last line that every script prints."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, what, detail=""):
        if good:
            self.passed += 1
            print(f"ok    {what}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL  {what}: {detail}" if detail else f"FAIL  {what}", flush=True)
        return good

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.passed and not self.failed else 1
