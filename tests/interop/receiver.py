"""A receiver that verifies every request with PyPI's `standardwebhooks` and `svix`.

    receiver.py SECRETS-FILE

Prints {"listening": PORT}, then one JSON object for each request: id, content_type, sha256, bytes,
signatures (how many the header lists), and the verdict of each library for each secret of the file,
which is read anew for every request, because secrets are rotated while it runs. A request counts as
verified if each library accepts it with each secret. It is answered 204 then, 401 if not.
"""

import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook as Standard
from svix.webhooks import Webhook as Svix


def standard(secret, body, headers):
    # json_parse: the payload is not always JSON, and an empty one never is
    Standard(secret).verify(body, headers, json_parse=False)


def svix(secret, body, headers):
    Svix(secret).verify(body, headers)


PRINTING = threading.Lock()
LIBRARIES = {"standardwebhooks": standard, "svix": svix}


def verdict(library, secret, body, headers):
    try:
        library(secret, body, headers)
        return "ok"
    except Exception as error:  # whatever it is, the request is not verified
        return f"{type(error).__name__}: {error}"


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with open(sys.argv[1], encoding="ascii") as secrets:
            secrets = secrets.read().split()
        verdicts = [
            {"library": name, "verdict": verdict(library, secret, body, headers)}
            for name, library in LIBRARIES.items()
            for secret in secrets
        ]
        verified = bool(verdicts) and all(one["verdict"] == "ok" for one in verdicts)
        line = {
            "id": headers.get("webhook-id"),
            "content_type": headers.get("content-type"),
            "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "signatures": len(headers.get("webhook-signature", "").split()),
            "verified": verified,
            "verdicts": verdicts,
        }
        with PRINTING:
            print(json.dumps(line), flush=True)
        self.send_response(204 if verified else 401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(json.dumps({"listening": server.server_port}), flush=True)
server.serve_forever()
