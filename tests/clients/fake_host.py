# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A daemon made of a script: it accepts one connection after the other, and says what each test wants.

    with FakeHost(first, second) as host:     # a function per connection, of a Conversation
        neap.Host(host.path)
"""
import json
import os
import shutil
import socket
import tempfile
import threading
import traceback

PATIENCE_S = 20


class Conversation:
    """The daemon's side of one connection."""

    def __init__(self, connection):
        self.socket = connection
        self.file = connection.makefile("rb")

    def read(self):
        """The next message; None: the client has gone."""
        line = self.file.readline()
        return json.loads(line) if line else None

    def send_bytes(self, data, descriptors=()):
        if descriptors:
            socket.send_fds(self.socket, [data], list(descriptors))
        else:
            self.socket.sendall(data)

    def send(self, message, descriptors=()):
        self.send_bytes(json.dumps(message).encode() + b"\n", descriptors)

    def answer(self, request, result, descriptors=()):
        self.send({"jsonrpc": "2.0", "id": request["id"], "result": result}, descriptors)

    def fail(self, request, code, message, hint="try it"):
        self.send({"jsonrpc": "2.0", "id": request["id"],
                   "error": {"code": code, "message": message, "data": {"hint": hint}}})

    def event(self, seq, kind="vm.started", vm="web", **data):
        self.send({"jsonrpc": "2.0", "method": "event", "params": {
            "seq": seq, "time_ns": seq * 10, "vm": vm, "uuid": "u-" + vm, "kind": kind, "data": data}})


class FakeHost:
    def __init__(self, *scripts):
        self.directory = tempfile.mkdtemp(prefix="neap-fake-")
        self.path = os.path.join(self.directory, "neapd.sock")
        self.scripts = list(scripts)
        self.failure = None
        self.served = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.listener.settimeout(PATIENCE_S)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        try:
            for script in self.scripts:
                connection, _ = self.listener.accept()
                connection.settimeout(PATIENCE_S)
                conversation = Conversation(connection)
                try:
                    script(conversation)
                finally:
                    conversation.file.close()
                    connection.close()
                    self.served += 1
        except Exception:  # pylint: disable=broad-except
            self.failure = traceback.format_exc()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.thread.join(PATIENCE_S)
        self.listener.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        if kind is None:
            assert not self.thread.is_alive(), "not every connection of the script was made"
            assert self.failure is None, self.failure
