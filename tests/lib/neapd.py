# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A daemon under test: start `neapd` with directories of its own, talk to it, kill it, start it again.

    with Daemon() as daemon:
        vm = daemon.run("one")                     # a transient VM of 64 MiB on 4 KiB pages
        daemon.call("vm.list")["vms"]
        daemon.kill()                              # SIGKILL; the VMs go on
        daemon.start()
        daemon.event("vm.adopted")

Waiting is always for something seen, with a deadline. When the test ends, so do the VMs of its directory.
"""
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

import neapvm

PATIENCE_S = neapvm.PATIENCE_S
SMALL = {"memory": {"maximum": "64M", "pages": "4K"}}


def neapd_path():
    return os.environ.get("NEAPD") or os.path.join(os.path.dirname(neapvm.neap_path()), "neapd")


def is_alive(pid):
    """A process that runs; a zombie does not."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(condition, patience_s=PATIENCE_S, what="what was waited for"):
    """The first true answer of @condition()."""
    deadline = time.monotonic() + patience_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError("%s did not come" % what)
        time.sleep(neapvm.LOOK_S / 4)


class Daemon:
    def __init__(self, flags=(), start=True, runtime=None):
        """@runtime: a folder for the sockets and for what is true until the next boot, if not with the state."""
        self.top = tempfile.mkdtemp(prefix="nd-", dir=runtime or "/tmp")
        self.state_home = tempfile.mkdtemp(prefix="nd-", dir="/tmp") if runtime else os.path.join(self.top, "state")
        self.runtime = os.path.join(self.top, "neapd")
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.top, XDG_STATE_HOME=self.state_home,
                        NEAP=neapvm.neap_path())
        for name in "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID":
            self.env.pop(name, None)
        self.flags = list(flags)
        self.process = None
        self.log = open(os.path.join(self.top, "neapd.log"), "wb+")
        self._rpc = None
        self._events = None
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def crashed(self):
        """Nothing, or how the daemon ended although nobody ended it."""
        code = self.process.poll()
        return None if code is None else "neapd ended with %d: %s" % (code, self.said()[-3000:])

    # --- the process ---

    def command(self, flags=()):
        return [neapd_path(), "--neap", neapvm.neap_path(), *self.flags, *flags]

    def start(self, serve=True, flags=()):
        """Starts it; seconds until it answered."""
        began = time.monotonic()
        self.process = subprocess.Popen(self.command(flags), env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        if serve:
            self.connect()
        return time.monotonic() - began

    def connect(self):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._rpc = neapvm.Rpc(self.socket())
                # For a moment a process that the killed one before was about to make a VM has its sockets.
                if self._rpc.call("host.info")["pid"] == self.process.pid:
                    return self._rpc
            except OSError:
                self._hang_up()
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError("neapd did not come up: " + self.said()) from None
                time.sleep(0.002)

    def _hang_up(self):
        for rpc in self._rpc, self._events:
            if rpc:
                rpc.close()
        self._rpc = self._events = None

    def kill(self, number=signal.SIGKILL):
        self._hang_up()
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE_S)

    def stop(self):
        return self.kill(signal.SIGTERM)

    def close(self):
        code = 0
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            code = self.stop()
        for pid in self.vm_pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        until(lambda: not self.vm_pids(), what="the end of all VMs")
        said = self.said()
        self.log.close()
        for path in self.top, self.state_home:
            shutil.rmtree(path, ignore_errors=True)
        if code != 0 or "Sanitizer" in said:
            raise AssertionError("neapd ended with %d: %s" % (code, said[-5000:]))

    def said(self):
        with open(self.log.name, errors="replace") as file:
            return file.read()

    def vm_pids(self):
        """Processes that run from this test's directories: its VMs, and nobody else's."""
        wanted = ("XDG_RUNTIME_DIR=%s" % self.top).encode()
        pids = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or (self.process and int(entry) == self.process.pid):
                continue
            try:
                with open("/proc/%s/environ" % entry, "rb") as file:
                    if wanted in file.read().split(b"\0") and is_alive(int(entry)):
                        pids.append(int(entry))
            except OSError:
                pass
        return pids

    # --- its sockets ---

    def socket(self, name="neapd.sock"):
        return os.path.join(self.runtime, name)

    @property
    def rpc(self):
        return self._rpc or self.connect()

    def call(self, method, **params):
        try:
            return self.rpc.call(method, **params)
        except ConnectionError as error:
            raise AssertionError(self.crashed() or str(error)) from error

    def fails(self, method, **params):
        """The error that the call ends with."""
        try:
            result = self.call(method, **params)
        except neapvm.RpcError as error:
            return error
        raise AssertionError("%s succeeded: %r" % (method, result))

    def listen(self, **params):
        """Events from now on, on a connection of their own."""
        if self._events:
            self._events.close()
        self._events = neapvm.Rpc(self.socket())
        return self._events.call("events.subscribe", **params)

    def event(self, kind, vm=None, wanted=lambda data: True):
        """The next event of that kind (and VM); others before it are dropped. The first call listens to what
        comes from then on, so listen() before what is to be heard."""
        if not self._events:
            self.listen()
        deadline = time.monotonic() + PATIENCE_S
        events = self._events
        while True:
            while events.events:
                event = events.events.pop(0)
                if event["kind"] == kind and vm in (None, event.get("vm")) and wanted(event["data"]):
                    return event
            message = events._message(deadline)
            if message.get("method") == "event":
                events.events.append(message["params"])

    # --- its VMs ---

    def config(self, name, **more):
        config = {"name": name, **SMALL}
        for key, value in more.items():
            config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
        return config

    def create(self, name, labels=None, config=None, **more):
        return self.call("vm.create", config=self.config(name, **(config or {})), labels=labels or {},
                         **more)

    def run(self, name, labels=None, config=None, **more):
        return self.call("vm.run", config=self.config(name, **(config or {})), labels=labels or {},
                         **more)

    def vms(self, selector="all"):
        return {vm["name"]: vm for vm in self.call("vm.list", selector=selector)["vms"]}

    def state(self, name):
        vm = self.vms().get(name)
        return vm["state"] if vm else None

    def until_state(self, name, state, patience_s=PATIENCE_S):
        return until(lambda: self.state(name) == state, patience_s,
                     "state %s of %s (it is %s)" % (state, name, self.state(name)))

    def console(self, name):
        """A socket that is the VM's console, by the daemon's hand."""
        import array
        import json
        import socket

        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.socket())
        connection.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "vm.console",
                                       "params": {"vm": name}}).encode() + b"\n")
        connection.settimeout(PATIENCE_S)
        data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_LEN(4))
        connection.close()
        answer = json.loads(data)
        if "error" in answer:
            raise neapvm.RpcError(answer["error"])
        fds = array.array("i")
        fds.frombytes(ancillary[0][2][:4])
        console = socket.socket(fileno=fds[0])
        console.settimeout(PATIENCE_S)
        return console

    def type(self, name, line):
        """Types a line at the VM's console once the guest reads what is typed; the console."""
        console = self.console(name)
        deadline = time.monotonic() + PATIENCE_S
        said = b""
        while b"ok " not in said:
            if time.monotonic() > deadline:
                raise AssertionError("the guest does not answer; it said %r" % said)
            console.sendall(b"stat\n")
            while select.select([console], [], [], 0.2)[0] and b"ok " not in said:
                data = console.recv(65536)
                if not data:
                    raise AssertionError("the VM ended; it said %r" % said)
                said += data
        console.sendall(line.encode() + b"\n")
        return console
