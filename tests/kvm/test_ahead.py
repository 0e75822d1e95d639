#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Memory that is ready before the embedded guest touches it, and that a balloon really gives back.

The pool is a hugetlbfs mount of our own, in a mount namespace of our own, so that it is as free as the
rule for a stock wants it. Run it through tests/tools/with-hugepages 100.
"""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

MIB = 1 << 20
BLOCK = 2 * MIB
RAM_MIB, BALLOON_MIB, POOL_MIB = 64, 40, 200
POOL = "/mnt"  # in our own namespace


def start(*options):
    return neapvm.Vm(["--memory", ",".join(["%dM" % RAM_MIB, *options]), "--hugetlbfs", POOL,
                      "--cmdline", "report_delay=3600000"])


def await_memory(vm, condition):
    def wanted():
        memory = vm.call("vm.memory")
        return memory if condition(memory) else None
    memory = vm.until(wanted)
    if memory is None:
        raise AssertionError("not in time: %s" % vm.call("vm.memory"))
    return memory


class Ahead(unittest.TestCase):
    def setUp(self):
        subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M,size=%dM,min_size=%dM" % (POOL_MIB, POOL_MIB),
                        "none", POOL], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", POOL], check=True)

    def test_a_stock_is_there_when_the_guest_comes(self):
        with start("ahead=256M") as vm:
            vm.expect("ready")
            stock = await_memory(vm, lambda memory: memory["fresh_bytes"] >= 16 * BLOCK)
            answer = vm.ask("fresh 32M 2M")
            self.assertEqual(answer["wrong"], "0")
            now = vm.call("vm.memory")
            self.assertGreaterEqual(now["ahead_hits"] - stock["ahead_hits"], 14)

    def test_switched_off_nothing_is_prepared(self):
        with start("ahead=0") as vm:
            vm.expect("ready")
            vm.ask("idle 300")
            vm.ask("fresh 32M 2M")
            memory = vm.call("vm.memory")
            self.assertEqual((memory["fresh_bytes"], memory["ahead_hits"]), (0, 0))

    def test_what_is_in_the_balloon_is_not_prepared_until_it_comes_out(self):
        with start("ahead=256M") as vm:
            vm.expect("ready")
            vm.call("vm.memory.set", balloon_bytes=BALLOON_MIB * MIB)
            await_memory(vm, lambda memory: memory["returned_bytes"] >= BALLOON_MIB * MIB)
            vm.ask("idle 300")  # several looks of the keeper
            memory = vm.call("vm.memory")
            self.assertGreaterEqual(memory["returned_bytes"], BALLOON_MIB * MIB)
            self.assertLessEqual(memory["resident_bytes"], (RAM_MIB - BALLOON_MIB) * MIB)
            vm.call("vm.memory.set", balloon_bytes=0)
            await_memory(vm, lambda memory: memory["taken_bytes"] == 0
                         and memory["fresh_bytes"] >= 16 * BLOCK)
            before = vm.call("vm.memory")["ahead_hits"]
            self.assertEqual(vm.ask("fresh 40M 4K")["wrong"], "0")
            self.assertGreaterEqual(vm.call("vm.memory")["ahead_hits"] - before, 10)


if __name__ == "__main__":
    neapvm.need_kvm()
    if os.geteuid() != 0:
        neapvm.skip("needs root for a hugetlbfs mount of its own")
    if os.environ.get("NEAP_AHEAD_INSIDE") != "1":
        neapvm.need_huge_pages(POOL_MIB // 2)
        if subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
            neapvm.skip("cannot make a mount namespace (no right to, or in a chroot)")
        os.environ["NEAP_AHEAD_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
    unittest.main()
