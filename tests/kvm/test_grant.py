#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A VM that was granted a part of its host never holds more than that and the slack; a guest that wants more
waits, can be paused, reset and killed, goes on when it is granted more, and does not wait for ever when
nobody answers.

The test is the broker here: it says vm.memory.grant by itself.
    test_grant.py 4K|2M
"""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

MIB = 2 ** 20
READY = "neap-bare"
RAM_MIB, GRANT_MIB = 128, 64
SLACK_MIB = GRANT_MIB // 8  # policy_grant_slack_bytes() of a small grant
SILENT_S, SOON_S = 10, 0.1
PAGES = "4K"


def frame_mib():
    return 2 if PAGES == "2M" else 0.004


class Held(unittest.TestCase):
    def start(self, *flags, cpus=1):
        vm = neapvm.Vm(["--memory", "%dM,ahead=0" % RAM_MIB, "--pages", PAGES, "--cpus", str(cpus), *flags])
        self.addCleanup(vm.close)
        vm.expect(READY)
        vm.listen()
        self.vm = vm
        return vm

    def grant(self, mib):
        return self.vm.call("vm.memory.grant", grant_bytes=mib * MIB)

    def memory(self):
        return self.vm.call("vm.memory")

    def resident_mib(self):
        return self.memory()["resident_bytes"] / MIB

    def hold(self, mib=RAM_MIB - 24, command="fill"):
        """Let the guest want more than it was granted, and see that this is said."""
        self.vm.type("%s %dM" % (command, mib))
        famine = self.vm.event("memory.famine")
        self.vm.event("vm.state", lambda data: data["state"] == "waiting")
        return famine

    def test_a_guest_over_its_grant_waits_and_everybody_can_see_why(self):
        vm = self.start()
        self.grant(GRANT_MIB)
        famine = self.hold()
        self.assertEqual(famine["cause"], "grant")
        self.assertEqual(famine["grant_bytes"], GRANT_MIB * MIB)
        self.assertEqual(famine["most_bytes"], (GRANT_MIB + SLACK_MIB) * MIB)
        self.assertLessEqual(famine["held_bytes"], famine["most_bytes"])
        info = vm.call("vm.info")
        self.assertEqual(info["state"], "waiting")
        self.assertIn("over its grant", info["reason"])
        self.assertIn("granted 64 MiB", info["reason"])
        self.assertIn("over its grant", vm.call("vm.memory.why")["text"])
        self.assertIn("over its grant", " ".join(vm.neap("why", "test").split()))
        self.assertIn("waiting", vm.neap("ps"))
        self.assertIn("waits for a larger grant: the VM may hold 72 MiB", vm.neap("info", "test"))
        memory = self.memory()
        self.assertTrue(memory["waiting"])
        self.assertEqual(memory["usage"]["waits_for"], 1)
        self.assertGreater(memory["over_grant_us"], 0)
        self.assertEqual(memory["starved_us"], 0)
        self.assertLessEqual(memory["resident_bytes"], (GRANT_MIB + SLACK_MIB) * MIB)
        self.grant(RAM_MIB)
        vm.event("memory.relief")
        vm.expect("ok fill")
        vm.ask("verify")
        self.assertEqual(self.memory()["usage"]["waits_for"], 0)
        self.assertEqual(vm.call("vm.info")["state"], "running")

    def test_who_granted_it_is_told_at_once(self):
        """And its answer lets the guest go on: in steps of a few MiB, 18 times."""
        vm = self.start()
        grant, wanted = 24, RAM_MIB - 24
        self.grant(grant)
        vm.type("fill %dM" % wanted)
        while grant + grant // 8 < wanted:
            usage = vm.event("memory.usage", lambda data: data.get("waits_for") == 1)
            self.assertLessEqual(usage["resident_bytes"], usage["grant_bytes"] * 9 // 8)
            if usage["grant_bytes"] == grant * MIB:
                grant += 4
                self.grant(grant)
        vm.expect("ok fill")
        vm.ask("verify")
        self.assertLess(self.memory()["over_grant_us"], 26 * SOON_S * 1e6)

    def test_a_waiting_guest_can_be_paused_and_resumed(self):
        vm = self.start()
        self.grant(GRANT_MIB)
        self.hold()
        self.assertEqual(vm.call("vm.pause"), {"state": "paused"})
        self.grant(RAM_MIB)
        self.assertNotEqual(self.memory()["usage"]["waits_for"], 1)
        vm.call("vm.resume")
        vm.expect("ok fill")
        vm.ask("verify")

    def test_a_waiting_guest_can_be_reset_and_its_grant_stands(self):
        vm = self.start()
        self.grant(GRANT_MIB)
        self.hold()
        vm.call("vm.reset")
        vm.expect(READY)
        vm.ask("fill 32M")
        vm.ask("verify")
        self.assertEqual(self.memory()["grant_most_bytes"], (GRANT_MIB + SLACK_MIB) * MIB)
        self.hold(64)

    def test_a_waiting_guest_can_be_killed(self):
        vm = self.start()
        self.grant(GRANT_MIB)
        self.hold()
        vm.call("vm.kill")
        self.assertEqual(vm.wait(), 7)

    def test_a_smaller_grant_takes_nothing_and_gives_nothing(self):
        vm = self.start()
        vm.ask("fill 80M")
        before = self.resident_mib()
        self.grant(32)
        vm.ask("verify")
        self.assertGreaterEqual(self.resident_mib(), before)
        self.hold(24)
        self.assertLessEqual(self.resident_mib(), before + 4)  # the slack of 32 MiB
        for grant in 31, 30, 29:  # said again and again it adds none
            self.grant(grant)
        self.assertLessEqual(self.resident_mib(), before + 4)
        self.grant(0)  # nobody grants any more
        vm.expect("ok fill")
        self.assertNotIn("grant_most_bytes", self.memory())

    def test_a_vcpu_that_waits_does_not_keep_the_others_from_giving_back(self):
        """The guest lags: it is over its grant, one vCPU wants more, and the balloon is the other's work."""
        vm = self.start(cpus=2)
        vm.ask("fill 80M")
        vm.ask("free 24M blocks")
        self.grant(32)
        vm.type("on 1 fresh 40M")  # never touched, and the slack is 4 MiB
        vm.event("vm.state", lambda data: data["state"] == "waiting")
        held = self.resident_mib()
        vm.call("vm.memory.set", balloon_bytes=16 * MIB)  # by hand: the mode is manual from now on
        vm.until(lambda: self.memory()["taken_bytes"] >= 16 * MIB)
        vm.ask("verify")
        memory = self.memory()
        self.assertLessEqual(memory["resident_bytes"], held * MIB)
        self.assertLessEqual(memory["resident_bytes"], memory["grant_most_bytes"])
        self.grant(RAM_MIB)
        vm.expect("ok fresh")

    def test_without_a_balloon_there_is_no_slack(self):
        vm = self.start("--balloon", "off")
        self.grant(GRANT_MIB)
        self.hold()
        self.assertLessEqual(self.resident_mib(), GRANT_MIB + frame_mib())
        self.assertGreaterEqual(self.resident_mib(), GRANT_MIB - frame_mib())
        refusal = vm.neap("why", "test", check=False)
        self.assertIn("over its grant", refusal.stderr)
        self.grant(RAM_MIB)
        vm.expect("ok fill")

    def test_in_mode_off_a_grant_holds_as_well(self):
        vm = self.start()
        vm.call("vm.memory.set", mode="off")
        self.grant(GRANT_MIB)
        self.hold()
        self.assertLessEqual(self.resident_mib(), GRANT_MIB + SLACK_MIB)
        self.grant(RAM_MIB)
        vm.expect("ok fill")

    def test_a_first_grant_holds_from_the_first_instruction_on(self):
        self.start("--grant", "%dM" % GRANT_MIB)
        self.assertEqual(self.memory()["policy"]["grant_bytes"], GRANT_MIB * MIB)
        self.hold()
        self.assertLessEqual(self.resident_mib(), GRANT_MIB + SLACK_MIB)
        self.grant(RAM_MIB)
        self.vm.expect("ok fill")

    def test_when_nobody_answers_any_more_the_vm_looks_at_the_host_itself(self):
        vm = self.start("--balloon", "off")
        self.grant(GRANT_MIB)
        self.hold()
        began = time.monotonic()
        time.sleep(SILENT_S / 2)
        self.grant(GRANT_MIB)  # no more, but it was heard
        heard = time.monotonic()
        vm.expect("ok fill", patience_s=SILENT_S * 3)
        waited = time.monotonic()
        self.assertGreaterEqual(waited - began, SILENT_S)
        self.assertGreaterEqual(waited - heard, SILENT_S - 0.5)
        self.assertLess(waited - heard, SILENT_S + 5)
        vm.ask("verify")
        self.assertNotIn("grant_bytes", self.memory()["usage"])
        self.grant(GRANT_MIB)  # somebody is there again
        self.assertEqual(self.memory()["usage"]["grant_bytes"], GRANT_MIB * MIB)
        vm.ask("free 32M scattered")
        vm.ask("verify")


if __name__ == "__main__":
    neapvm.need_kvm()
    if len(sys.argv) > 1:
        PAGES = sys.argv.pop(1)
    if PAGES == "2M":
        neapvm.need_huge_pages(RAM_MIB // 2)
    unittest.main(verbosity=2, warnings="ignore")
