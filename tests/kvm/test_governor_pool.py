#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The governor where the host is short: of huge pages, and of room on a disk for its trace.

The pool is a hugetlbfs mount of our own, in a mount namespace of our own: whatever other VMs do, it
is this short. Run it through tests/tools/with-hugepages 56.
"""
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

MIB = 1 << 20
POOL_MIB = 112
SOFT_MIB = 4.3  # 64 % of MinFree, which is 6 % of so small a pool
POOL = "/mnt"  # in our own namespace


def mount(test, kind, options):
    subprocess.run(["mount", "-t", kind, "-o", options, "none", POOL], check=True)
    test.addCleanup(subprocess.run, ["umount", "-l", POOL], check=True)


def await_policy(vm, wanted):
    deadline = time.monotonic() + neapvm.PATIENCE_S
    while True:
        memory = vm.call("vm.memory")
        if wanted(memory["policy"]):
            return memory
        if time.monotonic() > deadline:
            raise AssertionError("not in time: %s" % memory["policy"])
        time.sleep(0.01)


class Short(unittest.TestCase):
    def test_a_guest_grows_only_as_far_as_the_pool_is_above_its_soft_mark(self):
        mount(self, "hugetlbfs", "pagesize=2M,size=%dM,min_size=%dM" % (POOL_MIB, POOL_MIB))
        with neapvm.Vm(["--memory", "160M,startup=100M,ahead=0,sample_blocks=0", "--hugetlbfs", POOL]) as vm:
            vm.expect("ready")
            vm.ask("fill 96M")  # it wants 118 MiB now
            await_policy(vm, lambda p: p["rule"] == "host-free")
            vm.ask("fill 3M")  # and needs more than it has
            memory = await_policy(vm, lambda p: p["target_bytes"] > 100 * MIB)
            policy = memory["policy"]
            print("the pool has %d MiB free, the guest wants %d MiB and gets %d (%s)" % (
                memory["pool"]["free_bytes"] // MIB, policy["want_bytes"] // MIB,
                policy["target_bytes"] // MIB, policy["rule"]))
            self.assertGreater(policy["want_bytes"], policy["target_bytes"])
            self.assertLessEqual(policy["target_bytes"], (POOL_MIB - SOFT_MIB + 4) * MIB)
            # Somebody else takes what is left: the state changes, and the guest goes on.
            with open(os.path.join(POOL, "other"), "wb") as other:
                free = memory["pool"]["free_bytes"] - 2 * MIB
                os.posix_fallocate(other.fileno(), 0, free)
                await_policy(vm, lambda p: p["host"] != "clear" and p["host_free_bytes"] == 0)
                os.unlink(other.name)
            await_policy(vm, lambda p: p["host"] == "clear")
            self.assertEqual(vm.ask("verify")["bad_bytes"], "0")
            self.assertEqual(vm.call("vm.memory")["waits"], 0)

    def test_a_full_disk_costs_lines_of_the_trace_and_nothing_else(self):
        mount(self, "tmpfs", "size=4k")
        path = os.path.join(POOL, "policy.csv")
        with neapvm.Vm(["--memory", "64M,pages=4K", "--policy-trace", path]) as vm:
            vm.expect("ready")
            await_policy(vm, lambda p: os.path.getsize(path) > 3600)
            ticks = vm.call("vm.memory")["policy"]["ticks"]
            await_policy(vm, lambda p: p["ticks"] >= ticks + 6)
            subprocess.run(["mount", "-o", "remount,size=64k", POOL], check=True)  # somebody makes room
            await_policy(vm, lambda p: os.path.getsize(path) > 4096)
            vm.call("vm.kill")
            vm.wait()
            errors = vm.errors()
        self.assertEqual(errors.count("lines will be missing"), 1, errors)
        with open(path) as file:
            lines = file.read().split("\n")
        self.assertEqual(lines.pop(), "")
        self.assertEqual({line.count(",") for line in lines}, {lines[0].count(",")})  # all are whole
        subprocess.run([neapvm.neap_path(), "sim", path], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    neapvm.need_kvm()
    neapvm.need_huge_pages(POOL_MIB // 2)
    neapvm.need_mounts_of_our_own("for mounts of its own")
    unittest.main()
