#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The pool runs dry under a guest: it waits, says so, loses nothing, and goes on when pages come.

The pool is a hugetlbfs mount of our own with a size= limit, in a mount namespace of our own. Run it
through tests/tools/with-hugepages 64.
"""
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

READY = "neap-bare"
POOL = "/mnt"  # in our own namespace
POOL_MIB, HOG_MIB = 96, 48
RELIEF_S = 1.0
ANSWER_S = 0.05


class Hog:
    """Somebody else on the host who holds HOG_MIB of the pool, until let_go()."""

    def __init__(self):
        self.path = os.path.join(POOL, "hog")
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT)
        deadline = time.monotonic() + neapvm.PATIENCE_S
        while not self.allocate(fd):  # a VM that was just killed may still hold its pages
            if time.monotonic() > deadline:
                raise AssertionError("the pool has no %d MiB for this test" % HOG_MIB)
        os.close(fd)

    @staticmethod
    def allocate(fd):
        try:
            os.posix_fallocate(fd, 0, HOG_MIB << 20)
            return True
        except OSError:
            os.ftruncate(fd, 0)
            return False

    def let_go(self):
        os.unlink(self.path)


class Famine(unittest.TestCase):
    def setUp(self):
        subprocess.run(["mount", "-t", "hugetlbfs", "-o", "size=%dM,pagesize=2M" % POOL_MIB, "none", POOL],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", POOL], check=True)
        self.hog = Hog()
        self.vm = neapvm.Vm(["--memory", "96M", "--hugetlbfs", POOL, "--cpus", "2"])
        self.addCleanup(self.vm.close)
        self.vm.call("events.subscribe")
        self.vm.expect(READY)

    def starve(self):
        """Let the guest want more than there is, and see that this is said."""
        self.vm.type("fill 64M 7")
        self.vm.event("memory.famine")
        self.vm.event("vm.state", lambda data: data["state"] == "waiting")
        self.assertEqual(self.vm.call("vm.info")["state"], "waiting")
        self.assertTrue(self.vm.call("vm.memory")["waiting"])

    def test_the_guest_waits_and_goes_on_with_every_byte(self):
        self.starve()
        self.hog.let_go()
        started = time.monotonic()
        self.vm.event("memory.relief")
        self.assertLess(time.monotonic() - started, RELIEF_S)
        self.vm.expect("ok fill")
        self.vm.ask("verify")
        memory = self.vm.call("vm.memory")
        self.assertFalse(memory["waiting"])
        self.assertGreaterEqual(memory["waits"], 1)
        self.assertGreater(memory["waited_ns"], 0)
        self.assertEqual(self.vm.call("vm.info")["state"], "running")

    def test_the_api_answers_meanwhile(self):
        self.starve()
        times = []
        for _ in range(100):
            started = time.monotonic()
            self.vm.call("vm.memory")
            times.append(time.monotonic() - started)
        self.assertLess(sorted(times)[98], ANSWER_S)

    def test_a_waiting_vm_can_be_paused_and_resumed(self):
        self.starve()
        self.assertEqual(self.vm.call("vm.pause"), {"state": "paused"})
        self.hog.let_go()
        self.vm.call("vm.resume")
        self.vm.expect("ok fill")
        self.vm.ask("verify")

    def test_a_waiting_vm_can_be_reset(self):
        self.starve()
        self.vm.call("vm.reset")
        self.vm.expect(READY)
        self.vm.ask("fill 16M")
        self.vm.ask("verify")

    def test_a_waiting_vm_can_be_killed(self):
        self.starve()
        self.vm.call("vm.kill")
        self.assertEqual(self.vm.wait(), 7)

    def test_ballooned_memory_ends_the_famine(self):
        """HP01 from the other side: what one VM gives back, another one gets."""
        # It holds what it touched, and gives when it is asked: nothing prepared ahead, nothing reported.
        other = neapvm.Vm(["--memory", "32M,ahead=0", "--hugetlbfs", POOL, "--balloon", "free_page_reporting=off"],
                          name="giver")
        self.addCleanup(other.close)
        other.expect(READY)
        other.ask("fill 20M")
        other.ask("free 20M blocks")
        self.starve()
        before = self.vm.call("vm.memory")["resident_bytes"]
        other.call("vm.memory.set", balloon_bytes=20 << 20)
        # The giver touches some MiB more while it gives 20. The other wants more than it gets, so a
        # relief may be over before anybody could tell of it.
        deadline = time.monotonic() + neapvm.PATIENCE_S
        while self.vm.call("vm.memory")["resident_bytes"] < before + (8 << 20):
            self.assertLess(time.monotonic(), deadline, "the other VM's memory did not come: it has %s, the "
                            "other %s" % (self.vm.call("vm.memory"), other.call("vm.memory")))


if __name__ == "__main__":
    neapvm.need_kvm()
    neapvm.need_huge_pages(POOL_MIB // 2)
    neapvm.need_mounts_of_our_own("for a hugetlbfs mount of its own")
    unittest.main(verbosity=2, warnings="ignore")
