# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A VM under test: start `neap run`, talk to its socket, read its console. Standard library only.

    with Vm(["--memory", "128M"]) as vm:
        vm.expect("neap-bare")            # a line of the console
        vm.type("fill 64M")
        vm.call("vm.memory")["taken_bytes"]
        vm.call("vm.kill")
        assert vm.wait() == 7

Waiting is always for something seen, with a deadline; nothing sleeps for luck. Each Vm has a private
runtime directory, so tests run beside each other and beside the user's own VMs.
"""
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE_S = float(os.environ.get("NEAP_TEST_PATIENCE_S", "30"))
LOOK_S = 0.02
SKIP = 77


def neap_path():
    """build/neap, or what NEAP says."""
    here = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("NEAP") or os.path.join(here, "..", "..", "build", "neap")


def skip(reason):
    print("skipped: " + reason)
    sys.exit(SKIP)


def need_kvm():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError as error:
        skip("/dev/kvm cannot be opened: %s" % error)


def free_huge_pages():
    with open("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") as file:
        return int(file.read())


def need_huge_pages(count):
    if free_huge_pages() < count:
        skip("needs %d free pages of 2 MiB, this host has %d" % (count, free_huge_pages()))


def need_mounts_of_our_own(what_for):
    """Start this program again, as root in a mount namespace that nobody else sees; or skip."""
    inside = "NEAP_TEST_INSIDE"
    if os.environ.get(inside) == "1":
        return
    if os.geteuid() != 0:
        skip("needs root " + what_for)
    if subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        skip("cannot make a mount namespace (no right to, or in a chroot)")
    os.environ[inside] = "1"
    os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])


class RpcError(Exception):
    def __init__(self, error):
        super().__init__("%s (%s)" % (error.get("message"), error.get("code")))
        self.code = error.get("code")


class Rpc:
    """One connection; requests, and events that arrive between."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(path)
        except OSError:
            self.sock.close()
            raise
        self.buffer = b""
        self.events = []
        self.next_id = 0

    def _message(self, deadline):
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.sock], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("no message from the VM's socket")
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("the VM closed its socket")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def call(self, method, **params):
        self.next_id += 1
        request = {"jsonrpc": "2.0", "id": self.next_id, "method": method}
        if params:
            request["params"] = params
        self.sock.sendall(json.dumps(request).encode() + b"\n")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            message = self._message(deadline)
            if message.get("method") == "event":
                self.events.append(message["params"])
            elif message.get("id") == self.next_id:
                if "error" in message:
                    raise RpcError(message["error"])
                return message["result"]

    def event(self, kind, wanted=lambda data: True):
        """The next event of that kind whose data is wanted; others before it are dropped."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            while self.events:
                event = self.events.pop(0)
                if event["kind"] == kind and wanted(event["data"]):
                    return event["data"]
            message = self._message(deadline)
            if message.get("method") == "event":
                self.events.append(message["params"])

    def heard(self, seconds):
        """Wait that long for an event; it is kept for event()."""
        try:
            self.events.append(self._message(time.monotonic() + seconds)["params"])
        except TimeoutError:
            pass

    def close(self):
        self.sock.close()


class Pipelined(Rpc):
    """Requests that are sent without waiting, and answers as they come."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, method, **params):
        self.next_id += 1
        request = {"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params}
        self.sock.sendall(json.dumps(request).encode() + b"\n")

    def has_answer(self):
        return b"\n" in self.buffer or bool(select.select([self.sock], [], [], 0)[0])

    def answer(self):
        return self._message(time.monotonic() + PATIENCE_S)


class Console:
    """What the guest of self.process says on its standard output, and is told on its standard input."""

    def __init__(self, process):
        self.process = process
        self.output = b""
        self.seen = 0

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def expect(self, pattern, patience_s=None):
        """The match of the first place after the last one where @pattern stands on the console."""
        deadline = time.monotonic() + (patience_s or PATIENCE_S)
        compiled = re.compile(pattern.encode())
        while True:
            match = compiled.search(self.output, self.seen)
            if match:
                self.seen = match.end()
                return match
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.process.stdout], [], [], left)[0]
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise AssertionError("%r did not appear; the console says: %r" %
                                     (pattern, self.output[self.seen:][-2000:]))
            self.output += data

    def ask(self, command, patience_s=None):
        """Type a command of the embedded guest; the words of its `ok` answer as a dict."""
        self.type(command)
        match = self.expect(r"(ok|error) ([^\r\n]*)[\r\n]", patience_s)
        text = match.group(2).decode()
        assert match.group(1) == b"ok", "%s: error %s" % (command, text)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)


class Vm(Console):
    """`neap run` in the foreground with pipes as its terminal."""

    def __init__(self, flags, name="test", wrap=(), program=None):
        self.name = name
        self.runtime = tempfile.mkdtemp(prefix="neap-test-")
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.runtime)
        self.command = [*wrap, program or neap_path(), "run", "--name", name, *flags]
        self._rpc = None
        self.listens = False
        super().__init__(subprocess.Popen(self.command, env=self.env, stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._rpc:
            self._rpc.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        shutil.rmtree(self.runtime, ignore_errors=True)

    def socket_path(self):
        return os.path.join(self.runtime, "neap", self.name + ".sock")

    @property
    def rpc(self):
        deadline = time.monotonic() + PATIENCE_S
        while self._rpc is None:
            try:
                self._rpc = Rpc(self.socket_path())
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError("neap run did not come up: " + self.errors()) from None
                select.select([], [], [], 0.005)
        return self._rpc

    def call(self, method, **params):
        return self.rpc.call(method, **params)

    def event(self, kind, wanted=lambda data: True):
        return self.rpc.event(kind, wanted)

    def listen(self):
        if not self.listens:
            self.call("events.subscribe")
            self.listens = True

    def until(self, condition, patience_s=PATIENCE_S):
        """The first true answer of @condition(), or its last one. It is asked whenever the VM tells
        something, and every LOOK_S, since not every change is told."""
        self.listen()
        deadline = time.monotonic() + patience_s
        while True:
            answer = condition()
            if answer or time.monotonic() > deadline:
                return answer
            self.rpc.heard(LOOK_S)

    def errors(self):
        """What it wrote to standard error; only after its end."""
        try:
            return self.process.communicate(timeout=PATIENCE_S)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            return "(still running)"

    def neap(self, *words, check=True):
        """Another neap command in the same runtime directory; its standard output."""
        done = subprocess.run([neap_path(), *words], env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE_S, text=True)
        if check and done.returncode != 0:
            raise AssertionError("neap %s: exit %d: %s" % (" ".join(words), done.returncode, done.stderr))
        return done.stdout if check else done

    def wait(self):
        """Its exit status."""
        return self.process.wait(timeout=PATIENCE_S)
