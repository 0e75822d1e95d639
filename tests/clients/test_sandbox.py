#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""test_sandbox.py UNITS - a VM does all its work inside the sandbox of the units in that directory, which
ends whoever does what it forbids."""
import os
import resource
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import neapvm  # noqa: E402
import sandbox  # noqa: E402

UNITS = sys.argv[1]
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


def main():
    neapvm.need_kvm()
    if not shutil.which("systemd-analyze"):
        neapvm.skip("systemd-analyze, which knows systemd's groups of system calls, is not installed (tools/setup test)")
    if not os.path.exists(sandbox.NUMBERS):
        neapvm.skip(sandbox.NUMBERS + " is not there")
    for test in (what_is_forbidden_ends_the_process, a_vm_does_all_its_work):
        test()
        print("ok " + test.__name__.replace("_", " "), flush=True)


main()
