#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A VM tells the numbers that others follow (api/usage.def): when one moves, at most once a second,
with all of them each time, and the same that vm.memory says. An idle VM is silent."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

MIB = 2 ** 20
WHOLE_GAP_S = 0.9  # a second, less what a busy machine delays the event before
QUIET_S = 4


def a_vm_tells_what_moved(vm):
    vm.call("events.subscribe", kinds=["memory.usage"])
    before = vm.call("vm.memory")["usage"]
    vm.type("fill 24M")
    vm.expect("ok fill")
    event = vm.rpc.event("memory.usage", lambda data: data["resident_bytes"] >= before["resident_bytes"] + 20 * MIB)
    assert set(event) >= {"maximum_bytes", "minimum_bytes", "want_bytes", "assigned_bytes", "weight", "mode"}, event
    assert event["maximum_bytes"] == 64 * MIB and event["mode"] == 0, event
    print("24 MiB more are told:", event["resident_bytes"] // MIB, "MiB resident")


def a_change_of_settings_and_a_grant_are_told(vm):
    vm.call("vm.memory.set", weight=77)
    assert vm.rpc.event("memory.usage", lambda data: data["weight"] == 77)
    vm.call("vm.memory.grant", grant_bytes=48 * MIB)
    assert vm.rpc.event("memory.usage", lambda data: data.get("grant_bytes") == 48 * MIB)
    vm.call("vm.memory.grant")
    assert vm.rpc.event("memory.usage", lambda data: "grant_bytes" not in data)


def an_idle_vm_is_silent(vm):
    """Until something moves; the calls of this test itself move nothing."""
    deadline = time.monotonic() + neapvm.PATIENCE_S
    while True:
        vm.rpc.events.clear()
        vm.rpc.heard(QUIET_S)
        if not vm.rpc.events:
            return
        assert time.monotonic() < deadline, vm.rpc.events


def events_are_a_second_apart(vm):
    times = []
    vm.call("vm.memory.set", weight=1)
    for weight in range(2, 5):
        vm.rpc.event("memory.usage", lambda data, now=weight - 1: data["weight"] == now)
        times.append(time.monotonic())
        vm.call("vm.memory.set", weight=weight)
    gaps = [after - before for before, after in zip(times, times[1:])]
    assert min(gaps) >= WHOLE_GAP_S, gaps
    print("gaps between events:", ", ".join("%.2f s" % gap for gap in gaps))


def main():
    neapvm.need_kvm()
    with neapvm.Vm(["--pages", "4K", "--memory", "64M"]) as vm:
        vm.expect("ready")
        a_vm_tells_what_moved(vm)
        a_change_of_settings_and_a_grant_are_told(vm)
        events_are_a_second_apart(vm)
        an_idle_vm_is_silent(vm)
        assert vm.call("vm.memory")["usage"]["weight"] == 4
        vm.call("vm.kill")
        vm.wait()
    with neapvm.Vm(["--pages", "4K", "--memory", "64M", "--balloon", "off"]) as vm:
        vm.expect("ready")
        usage = vm.call("vm.memory")["usage"]
        assert usage["mode"] == 2 and usage["assigned_bytes"] == 64 * MIB, usage
        assert "demand_bytes" not in usage, usage
        vm.call("vm.kill")
        vm.wait()


main()
