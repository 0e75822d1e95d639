#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The share of a guest's memory that is in use, as vm.memory tells it, against guests that keep a known
share of it hot.

All blocks in RAM are drawn in each period of one second, so nothing is left to chance; what is not
the working set (the guest's own code, its stack) is a block or three of 200, 1.5 points. On 4 KiB
memory, so that no huge pages are needed.
"""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

WORKING_SET_MIB = 400
POINTS = 5  # at most beside the truth
PERIODS = 3  # looked at, each after two in which the guest already worked


def sampler(vm):
    return vm.call("vm.memory").get("sampler", {"periods": 0})


def await_periods(vm, periods):
    """The sampler's answer once @periods are over."""
    deadline = time.monotonic() + neapvm.PATIENCE_S
    while sampler(vm)["periods"] < periods:
        if time.monotonic() > deadline:
            raise AssertionError("no period of the sampler ends")
        time.sleep(0.05)
    return sampler(vm)


class WorkingSet(unittest.TestCase):
    def test_a_known_share_is_found_within_five_points(self):
        with neapvm.Vm(["--memory", "512M,pages=4K,sample_blocks=1000,sample_period=1",
                        "--cmdline", "report_delay=3600000"]) as vm:
            vm.expect("ready")
            vm.ask("fill %dM" % WORKING_SET_MIB)
            for percent in (10, 50, 90):
                vm.type("hot %d 7000 %d" % (percent, percent))
                start = sampler(vm)["periods"]
                seen = [await_periods(vm, start + 2 + i) for i in range(PERIODS)]
                print("%d %% hot: %s of %d blocks" % (percent, [s["active_percent"] for s in seen],
                                                      seen[-1]["sampled_blocks"]))
                for answer in seen:
                    self.assertGreaterEqual(answer["sampled_blocks"], WORKING_SET_MIB // 2 * 0.95)
                    self.assertLessEqual(abs(answer["active_percent"] - percent), POINTS)
                vm.expect("ok hot")
            vm.ask("verify")

    def test_without_a_sample_nothing_is_said(self):
        with neapvm.Vm(["--memory", "64M,pages=4K,sample_blocks=0"]) as vm:
            vm.expect("ready")
            vm.ask("fill 16M")
            self.assertNotIn("sampler", vm.call("vm.memory"))


if __name__ == "__main__":
    neapvm.need_kvm()
    unittest.main()
