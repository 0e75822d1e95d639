#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A guest through one famine after the other: each ends soon after pages return, every byte is right,
and the API answers all the while. With swap, it needs nobody to return any.

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
POOL_MIB, FRAME_BYTES = 128, 2 << 20
ROUNDS = int(os.environ.get("NEAP_TEST_ROUNDS", "25"))
SWAP_ROUNDS = 6
SAMPLES = 40  # of the API, in each famine
RELIEF_S, ANSWER_S = 1.0, 0.05
WANTED_MIB, LEFT_MIB = 64, 16


class Neighbour:
    """Somebody else on the host, who takes all of the pool but a little."""

    def __init__(self):
        self.file = open(os.path.join(POOL, "neighbour"), "wb")
        self.frames = 0

    def take_all_but(self, left_mib):
        while True:
            try:
                os.posix_fallocate(self.file.fileno(), self.frames * FRAME_BYTES, FRAME_BYTES)
            except OSError:
                break
            self.frames += 1
        self.frames = max(0, self.frames - left_mib * (1 << 20) // FRAME_BYTES)
        os.ftruncate(self.file.fileno(), self.frames * FRAME_BYTES)

    def let_go(self):
        self.frames = 0
        os.ftruncate(self.file.fileno(), 0)

    def close(self):
        self.file.close()
        os.unlink(self.file.name)


class Rounds(unittest.TestCase):
    def setUp(self):
        subprocess.run(["mount", "-t", "hugetlbfs", "-o", "size=%dM,pagesize=2M" % POOL_MIB, "none", POOL],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", POOL], check=True)
        self.neighbour = Neighbour()
        self.addCleanup(self.neighbour.close)

    def start(self, *flags):
        self.vm = neapvm.Vm(["--memory", "96M,ahead=0", "--hugetlbfs", POOL, "--cpus", "2",
                             "--cmdline", "report_delay=3600000", *flags])
        self.addCleanup(self.vm.close)
        self.vm.call("events.subscribe")
        self.vm.expect(READY)

    def sample_api(self):
        """The longest of SAMPLES answers, in seconds."""
        longest = 0.0
        for _ in range(SAMPLES):
            started = time.monotonic()
            memory = self.vm.call("vm.memory")
            longest = max(longest, time.monotonic() - started)
            self.assertTrue(memory["waiting"])
        return longest

    def give_back(self):
        """What the guest filled goes back to the host, by way of free page reporting."""
        self.vm.ask("free %dM blocks" % WANTED_MIB)
        self.vm.ask("report")

    def famine(self, seed):
        """One round; how long the API took at most, and the guest after the relief."""
        self.neighbour.take_all_but(LEFT_MIB)
        self.vm.type("fill %dM %d" % (WANTED_MIB, seed))
        self.vm.event("memory.famine")
        longest = self.sample_api()
        self.neighbour.let_go()
        started = time.monotonic()
        self.vm.event("memory.relief")
        relieved = time.monotonic() - started
        self.vm.expect("ok fill")
        self.vm.ask("verify")
        self.give_back()
        return longest, relieved

    def test_hp01_famine_after_famine(self):
        self.start()
        rounds = [self.famine(seed) for seed in range(1, ROUNDS + 1)]
        answers = sorted(answer for answer, _ in rounds)
        reliefs = sorted(relief for _, relief in rounds)
        print("%d famines: longest answer of each, median %.1f ms, worst %.1f ms; on again after, median %.1f "
              "ms, worst %.1f ms" % (len(rounds), answers[len(answers) // 2] * 1000, answers[-1] * 1000,
                                     reliefs[len(reliefs) // 2] * 1000, reliefs[-1] * 1000), file=sys.stderr)
        self.assertLess(reliefs[-1], RELIEF_S)
        self.assertLess(answers[len(answers) // 2], ANSWER_S)  # a busy host may spoil some
        memory = self.vm.call("vm.memory")
        self.assertGreaterEqual(memory["waits"], ROUNDS)
        self.assertFalse(memory["waiting"])

    def test_hp01_with_swap_the_guest_needs_nobody(self):
        self.start("--swap", "/var/tmp")
        for seed in range(1, SWAP_ROUNDS + 1):
            self.neighbour.take_all_but(LEFT_MIB)
            self.vm.ask("fill %dM %d" % (WANTED_MIB, seed))
            self.vm.ask("verify")
            self.neighbour.let_go()
            self.vm.ask("verify")
            self.give_back()
        swap = self.vm.call("vm.memory")["swap"]
        self.assertGreater(swap["out_bytes"], 0)
        self.assertEqual(swap["read_errors"] + swap["write_errors"], 0)

    def test_uf01_nobody_reads_zeros_when_the_pager_dies_over_swapped_memory(self):
        """Its memory is in swap, and nobody is left to bring it back: it ends, and finds nothing wrong."""
        import onethread
        self.start("--swap", "/var/tmp")
        self.vm.ask("fill %dM 7" % WANTED_MIB)
        self.vm.call("vm.memory.limit", limit_bytes=LEFT_MIB << 20)
        deadline = time.monotonic() + neapvm.PATIENCE_S
        while self.vm.call("vm.memory")["resident_bytes"] > 2 * LEFT_MIB << 20:
            self.assertLess(time.monotonic(), deadline)
        pager = onethread.find(self.vm.process.pid, "pager")
        onethread.seize(pager)
        self.vm.type("verify")
        onethread.stop(pager)
        onethread.end(pager)
        onethread.reap(pager)
        self.assertEqual(self.vm.wait(), 1)
        self.vm.output += self.vm.process.stdout.read()
        self.assertNotIn(b"error", self.vm.output)


if __name__ == "__main__":
    neapvm.need_kvm()
    neapvm.need_huge_pages(POOL_MIB // 2)
    neapvm.need_mounts_of_our_own("for a hugetlbfs mount of its own")
    unittest.main(verbosity=2, warnings="ignore")
