"""Helpers of the tests of lab images."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
import time

import pytest

from lsst_commtools.images import Listing


def fake_digest(name):
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


@pytest.fixture
def image_digest():
    """Gives a digest for a name."""
    return fake_digest


@pytest.fixture
def make_listing():
    """Makes a listing of tags; keywords are aliases and the tags that they point to."""

    def make(*tags, **aliases):
        digests = {tag: fake_digest(tag) for tag in tags}
        digests.update({alias: fake_digest(tag) for alias, tag in aliases.items()})
        return Listing(digests)

    return make


class StubRegistry:
    """A registry on loopback that answers as a test tells it: path to a function of the request."""

    def __init__(self):
        self.requests = []
        self.answers = {}
        self.delay_s = 0.0
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                stub.requests.append((self.command, self.path, dict(self.headers)))
                known = stub.answers.get(self.path) or stub.answers.get(self.path.split("?")[0])
                status, headers, body = (
                    known(self) if known else (404, {}, b'{"errors":[{"code":"NAME_UNKNOWN"}]}')
                )
                if isinstance(body, dict | list):
                    body = json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                with contextlib.suppress(OSError):
                    for byte in range(0, len(body), 1024):
                        time.sleep(stub.delay_s)
                        self.wfile.write(body[byte : byte + 1024])
                        self.wfile.flush()

            def do_HEAD(self):
                self.do_GET()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def say(self, path, body=b"", status=200, **headers):
        """Answer a path always alike; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = lambda request: (status, named, body)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def stub_registry():
    """A registry that does as it is told."""
    stub = StubRegistry()
    yield stub
    stub.close()
