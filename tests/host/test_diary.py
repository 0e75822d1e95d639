#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the daemon's own log says of its VMs, for whoever reads it at night."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapd  # noqa: E402
import neapvm  # noqa: E402


def has_line(daemon, pattern):
    return re.search(f"^neapd: {pattern}$", daemon.said(), re.M)


def wait_for(daemon, pattern):
    neapd.until(lambda: has_line(daemon, pattern), what=f"'{pattern}' in: {daemon.said()}")


def the_log_has_a_line_for_each_vm_that_comes_and_goes():
    with neapd.Daemon() as daemon:
        daemon.create("web")
        daemon.call("vm.start", vm="web")
        pid = daemon.call("vm.list")["vms"][0]["pid"]
        wait_for(daemon, "info: vm: web: stored")
        wait_for(daemon, f"info: vm: web: runs, process {pid}")
        daemon.kill()
        daemon.start()
        wait_for(daemon, f"info: vm: web: found running, process {pid}")
        daemon.call("vm.kill", vm="web")
        wait_for(daemon, r"info: vm: web: ended: .*\(exit code 7\)")
        daemon.call("vm.delete", vm="web")
        wait_for(daemon, "info: vm: web: forgotten")


def an_end_that_nobody_asked_for_is_a_warning_and_says_when_it_starts_again():
    with neapd.Daemon() as daemon:
        daemon.create("web", restart="always")
        daemon.call("vm.start", vm="web")
        os.kill(daemon.call("vm.list")["vms"][0]["pid"], signal.SIGKILL)
        wait_for(daemon, r"warning: vm: web: ended: .*; starts again in \d+ ms")


def grants_and_what_a_guest_tells_are_no_lines():
    with neapd.Daemon() as daemon:
        daemon.run("one")
        neapd.until(lambda: daemon.call("vm.list")["vms"][0]["usage"].get("assigned_bytes"), what="a first number")
        assert len(daemon.said().splitlines()) == 1, daemon.said()


def main():
    neapvm.need_kvm()
    for test in (the_log_has_a_line_for_each_vm_that_comes_and_goes,
                 an_end_that_nobody_asked_for_is_a_warning_and_says_when_it_starts_again,
                 grants_and_what_a_guest_tells_are_no_lines):
        test()
        print("ok " + test.__name__.replace("_", " "), flush=True)


main()
