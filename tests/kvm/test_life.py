#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The life of a VM as its user sees it: starts, states, ends, exit codes, and what is said."""
import os
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

SMALL = ["--memory", "64M", "--pages", "4K"]
READY = "neap-bare"


class Life(unittest.TestCase):
    def test_a_vm_runs_until_it_is_killed(self):
        with neapvm.Vm(SMALL) as vm:
            vm.expect(READY)
            self.assertEqual(vm.call("vm.info")["state"], "running")
            self.assertEqual(vm.call("vm.kill"), {"state": "stopped"})
            self.assertEqual(vm.wait(), 7)
            self.assertIn("killed on request", vm.errors())
            self.assertFalse(os.path.exists(vm.socket_path()))

    def test_signals_end_a_vm_and_leave_nothing_behind(self):
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
            with neapvm.Vm(SMALL) as vm:
                vm.expect(READY)
                vm.process.send_signal(number)
                self.assertEqual(vm.wait(), 7)
                self.assertIn("ended by signal %d" % number, vm.errors())
                self.assertFalse(os.path.exists(vm.socket_path()))

    def test_the_guests_own_status_is_the_exit_status(self):
        for status, code in (0, 0), (1, 65), (59, 123):
            with neapvm.Vm(SMALL) as vm:
                vm.expect(READY)
                vm.type("exit %d" % status)
                self.assertEqual(vm.wait(), code)

    def test_power_off_by_the_guest_is_success(self):
        with neapvm.Vm(SMALL) as vm:
            vm.expect(READY)
            vm.type("poweroff")
            self.assertEqual(vm.wait(), 0)

    def test_the_power_button_asks_the_guest(self):
        with neapvm.Vm(SMALL) as vm:
            vm.expect(READY)
            vm.ask("stat")  # it listens by now
            vm.call("vm.stop")
            self.assertEqual(vm.wait(), 0)

    def test_a_reboot_starts_the_guest_anew(self):
        with neapvm.Vm(SMALL) as vm:
            vm.call("events.subscribe")
            vm.expect(READY)
            vm.type("reboot")
            self.assertEqual(vm.event("vm.reset"), {"cause": "guest"})
            vm.expect(READY)
            self.assertEqual(vm.call("vm.info")["resets"], 1)

    def test_a_reboot_ends_the_vm_when_asked_to(self):
        with neapvm.Vm(SMALL + ["--on-reset", "stop"]) as vm:
            vm.expect(READY)
            vm.type("reboot")
            self.assertEqual(vm.wait(), 0)

    def test_a_triple_fault_is_a_crash_with_registers(self):
        with neapvm.Vm(SMALL + ["--on-crash", "stop"]) as vm:
            vm.expect(READY)
            vm.type("fault")
            self.assertEqual(vm.wait(), 6)
            self.assertRegex(vm.errors(), r"triple fault[\s\S]*rip=?\s*[0-9a-fx]+")

    def test_a_triple_fault_restarts_the_guest_when_asked_to(self):
        with neapvm.Vm(SMALL + ["--on-crash", "restart"]) as vm:
            vm.call("events.subscribe")
            vm.expect(READY)
            vm.type("fault")
            self.assertEqual(vm.event("vm.reset"), {"cause": "crash"})
            vm.expect(READY)
            self.assertEqual(vm.call("vm.info")["state"], "running")

    def test_reset_on_request_returns_memory_and_boots_again(self):
        with neapvm.Vm(SMALL) as vm:
            vm.expect(READY)
            vm.ask("fill 32M")
            filled = vm.call("vm.memory")["resident_bytes"]
            self.assertGreater(filled, 32 << 20)
            vm.call("vm.reset")
            vm.expect(READY)
            self.assertLess(vm.call("vm.memory")["resident_bytes"], 16 << 20)

    def test_a_paused_guest_stands_still_and_goes_on(self):
        with neapvm.Vm(SMALL + ["--cpus", "2"]) as vm:
            vm.call("events.subscribe")
            vm.expect(READY)
            self.assertEqual(vm.call("vm.pause"), {"state": "paused"})
            exits = vm.call("vm.info")["exits"]
            vm.type("stat")
            for _ in range(50):
                self.assertEqual(vm.call("vm.info")["exits"], exits)
            self.assertEqual(vm.call("vm.resume"), {"state": "running"})
            vm.expect(r"ok stat")

    def test_a_paused_vm_can_be_reset_and_stays_paused(self):
        with neapvm.Vm(SMALL) as vm:
            vm.expect(READY)
            vm.call("vm.pause")
            self.assertEqual(vm.call("vm.reset"), {"state": "paused"})
            vm.call("vm.resume")
            vm.expect(READY)

    def test_a_vm_that_is_still_starting_refuses_what_it_cannot_do_yet(self):
        with neapvm.Vm(["--memory", "3G", "--pages", "4K", "--reserve"]) as vm:
            if vm.call("vm.info")["state"] != "starting":
                self.skipTest("this host reserved 3 GiB before the first question")
            self.assertEqual(vm.call("vm.memory")["taken_bytes"], 0)
            for method, params in (("vm.reset", {}), ("vm.console", {}), ("vm.pause", {}),
                                   ("vm.resume", {}), ("vm.stop", {}),
                                   ("vm.memory.set", {"balloon_bytes": 0})):
                with self.assertRaises(neapvm.RpcError) as caught:
                    vm.call(method, **params)
                self.assertEqual(caught.exception.code, 1, method)  # wrong state
            self.assertEqual(vm.call("vm.info")["state"], "starting")
            self.assertEqual(vm.call("vm.kill"), {"state": "stopped"})
            self.assertEqual(vm.wait(), 7)

    def test_a_reserved_guest_is_not_asked_to_report_free_memory(self):
        with neapvm.Vm(["--memory", "64M,pages=4K,reserve=on"]) as vm:
            vm.expect("ready")
            self.assertNotIn("free_page_reporting", vm.call("vm.memory")["balloon"]["features"])
            vm.ask("fill 16M; free 16M blocks")
            vm.type("report")
            vm.expect("(ok|error) [^\\r\\n]*")
            self.assertEqual(vm.call("vm.memory")["resident_bytes"], 64 << 20)

    def test_states_are_told_as_events_in_order(self):
        with neapvm.Vm(SMALL) as vm:
            vm.expect(READY)
            vm.call("events.subscribe", kinds=["vm.state"])
            vm.call("vm.pause")
            vm.call("vm.resume")
            vm.call("vm.kill")
            self.assertEqual([vm.event("vm.state")["state"] for _ in range(3)],
                             ["paused", "running", "stopped"])


