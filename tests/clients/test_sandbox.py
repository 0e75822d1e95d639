#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""test_sandbox.py UNITS - a VM and the daemon do all their work inside the sandbox of the units in that
directory, which ends whoever does what it forbids. The daemon gets its sockets as systemd hands them in, and
tells when it is ready, as systemd wants to know."""
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(ROOT, "clients", "python")]

import neap  # noqa: E402
import neapd  # noqa: E402
import neapvm  # noqa: E402
import sandbox  # noqa: E402

UNITS = sys.argv[1]
CONFIG = os.path.join(ROOT, "configs", "systemd", "neapd.json")
FORBIDDEN = {
    "a name space": "import ctypes; ctypes.CDLL(None).mount(0, b'/', 0, 0x44000, 0)",
    "a netlink socket": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "memory to write and execute": "import mmap; mmap.mmap(-1, 4096, prot=7)",
    "another user": "import ctypes; ctypes.CDLL(None).setresuid(1, 1, 1)",
    "a look into another process": "import ctypes; ctypes.CDLL(None).ptrace(16, 1, 0, 0)",
}


def wrap(unit):
    return [sys.executable, os.path.join(HERE, "sandbox.py"), os.path.join(UNITS, unit)]


def may_lock_buffers():
    wanted = sandbox.unit_settings(os.path.join(UNITS, "neap@.service"))["LimitMEMLOCK"][0]
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    return hard == resource.RLIM_INFINITY or hard >= int(wanted.rstrip("M")) << 20


def what_is_forbidden_ends_the_process():
    for unit in ("neapd.service", "neap@.service"):
        assert subprocess.run([*wrap(unit), sys.executable, "-c", "print(1)"], stdout=subprocess.PIPE,
                              check=True).stdout == b"1\n"
        for what, program in FORBIDDEN.items():
            done = subprocess.run([*wrap(unit), sys.executable, "-c", program], stderr=subprocess.DEVNULL, check=False)
            assert done.returncode == -signal.SIGSYS, f"{unit}: {what}: {done.returncode}"


def a_vm_does_all_its_work(unit="neap@.service"):
    flags = ["--pages", "4K", "--memory", "128M", "--balloon", "stats_period=1"]
    if may_lock_buffers():
        flags += ["--memory", "limit=64M", "--swap", "/var/tmp"]
    else:
        print("   without swap: locked memory is limited to less than the unit allows")
    with neapvm.Vm(flags, wrap=wrap(unit)) as vm:
        vm.ask("fill 96M")
        assert vm.ask("verify")["bad_bytes"] == "0"
        vm.ask("free 64M")
        vm.call("vm.memory.set", target_bytes=96 << 20)
        assert vm.until(lambda: vm.call("vm.memory")["taken_bytes"] >= 32 << 20)
        vm.call("vm.memory.set", mode="auto")
        vm.call("vm.pause")
        vm.call("vm.resume")
        vm.call("vm.reset")
        vm.expect("ready")
        assert vm.call("vm.info")["state"] == "running"
        vm.type("poweroff")
        assert vm.wait() == 0, vm.errors()


class Activated(neapd.Daemon):
    """neapd as neapd.service starts it: confined, with its file, and with sockets that were there before it."""

    def __init__(self):
        super().__init__(start=False)
        self.runtime = self.top  # with the VMs' sockets below: the unit's XDG_RUNTIME_DIR is its runtime directory
        # In no order that anybody promised, and of one without a name the path says what it is for.
        self.names = {"m.sock": "neapd-metrics", "neapd-ro.sock": "unknown", "neapd.sock": "neapd"}
        self.listens = [self.bind(name) for name in self.names]
        self.told = self.bind("told", socket.SOCK_DGRAM)
        self.env["NOTIFY_SOCKET"] = self.told.getsockname()

    def bind(self, name, kind=socket.SOCK_STREAM):
        bound = socket.socket(socket.AF_UNIX, kind)
        bound.bind(os.path.join(self.runtime, name))
        if kind == socket.SOCK_STREAM:
            bound.listen(64)
        bound.settimeout(neapvm.PATIENCE_S)
        return bound

    def start(self, **_):
        # Its file, with directories that are there, and a group that exists.
        words = [*wrap("neapd.service"), neapd.neapd_path(), "--config", CONFIG, "--neap", neapvm.neap_path(),
                 "--state", os.path.join(self.state_home, "neap"), "--runtime", self.runtime, "--socket-group", "root"]
        shell = "exec %s; LISTEN_PID=$$ LISTEN_FDS=%d LISTEN_FDNAMES=%s exec \"$@\"" % (
            " ".join("%d<&%d" % (3 + index, listen.fileno()) for index, listen in enumerate(self.listens)),
            len(self.listens), ":".join(self.names.values()))
        self.process = subprocess.Popen(["sh", "-c", shell, "sh", *words], env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log,
                                        pass_fds=[listen.fileno() for listen in self.listens])
        try:
            while b"READY=1" not in self.told.recv(4096):
                pass
        except socket.timeout:
            raise AssertionError("neapd did not say that it is ready: " + self.said()) from None

    def scrape(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(neapvm.PATIENCE_S)
            sock.connect(os.path.join(self.runtime, "m.sock"))
            sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return sock.recv(4096)

    def close(self):
        super().close()
        for each in (*self.listens, self.told):
            each.close()


def the_daemon_and_its_vms_do_all_their_work():
    with Activated() as daemon:
        daemon.start()
        with neap.Host(daemon.socket()) as host, neap.Host(daemon.socket("neapd-ro.sock")) as looking:
            host.vm_create({"name": "web", "memory": {"maximum": "128M", "pages": "4K"}}, autostart=True)
            host.vm_start("web")
            with host.vm_console("web") as console:
                console.settimeout(neapvm.PATIENCE_S)
                console.sendall(b"fill 64M\n")
                said = b""
                while b"ok fill" not in said:
                    said += console.recv(4096)
            assert host.vm_memory("web").resident_bytes >= 64 << 20
            assert host.vm_info("web").raw["pager"] in (True, False)
            assert looking.host_pools().pools
            assert b" 200 OK\r\n" in daemon.scrape()
            try:
                looking.vm_kill("web")
                raise AssertionError("a socket for looking let a VM be killed")
            except neap.ForbiddenError:
                pass
            pid = host.vm_list().vms[0]["pid"]
            daemon.kill()
            daemon.start()  # on the same sockets
            vm = host.vm_list().vms[0]
            assert (vm["state"], vm["pid"]) == ("running", pid), vm
            with host.events(["vm.ended"]) as events:
                host.vm_kill("web")
                assert events.next(neapvm.PATIENCE_S).data["exit_code"] == 7
        assert daemon.stop() == 0
        while b"STOPPING=1" not in daemon.told.recv(4096):
            pass  # other words before; none at all is a timeout


def main():
    neapvm.need_kvm()
    if not shutil.which("systemd-analyze"):
        neapvm.skip("systemd-analyze, which knows systemd's groups of system calls, is not installed (tools/setup test)")
    if not os.path.exists(sandbox.NUMBERS):
        neapvm.skip(sandbox.NUMBERS + " is not there")
    for test in (what_is_forbidden_ends_the_process, a_vm_does_all_its_work,
                 the_daemon_and_its_vms_do_all_their_work):
        test()
        print("ok " + test.__name__.replace("_", " "), flush=True)


main()
