#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The sampler beside a guest whose working set is known: test_sampler.py 2M|4K.

The embedded guest touches a share of its blocks over and over; neap, which is not told, says how
much is in use. Periods are short, and the sample is all blocks, so that chance has no part in it.
On a busy machine the guest may not get round in a period, nor the sampler through the blocks: two
right answers in a row are wanted, of the first so many.
"""
import os
import select
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from neapvm import Vm, need_huge_pages, need_kvm  # noqa: E402

PAGES = sys.argv[1] if len(sys.argv) > 1 else "2M"
RAM_MIB, WORK_BLOCKS = 224, 100
POINTS = 5  # of a hundred: what an answer may be wrong by; the guest's own blocks are among it
PERIODS = 30
IN_A_ROW = 2


class Share(unittest.TestCase):
    def next_period(self, vm, last):
        """The sampler's words when another period has ended."""
        deadline = time.monotonic() + PERIODS
        while time.monotonic() < deadline:
            sampler = vm.call("vm.memory").get("sampler", {"periods": 0})
            if sampler["periods"] > last:
                return sampler
            select.select([], [], [], 0.02)
        self.fail("the sampler's periods do not end")

    @staticmethod
    def is_right(sampler, percent):
        """There are more blocks in RAM than the guest knows of: its own, and some prepared for it."""
        sampled = sampler["sampled_blocks"]
        known = percent * WORK_BLOCKS / max(sampled, 1)
        return sampled >= WORK_BLOCKS * 9 // 10 and abs(sampler["active_percent"] - known) <= POINTS

    def is_found(self, percent):
        with Vm(["--memory", "%dM,sample_period=1,sample_blocks=1000" % RAM_MIB, "--pages", PAGES,
                 "--cmdline", "report_delay=3600000"]) as vm:
            vm.expect("ready")
            vm.ask("fill %dM" % (2 * WORK_BLOCKS))
            vm.type("hot %d %d" % (percent, 2 * PERIODS * 1000))
            right, last, answers = 0, self.next_period(vm, 0)["periods"], []
            while right < IN_A_ROW:
                sampler = self.next_period(vm, last)
                answers.append((sampler["active_percent"], sampler["sampled_blocks"]))
                self.assertLess(len(answers), PERIODS, "%d %% were in use: (percent, sampled) %r" % (percent, answers))
                last = sampler["periods"]
                right = right + 1 if self.is_right(sampler, percent) else 0

    def test_a_tenth_is_found_within_five_points(self):
        self.is_found(10)

    def test_a_half_is_found_within_five_points(self):
        self.is_found(50)

    def test_nine_tenths_are_found_within_five_points(self):
        self.is_found(90)

    def test_without_a_sample_nothing_is_said(self):
        with Vm(["--memory", "64M,sample_blocks=0", "--pages", PAGES]) as vm:
            vm.expect("ready")
            vm.ask("fill 16M")
            self.assertNotIn("sampler", vm.call("vm.memory"))


if __name__ == "__main__":
    need_kvm()
    if PAGES == "2M":
        need_huge_pages(RAM_MIB // 2)
    unittest.main(argv=sys.argv[:1], verbosity=2)
