#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Dynamic memory of whole VMs with the embedded guest, whose statistics follow what it fills.

`slow` as the last argument runs the cases that wait for the end of the boot grace, 45 s: SlowShrink,
SlowStale, SlowGrow and SlowSwap, each a VM that mostly sleeps, so the suite runs them side by side.
"""
import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

MIB = 1 << 20
INVALID_PARAMS, UNSUPPORTED = -32602, 2
GRACE_S = 45
SLOW = len(sys.argv) > 1 and sys.argv[-1] == "slow"
if SLOW:
    sys.argv.pop()


class Base(unittest.TestCase):
    def start(self, memory, *flags):
        self.vm = neapvm.Vm(["--memory", memory + ",pages=4K", *flags])
        self.addCleanup(self.vm.close)
        self.vm.expect("ready")
        if "policy" in self.vm.call("vm.memory"):
            self.await_policy(lambda p: "rule" in p)  # the first decision is made
        return self.vm

    def policy(self):
        return self.vm.call("vm.memory")["policy"]

    def await_policy(self, wanted, patience_s=None):
        """The first view that is wanted, and how long it took."""
        began = time.monotonic()
        while True:
            view = self.policy()
            took_s = time.monotonic() - began
            if wanted(view):
                return view, took_s
            if took_s > (patience_s or neapvm.PATIENCE_S):
                raise AssertionError("not in time: %s" % view)
            time.sleep(0.01)

    def refused(self, code, method, **params):
        with self.assertRaises(neapvm.RpcError) as caught:
            self.vm.call(method, **params)
        self.assertEqual(caught.exception.code, code)
        return str(caught.exception)


@unittest.skipIf(SLOW, "fast")
class Governor(Base):
    def test_a_guest_begins_with_its_startup_and_gets_what_it_needs_within_seconds(self):
        vm = self.start("256M,startup=128M,minimum=64M")
        self.await_policy(lambda p: p.get("demand_bytes") and p["assigned_bytes"] == 128 * MIB)
        self.assertEqual(vm.call("vm.memory.why")["rule"], "startup")
        vm.call("events.subscribe", kinds=["memory.status"])
        vm.ask("fill 120M")
        view, took_s = self.await_policy(lambda p: p["target_bytes"] >= 140 * MIB)
        print("120 MiB filled -> target %d MiB after %.2f s" % (view["target_bytes"] // MIB, took_s))
        self.assertLess(took_s, 3)  # a period of statistics, and a busy machine
        self.await_policy(lambda p: p["assigned_bytes"] >= 140 * MIB)
        vm.ask("fill 60M")
        event = vm.event("memory.status", lambda data: data["status"] != "OK")
        self.assertGreater(event["pressure_percent"], 80)
        self.await_policy(lambda p: p["target_bytes"] >= 210 * MIB and p["status"] == "OK")
        self.assertNotEqual(vm.event("memory.status", lambda data: data["status"] == "OK")["was"], "OK")
        self.assertEqual(vm.ask("verify")["bad_bytes"], "0")
        view = self.policy()
        self.assertGreater(view["added_bytes"], 80 * MIB)
        self.assertGreaterEqual(view["added_operations"], 2)
        print("a tick takes %d us of CPU time, %d at worst" % (view["tick_us_mean"], view["tick_us_worst"]))

    def test_one_that_may_not_help_itself_and_runs_out_gets_three_times_as_much_in_a_moment(self):
        vm = self.start("1G,startup=160M,minimum=64M", "--balloon", "deflate_on_oom=off,stats_period=2")
        self.await_policy(lambda p: p.get("demand_bytes") and p["assigned_bytes"] == 232 * MIB)  # its floor
        left, began, took_s = 500 * MIB, None, 0
        while left >= 4096:
            vm.type("fill %d" % left)
            left -= int(vm.expect(r"(?:ok|error) fill bytes=(\d+)\D").group(1))
            began = began or time.monotonic()
            took_s = time.monotonic() - began
            self.assertLess(took_s, neapvm.PATIENCE_S)
            time.sleep(0.01)
        print("500 MiB filled %.2f s after the guest ran out" % took_s)
        self.assertLess(took_s, 4)  # a period of statistics, its steps, the fill, and a busy machine

    def test_statistics_alone_are_no_news_of_the_balloon(self):
        vm = self.start("256M,startup=128M,minimum=64M")
        self.await_policy(lambda p: p["assigned_bytes"] == 128 * MIB)
        rpc = vm.rpc
        rpc.call("events.subscribe", kinds=["memory.balloon", "memory.statistics"])
        rpc.event("memory.statistics")  # and what was still to be told of its move
        while sum(event["kind"] == "memory.statistics" for event in rpc.events) < 3:
            rpc.heard(neapvm.PATIENCE_S)
        self.assertEqual({event["kind"] for event in rpc.events}, {"memory.statistics"})

    def test_a_target_by_hand_takes_it_from_the_policy_until_it_is_given_back(self):
        vm = self.start("256M,startup=128M,minimum=64M")
        vm.call("events.subscribe", kinds=["memory.settings"])
        answer = vm.call("vm.memory.set", target_bytes=200 * MIB)
        self.assertEqual((answer["mode"], answer["asked_bytes"]), ("manual", 56 * MIB))
        event = vm.event("memory.settings")
        self.assertEqual((event["cause"], event["old_mode"], event["mode"]), ("target", "auto", "manual"))
        ticks = self.policy()["ticks"]
        self.await_policy(lambda p: p["ticks"] >= ticks + 3)
        self.assertEqual(vm.call("vm.memory")["asked_bytes"], 56 * MIB)
        self.assertEqual(self.policy()["rule"], "manual")
        self.assertEqual(vm.call("vm.memory.set", mode="auto")["mode"], "auto")
        self.assertEqual(vm.event("memory.settings")["cause"], "settings")
        self.await_policy(lambda p: p["mode"] == "auto" and p["rule"] != "manual")
        self.assertIn("not both", self.refused(INVALID_PARAMS, "vm.memory.set", target_bytes=100 * MIB, mode="auto"))

    def test_settings_are_changed_all_or_none(self):
        vm = self.start("256M,minimum=64M")
        self.assertIn("memory.minimum", self.refused(
            INVALID_PARAMS, "vm.memory.set", weight=2000, minimum_bytes=300 * MIB, target_bytes=100 * MIB))
        view = self.policy()
        self.assertEqual((view["weight"], view["minimum_bytes"], view["mode"]), (1000, 64 * MIB, "auto"))
        self.assertEqual(vm.call("vm.memory")["asked_bytes"], 0)
        for wrong in ({"weight": 10001}, {"buffer_percent": 4}, {"buffer_percent": 2 ** 40}, {"weight": 2 ** 32},
                      {"mode": "Auto"}, {"mode": ""}, {}, {"target_bytes": 1, "balloon_bytes": 1},
                      {"balloon_bytes": 257 * MIB}, {"minimum_bytes": 2 ** 62}):
            self.refused(INVALID_PARAMS, "vm.memory.set", **wrong)
        answer = vm.call("vm.memory.set", weight=2000, minimum_bytes=100 * MIB, buffer_percent=50)
        self.assertEqual((answer["weight"], answer["minimum_bytes"], answer["buffer_percent"]), (2000, 100 * MIB, 50))
        self.assertIn("minimum 128 MiB, buffer 30 %",
                      vm.neap("set", vm.name, "memory.minimum=128M", "memory.buffer=30"))

    def test_a_reset_gives_the_guest_its_startup_again(self):
        vm = self.start("256M,startup=128M,minimum=64M")
        vm.ask("fill 124M")
        self.await_policy(lambda p: p["target_bytes"] > 140 * MIB)
        vm.call("vm.reset")
        vm.expect("ready")
        view, took_s = self.await_policy(lambda p: p["target_bytes"] == 128 * MIB)
        self.assertLess(took_s, 2)
        self.await_policy(lambda p: p["assigned_bytes"] == 128 * MIB and p["rule"] == "startup")

    def test_nothing_is_decided_while_the_vm_is_paused(self):
        vm = self.start("256M")
        vm.call("vm.pause")
        ticks = self.await_policy(lambda p: p["decided_ago_ms"] > 1500)[0]["ticks"]
        self.assertEqual(self.policy()["ticks"], ticks)
        vm.call("vm.resume")
        _, took_s = self.await_policy(lambda p: p["ticks"] > ticks)
        self.assertLess(took_s, 1)

    def test_a_guest_without_a_driver_keeps_all(self):
        vm = self.start("256M", "--cmdline", "balloon=off")
        self.await_policy(lambda p: p["ticks"] >= 3)
        self.assertEqual(vm.call("vm.memory")["asked_bytes"], 0)
        self.assertEqual(self.policy()["target_bytes"], 256 * MIB)

    def test_a_vm_without_a_balloon_has_no_policy(self):
        vm = self.start("256M", "--balloon", "off")
        self.assertNotIn("policy", vm.call("vm.memory"))
        for method in ("vm.memory.set", "vm.memory.why", "vm.memory.trace"):
            self.refused(UNSUPPORTED, method)

    def test_reserved_memory_is_never_taken_by_the_policy(self):
        vm = self.start("64M,reserve=on,startup=32M,minimum=32M")
        self.await_policy(lambda p: p.get("rule") == "reserved")
        self.assertEqual(vm.call("vm.memory")["asked_bytes"], 0)
        vm.call("vm.memory.set", balloon_bytes=16 * MIB)  # by hand it works
        self.await_policy(lambda p: p["assigned_bytes"] == 48 * MIB)

    def test_a_balloon_of_a_given_size_is_a_target_by_hand(self):
        vm = self.start("256M", "--balloon", "size=64M")
        self.await_policy(lambda p: p.get("rule") == "manual")
        self.assertEqual(vm.call("vm.memory")["asked_bytes"], 64 * MIB)

    def test_a_grant_bounds_growth(self):
        vm = self.start("256M,startup=128M,minimum=64M")
        vm.call("vm.memory.grant", grant_bytes=136 * MIB)
        vm.ask("fill 124M")
        view, _ = self.await_policy(lambda p: p["rule"] == "grant")
        self.assertLessEqual(view["target_bytes"], 136 * MIB)
        self.assertEqual(view["grant_bytes"], 136 * MIB)
        vm.call("vm.memory.grant")
        view, _ = self.await_policy(lambda p: p["target_bytes"] >= 145 * MIB)
        self.assertNotIn("grant_bytes", view)

    def test_it_ends_while_it_ticks(self):
        for round_number in range(5):
            vm = self.start("64M", "--balloon", "stats_period=1")
            time.sleep(0.05 * round_number)  # another moment each time
            vm.call("vm.kill")
            self.assertEqual(vm.wait(), 7)

    def test_a_bad_setting_is_refused_before_anything_starts(self):
        for flag, sentence in (("256M,minimum=512M", "memory.minimum"), ("256M,startup=512M", "memory.startup"),
                               ("256M,startup=64M,minimum=100M", "memory.startup"), ("256M,buffer=3", "buffer"),
                               ("256M,weight=10001", "weight"), ("256M,mode=on", "mode")):
            done = subprocess.run([neapvm.neap_path(), "run", "--memory", flag], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(sentence, done.stderr)


@unittest.skipIf(SLOW, "fast")
class Trace(Base):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="neap-policy-")
        self.addCleanup(self.dir.cleanup)
        self.path = os.path.join(self.dir.name, "policy.csv")

    def test_each_decision_is_a_line_that_repeats(self):
        vm = self.start("256M,startup=128M,minimum=64M", "--policy-trace", self.path)
        vm.ask("fill 120M")
        self.await_policy(lambda p: p["target_bytes"] >= 140 * MIB)
        live = vm.neap("trace", vm.name, "--once").splitlines()
        vm.call("vm.kill")
        vm.wait()
        with open(self.path) as file:
            lines = file.read().splitlines()
        self.assertEqual(lines[:len(live)], live)
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        done = subprocess.run([neapvm.neap_path(), "sim", self.path], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        summary = subprocess.run([neapvm.neap_path(), "trace", self.path], stdout=subprocess.PIPE, text=True,
                                 timeout=30, check=True).stdout
        self.assertIn("%d decisions for a guest of 256 MiB" % (len(lines) - 1), summary)

    def test_a_file_that_is_something_else_is_left_alone(self):
        with open(self.path, "w") as file:
            file.write("dear diary\n")
        for path, sentence in ((self.path, "no trace"), (self.dir.name, "directory"), ("/dev/null", "not a regular"),
                               (self.path + ".link", "symbolic")):
            if path.endswith(".link"):
                os.symlink("/dev/null", path)
            done = subprocess.run([neapvm.neap_path(), "run", "--memory", "64M,pages=4K", "--policy-trace", path],
                                  env=dict(os.environ, XDG_RUNTIME_DIR=self.dir.name), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(sentence, done.stderr)
        with open(self.path) as file:
            self.assertEqual(file.read(), "dear diary\n")

    def test_a_live_trace_ends_with_the_vm(self):
        vm = self.start("64M")
        with subprocess.Popen([neapvm.neap_path(), "trace", vm.name], env=vm.env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as trace:
            self.assertTrue(trace.stdout.readline().startswith("mode,startup_bytes"))
            for _ in range(3):
                self.assertTrue(trace.stdout.readline().startswith("auto,"))
            vm.call("vm.kill")
            _, errors = trace.communicate(timeout=neapvm.PATIENCE_S)
            self.assertEqual((trace.returncode, errors), (0, ""))


def begin_to_shrink(test):
    """A guest of 512 MiB that uses 100 and is on its way down."""
    vm = test.start("512M,minimum=64M")
    began = time.monotonic()
    vm.ask("fill 100M")
    test.await_policy(lambda p: p["target_bytes"] < 512 * MIB, 2 * GRACE_S)
    after_s = time.monotonic() - began
    print("began to shrink %.1f s after the start" % after_s)
    test.assertGreater(after_s, GRACE_S - 3)
    view, _ = test.await_policy(lambda p: p["assigned_bytes"] < 480 * MIB)
    test.assertIn(view["rule"], ("shrink-rate", "guest-lag"))
    return vm


@unittest.skipUnless(SLOW, "slow")
class SlowShrink(Base):
    def test_it_shrinks_after_the_grace_and_starts_anew_after_a_reset_in_the_middle(self):
        vm = begin_to_shrink(self)
        vm.call("vm.reset")
        self.await_policy(lambda p: p["target_bytes"] == 512 * MIB, 2)
        vm.expect("ready")
        self.assertEqual(vm.call("vm.memory")["asked_bytes"], 0)
        vm.ask("fill 100M")
        self.assertEqual(vm.ask("verify")["bad_bytes"], "0")


@unittest.skipUnless(SLOW, "slow")
class SlowStale(Base):
    def test_on_old_statistics_it_shrinks_no_further(self):
        vm = begin_to_shrink(self)
        # While it does this, nobody serves its devices: no statistics, nothing is handed over.
        vm.type("bench pio 300000")
        self.await_policy(lambda p: p["rule"] == "stale-stats")
        target = self.policy()["target_bytes"]
        vm.expect("ok bench", 4 * neapvm.PATIENCE_S)
        # It hands over what it was asked for before; a tick of 5 % may have come already.
        self.assertGreaterEqual(self.policy()["assigned_bytes"], target * 0.9)
        self.assertEqual(vm.ask("verify")["bad_bytes"], "0")


@unittest.skipUnless(SLOW, "slow")
class SlowGrow(Base):
    def test_what_was_given_away_comes_back_when_it_is_needed(self):
        vm = self.start("512M,minimum=64M")
        vm.ask("fill 60M")
        self.await_policy(lambda p: p["assigned_bytes"] < 400 * MIB, 3 * GRACE_S)
        more = self.policy()["available_bytes"] // MIB - 16
        vm.ask("fill %dM" % more)
        view, took_s = self.await_policy(lambda p: p["demand_bytes"] >= (60 + more) * MIB
                                         and p["assigned_bytes"] >= p["demand_bytes"] * 1.15)
        print("%d MiB filled -> %d MiB assigned after %.2f s" % (more, view["assigned_bytes"] // MIB, took_s))
        self.assertLess(took_s, 4)
        self.assertEqual(vm.ask("verify")["bad_bytes"], "0")


@unittest.skipUnless(SLOW, "slow")
class SlowSwap(Base):
    def test_a_guest_without_a_driver_is_swapped_down_to_its_grant_and_no_limit_of_the_users_is_raised(self):
        base = os.environ.get("NEAP_TEST_DIR") or os.path.dirname(os.path.abspath(neapvm.neap_path()))
        with tempfile.TemporaryDirectory(prefix="neap-swap-", dir=base) as swap:
            vm = self.start("128M,minimum=64M,ahead=0", "--swap", swap, "--cmdline", "balloon=off")
            vm.ask("fill 110M")
            vm.call("vm.memory.grant", grant_bytes=80 * MIB)
            self.assertEqual(vm.call("vm.memory")["limit_bytes"], 0)  # not in the boot grace
            view, _ = self.await_policy(lambda p: p.get("swap_limit_bytes") == 80 * MIB, 3 * GRACE_S)
            self.assertEqual(view["target_bytes"], 128 * MIB)
            self.assertEqual(vm.call("vm.memory")["limit_bytes"], 80 * MIB)
            until = time.monotonic() + neapvm.PATIENCE_S
            while vm.call("vm.memory")["resident_bytes"] > 80 * MIB:
                self.assertLess(time.monotonic(), until)
                time.sleep(0.05)
            self.assertEqual(vm.call("vm.memory.limit", limit_bytes=100 * MIB)["limit_bytes"], 80 * MIB)
            self.assertEqual(vm.call("vm.memory.limit", limit_bytes=64 * MIB)["limit_bytes"], 64 * MIB)
            vm.call("vm.memory.limit", limit_bytes=100 * MIB)
            vm.call("vm.memory.set", mode="manual")
            self.assertEqual(vm.call("vm.memory")["limit_bytes"], 100 * MIB)
            self.assertEqual(vm.ask("verify")["bad_bytes"], "0")
            vm.close()


if __name__ == "__main__":
    neapvm.need_kvm()
    unittest.main()
