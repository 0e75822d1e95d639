# SPDX-License-Identifier: BSD-2-Clause-Patent
"""fake-host (fake_host.c) under test: start it, ask it over HTTP by bytes, follow its page.

    with FakeHost(vms=20) as host:
        host.get("/metrics").body
        host.tell("end 3")
        with host.follow() as page: page.until_now()
"""
import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time

PATIENCE_S = float(os.environ.get("NEAP_TEST_PATIENCE_S", "30"))


class Answer:
    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/") else 0
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.text = self.body.decode("utf-8", "replace")


def read_all(sock, when_late=None):
    """Until the other side closes; @when_late is called once if it does not within the socket's timeout."""
    data = b""
    while True:
        try:
            part = sock.recv(1 << 16)
        except ConnectionError:
            return data
        except TimeoutError:
            if not when_late:
                raise
            when_late()
            sock.settimeout(PATIENCE_S)
            continue
        if not part:
            return data
        data += part


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class FakeHost:
    def __init__(self, vms=6, steps=0, directory=None, port=None):
        self.dir = directory or tempfile.mkdtemp(prefix="neap-metrics-")
        self.owns_dir = directory is None
        self.path = os.path.join(self.dir, "metrics.sock")
        self.port = port or free_port()
        self.process = subprocess.Popen(
            [os.environ["FAKE_HOST"], self.path, str(self.port), str(vms), str(steps)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.ready = self.process.stdout.readline() == "ready\n"

    def __enter__(self):
        assert self.ready, self.process.stderr.read()
        return self

    def __exit__(self, *_):
        if not self.process.stdin.closed:
            self.close()

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(PATIENCE_S)
        complaint = self.process.stderr.read()
        if self.owns_dir:
            shutil.rmtree(self.dir)
        assert status == 0, f"fake-host ended with {status}: {complaint}"

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def connect(self, tcp=False):
        if tcp:
            return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE_S)
        sock.connect(self.path)
        return sock

    def ask(self, raw, tcp=False):
        """Send these bytes; all that comes back until the server hangs up."""
        with self.connect(tcp) as sock:
            try:
                sock.sendall(raw)
            except ConnectionError:
                pass
            return Answer(read_all(sock))

    def get(self, path, tcp=False, method="GET", **headers):
        headers = {"Host": "localhost", "Connection": "close",
                   **{name.replace("_", "-"): value for name, value in headers.items()}}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
        return self.ask(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode(), tcp)

    def rss(self):
        return int(self.tell("rss"))

    def follow(self, last=None, tcp=False):
        return Follower(self.connect(tcp), last)


class Follower:
    """One who follows the page: (kind, data, id) of each event, from a chunked answer."""

    def __init__(self, sock, last):
        self.sock = sock
        self.buffer = self.text = b""
        more = f"Last-Event-ID: {last}\r\n" if last else ""
        sock.sendall(f"GET /events HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode())
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        self.head = Answer(head)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def _more(self):
        deadline = time.monotonic() + PATIENCE_S
        if not select.select([self.sock], [], [], max(0, deadline - time.monotonic()))[0]:
            raise TimeoutError("the page's events do not come")
        part = self.sock.recv(1 << 16)
        if not part:
            raise ConnectionError("the server hung up")
        self.buffer += part

    def _chunk(self):
        while b"\r\n" not in self.buffer:
            self._more()
        size, _, rest = self.buffer.partition(b"\r\n")
        while len(rest) < int(size, 16) + 2:
            self._more()
            rest = self.buffer.partition(b"\r\n")[2]
        self.text += rest[:int(size, 16)]
        self.buffer = rest[int(size, 16) + 2:]

    def event(self):
        while b"\n\n" not in self.text:
            self._chunk()
        block, _, self.text = self.text.partition(b"\n\n")
        fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
        return fields["event"], json.loads(fields["data"]), fields.get("id")

    def until_now(self):
        """All events up to the next "now", and its id."""
        events = []
        while True:
            kind, data, last = self.event()
            events.append((kind, data))
            if kind == "now":
                return events, last
