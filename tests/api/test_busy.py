#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""VQ31: the control socket answers as soon while the guest rings, exits and computes without a pause.

Prints what it measured as figures, so that it is a benchmark, too: vm.memory, which reads the balloon,
the RAM and the host's pool. As a test it only wants every answer within a second.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

CALLS = 2000
LOADS = [("idle", None), ("kicks", "bench kick 20000"), ("mmio_exits", "bench mmio 20000"),
         ("ring3", "spin 2000")]


def measure(vm):
    took = []
    for _ in range(CALLS):
        started = time.monotonic()
        vm.call("vm.memory")
        took.append(time.monotonic() - started)
    return sorted(took)


def main():
    neapvm.need_kvm()
    with neapvm.Vm(["--pages", "4K", "--memory", "64M"], name="busy") as vm:
        vm.expect("ready")
        for name, command in LOADS:
            if command:
                vm.type(command)
            took = measure(vm)
            if command:
                vm.expect(r"ok [^\r\n]*[\r\n]")
            print(f"api.memory_{name}_p50 {took[CALLS // 2] * 1e6:.0f} us")
            print(f"api.memory_{name}_p99 {took[CALLS * 99 // 100] * 1e6:.0f} us")
            assert took[-1] < 1, f"{name}: an answer took {took[-1]} s"
        vm.call("vm.kill")
        assert vm.wait() == 7


main()