class Refused(unittest.TestCase):
    """Wrong input: one sentence, an exit code, nothing left behind."""

    def run_neap(self, *flags, wrap=()):
        vm = neapvm.Vm(list(flags), wrap=wrap)
        self.addCleanup(vm.close)
        code = vm.wait()
        text = vm.errors()
        self.assertFalse(os.path.exists(vm.socket_path()))
        self.assertEqual(len(text.strip().splitlines()), 1, text)
        return code, text

    def test_a_kernel_that_is_not_there(self):
        code, text = self.run_neap(*SMALL, "--kernel", "/nonexistent/vmlinuz")
        self.assertEqual(code, 2)
        self.assertIn("/nonexistent/vmlinuz", text)

    def test_a_kernel_that_is_no_kernel(self):
        code, text = self.run_neap(*SMALL, "--kernel", "/etc/passwd")
        self.assertEqual(code, 2)
        self.assertIn("/etc/passwd", text)

    def test_a_name_that_is_taken(self):
        with neapvm.Vm(SMALL) as vm:
            vm.expect(READY)
            done = vm.neap("run", "--name", vm.name, *SMALL, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("already runs", done.stderr)
            self.assertEqual(vm.call("vm.info")["state"], "running")

    def test_too_few_huge_pages_says_how_many_and_what_to_type(self):
        want_mib = 2 * neapvm.free_huge_pages() + 1024
        code, text = self.run_neap("--memory", "%dM" % want_mib, "--reserve")
        self.assertEqual(code, 3)
        self.assertRegex(text, r"%d of 2 MiB needed, \d+ free" % (want_mib // 2))
        self.assertRegex(text, r"nr_hugepages")

    def test_more_vcpus_than_neap_knows(self):
        code, text = self.run_neap(*SMALL, "--cpus", "1025")
        self.assertEqual(code, 2)
        self.assertIn("cpus", text)


class Many(unittest.TestCase):
    def test_64_vcpus_start_and_answer(self):
        with neapvm.Vm(SMALL + ["--cpus", "64"]) as vm:
            vm.expect(READY)
            self.assertEqual(vm.call("vm.info")["cpus"], 64)
            vm.call("vm.pause")
            vm.call("vm.resume")
            vm.call("vm.kill")
            self.assertEqual(vm.wait(), 7)

    def test_a_detached_vm_outlives_its_starter(self):
        with neapvm.Vm(SMALL) as first:
            first.expect(READY)
            self.assertEqual(first.neap("run", "--detach", "--name", "other", *SMALL).strip(), "other")
            self.assertRegex(first.neap("ps"), r"other +running")
            first.neap("kill", "other")
            self.assertNotRegex(first.neap("ps"), r"other")


if __name__ == "__main__":
    neapvm.need_kvm()
    unittest.main(verbosity=2, warnings="ignore")
