#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The embedded guest under neap: memory filled, ballooned and verified; every way it can end.

test_embedded.py 2M|4K - on which host pages. 77 without /dev/kvm, or without huge pages.
"""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from neapvm import PATIENCE_S, Vm, need_huge_pages, need_kvm  # noqa: E402

MIB = 1 << 20
FRAME_PAGES = 512
PAGE_BYTES = 4096
PAGES = sys.argv[1] if len(sys.argv) > 1 else "2M"
RAM_MIB = 128
EXIT_GUEST = 6
EXIT_GUEST_STATUS = 64
STATUS_SCRIPT_FAILED = 1
STATUS_EXCEPTION = 60


def start(cmdline="", *flags):
    return Vm(["--memory", "%dM" % RAM_MIB, "--pages", PAGES, "--cmdline", cmdline, *flags])


def move_balloon(vm, size_bytes):
    """Ask, wait until the guest says it is there; vm.memory then."""
    vm.call("vm.memory.set", balloon_bytes=size_bytes)
    vm.expect(r"event balloon target_pages=%d given_pages=%d ns=\d+\r" % ((size_bytes >> 12,) * 2))
    return vm.call("vm.memory")


def used_bytes(vm):
    """What the guest made it hold, without what was prepared for it."""
    memory = vm.call("vm.memory")
    return memory["resident_bytes"] - memory["fresh_bytes"]


def guest_page(vm, address, contents=None):
    """The page at a guest address below 3 GiB, from outside; or it gets @contents."""
    with open("/proc/%d/maps" % vm.process.pid) as maps:
        view = next(line for line in maps if "memfd:neap-ram" in line and line.split()[2] == "00000000")
    with open("/proc/%d/mem" % vm.process.pid, "r+b", buffering=0) as mem:
        mem.seek(int(view.split("-")[0], 16) + address)
        return mem.read(PAGE_BYTES) if contents is None else mem.write(contents)


class Memory(unittest.TestCase):
    def balloon_and_verify(self, style, least_returned_permille):
        with start("balloon=" + style, "--cpus", "2") as vm:
            vm.expect("ready cpus=2")
            vm.ask("fill 40M 7")
            asked = 64 * MIB
            memory = move_balloon(vm, asked)
            self.assertEqual(memory["asked_bytes"], asked)
            self.assertEqual(memory["taken_bytes"], asked)
            self.assertGreaterEqual(memory["returned_bytes"] * 1000, asked * least_returned_permille)
            self.assertLessEqual(memory["returned_bytes"], asked)
            self.assertEqual(vm.ask("verify")["pages"], str(40 * MIB >> 12))
            memory = move_balloon(vm, 0)
            self.assertEqual((memory["taken_bytes"], memory["returned_bytes"]), (0, 0))
            vm.ask("fill 64M 9")
            self.assertEqual(vm.ask("verify")["pages"], str(104 * MIB >> 12))

    def test_block_inflation_returns_every_byte(self):
        self.balloon_and_verify("blocks", 1000)

    def test_automatic_inflation_returns_every_byte(self):
        self.balloon_and_verify("auto", 1000)

    def test_stock_lists_return_nearly_every_byte_of_unfragmented_memory(self):
        self.balloon_and_verify("pages", 950)

    def test_scattered_pages_are_taken_and_come_back(self):
        self.balloon_and_verify("scattered", 0)

    def test_filled_memory_that_is_freed_and_ballooned_leaves_the_host(self):
        with start() as vm:
            vm.expect("ready")
            vm.ask("fill 100M")
            before = vm.call("vm.memory")["resident_bytes"]
            vm.ask("free 64M blocks")
            after = move_balloon(vm, 86 * MIB)["resident_bytes"]
            self.assertGreaterEqual(before - after, 60 * MIB)
            vm.ask("verify")

    def test_a_fragmented_guest_gives_pages_back_and_loses_none(self):
        with start("balloon=pages") as vm:
            vm.expect("ready")
            vm.ask("fill 100M")
            vm.ask("free 32M scattered")
            self.assertEqual(move_balloon(vm, 40 * MIB)["taken_bytes"], 40 * MIB)
            vm.ask("verify")
            move_balloon(vm, 8 * MIB)
            vm.ask("fill 24M 3")
            vm.ask("verify")

    def test_both_processors_work_while_the_balloon_moves(self):
        with start("", "--cpus", "2") as vm:
            vm.expect("ready cpus=2")
            vm.ask("fill 16M")
            vm.ask("on 1 fill 16M 2")
            for size_bytes in (48 * MIB, 8 * MIB, 56 * MIB, 0):
                move_balloon(vm, size_bytes)
            vm.type("join")
            vm.expect("ok join")
            self.assertEqual(vm.ask("verify")["pages"], str(32 * MIB >> 12))

    def test_a_guest_out_of_memory_takes_from_the_balloon_if_it_may(self):
        with start("", "--balloon", "on,deflate_on_oom=on") as vm:
            vm.expect("ready")
            move_balloon(vm, 96 * MIB)
            vm.ask("fill 64M")
            self.assertLess(vm.call("vm.memory")["taken_bytes"], 64 * MIB)
            vm.ask("verify")

    def test_a_guest_that_may_not_take_from_the_balloon_runs_out(self):
        with start("", "--balloon", "on,deflate_on_oom=off") as vm:
            vm.expect("ready")
            move_balloon(vm, 96 * MIB)
            vm.type("fill 64M")
            vm.expect("error fill .*out of memory")
            vm.ask("verify")

    def test_free_blocks_are_reported_after_their_delay_and_at_once(self):
        with start("report_delay=50") as vm:
            vm.expect("ready")
            vm.ask("fill 64M")
            vm.ask("free 64M blocks")
            before = used_bytes(vm)
            deadline = time.monotonic() + PATIENCE_S
            while vm.call("vm.memory")["reported_total_bytes"] < 64 * MIB:
                self.assertLess(time.monotonic(), deadline, "not reported by itself")
                vm.ask("idle 50")
            vm.ask("report")
            self.assertEqual(vm.ask("report")["blocks"], "0")
            self.assertLessEqual(used_bytes(vm), before - 60 * MIB)
            vm.ask("fill 96M 5")
            vm.ask("verify")

    def test_memory_above_the_hole_is_used_and_ballooned(self):
        if PAGES == "2M":
            self.skipTest("5 GiB of huge pages; the 4K run has it")
        with Vm(["--memory", "5G", "--pages", "4K"]) as vm:
            vm.expect("ready")
            vm.ask("fill 16M 3 top")
            self.assertEqual(move_balloon(vm, 64 * MIB)["returned_bytes"], 64 * MIB)
            self.assertEqual(vm.ask("verify")["pages"], str(16 * MIB >> 12))
            self.assertGreaterEqual(int(vm.ask("spoil")["address"], 16), 5 << 30)

    def test_statistics_are_the_guests_own(self):
        with start() as vm:
            vm.expect("ready")
            statistics = vm.call("vm.memory").get("statistics")
            while not statistics:
                vm.ask("idle 50")
                statistics = vm.call("vm.memory").get("statistics")
            stat = vm.ask("stat")
            self.assertEqual(statistics["total_bytes"], int(stat["total"]))
            self.assertLessEqual(abs(statistics["free_bytes"] - int(stat["free"])), 4 * MIB)

    def test_processors_count_in_the_same_pages_and_lose_nothing(self):
        with start("", "--cpus", "4") as vm:
            vm.expect("ready cpus=4")
            vm.ask("fill 8M")
            for cpu, way in ((1, ""), (2, "random"), (3, "random 64K 9")):
                vm.type("on %d count 20 %s" % (cpu, way))
                vm.expect("ok on started=%d" % cpu)  # theirs may come before it
            vm.type("verify random")  # while they count
            vm.expect("ok verify [^\r\n]*bad_bytes=0")
            vm.type("count 5 random 4K 2")
            vm.expect("ok count rounds=5 [^\r\n]*wrong=0")
            vm.type("join")
            vm.expect("ok join")
            pages = 8 * MIB >> 12
            self.assertEqual(vm.ask("tally")["counted"], str(pages * 65))
            vm.ask("fill 2M 3 top")  # joins as if it had been counted
            vm.ask("free 1M scattered")
            vm.ask("count 1")
            self.assertEqual(vm.ask("tally")["counted"], str((pages + 256) * 66))
            vm.ask("verify")

    def test_a_page_from_the_past_is_found_by_all_who_count(self):
        page = (RAM_MIB - 4) * MIB
        with start() as vm:
            vm.expect("ready")
            vm.ask("fill 8M 1 top")
            vm.ask("count 1")
            past = guest_page(vm, page)
            vm.ask("count 1")
            guest_page(vm, page, past)
            for command, complaint in (("verify random", r"bad_pages=1 bad_bytes=2 address=0x%x " % (page + 503 * 8)),
                                       ("count 1", "wrong=1 address=0x%x expected=2 seen=1 " % page),
                                       ("tally", "pages=2048 counted=6143 expected=6144 ")):
                vm.type(command)
                vm.expect("error %s .*%s" % (command.split()[0], complaint))

    def test_a_hot_set_is_the_share_of_blocks_that_was_asked(self):
        with start() as vm:
            vm.expect("ready")
            vm.ask("fill 40M")
            for percent, blocks in ((0, 0), (10, 2), (50, 10), (100, 20)):
                hot = vm.ask("hot %d 5" % percent)
                self.assertEqual((hot["blocks"], hot["of_blocks"]), (str(blocks), "20"))
                self.assertEqual(int(hot["touches"]) > 0, percent > 0)
            vm.ask("verify")

    def test_first_touches_are_timed_and_read_back(self):
        with start("report_delay=3600000") as vm:
            vm.expect("ready")
            for words, touches in (("", 32 * 512), ("2M", 32), ("2M random", 32), ("4K random", 32 * 512),
                                   ("random 4K 3", 32 * 512)):
                answer = vm.ask("fresh 64M " + words)
                self.assertEqual((answer["touches"], answer["wrong"]), (str(touches), "0"))
                self.assertGreaterEqual(int(answer["worst_ns"]), int(answer["p99_ns"]))
                self.assertGreaterEqual(int(answer["p99_ns"]), int(answer["p50_ns"]))
                vm.ask("report")
            # Touched by nobody: what is prepared, and eight blocks that were mapped with a neighbour.
            memory = vm.call("vm.memory")
            self.assertLessEqual(memory["resident_bytes"] - memory["fresh_bytes"], 24 * MIB)

    def test_one_wrong_byte_is_found(self):
        with start() as vm:
            vm.expect("ready")
            vm.ask("fill 8M")
            address = vm.ask("spoil")["address"]
            vm.type("verify")
            vm.expect("error verify .*bad_pages=1 bad_bytes=1 address=%s " % address)


class Ends(unittest.TestCase):
    def ends(self, status, cmdline, *flags):
        with start(cmdline, *flags) as vm:
            self.assertEqual(vm.wait(), status)

    def test_a_script_that_succeeds(self):
        self.ends(0, 'run="fill 8M; verify; exit"')

    def test_a_script_that_fails_stops_there(self):
        self.ends(EXIT_GUEST_STATUS + STATUS_SCRIPT_FAILED, 'run="fill 8M; spoil; verify; exit"')

    def test_a_status_of_choice(self):
        self.ends(EXIT_GUEST_STATUS + 5, 'run="exit 5"')

    def test_power_off(self):
        self.ends(0, 'run="poweroff"')

    def test_an_exception_is_reported(self):
        with start('run="fault page"') as vm:
            vm.expect("error exception vector=14 .* cr2=0x8 .* ring=3 cpu=0\r")
            self.assertEqual(vm.wait(), EXIT_GUEST_STATUS + STATUS_EXCEPTION)

    def test_a_triple_fault(self):
        self.ends(EXIT_GUEST, 'run="fault"', "--on-crash", "stop")

    def test_a_reboot_starts_again(self):
        with start() as vm:
            vm.expect("ready")
            vm.ask("fill 8M")
            vm.type("reboot")
            vm.expect("ready")
            self.assertEqual(vm.ask("stat")["work"], "0")

    def test_the_power_button(self):
        with start() as vm:
            vm.expect("ready")
            vm.call("vm.stop")
            vm.expect("event power-button")
            self.assertEqual(vm.wait(), 0)


class Surface(unittest.TestCase):
    def test_the_virtio_console_carries_lines_both_ways(self):
        with start("console=virtio", "--console", "virtio") as vm:
            vm.expect("ready")
            self.assertIn("count", vm.ask("vcpus"))
            vm.ask("help")

    def test_quiet_says_one_line_and_listens(self):
        with start("quiet") as vm:
            vm.expect("neap\r\n")
            vm.ask("stat")
            self.assertTrue(vm.output.startswith(b"neap\r\n> stat\r\nok stat "), vm.output)
            # A byte is an exit; with all that a start needs beside there are 51, with no lazy writes 81.
            self.assertLess(vm.call("vm.info")["exits"] - len(vm.output), 65)

    def test_workloads_do_what_they_say(self):
        with start() as vm:
            vm.expect("ready")
            self.assertEqual(vm.ask("ramp 8M 2M 1")["bytes"], str(8 * MIB))
            self.assertEqual(vm.ask("touch 16M")["pages"], str(16 * MIB >> 12))
            self.assertGreater(int(vm.ask("touch 1M 64M")["ns"]), 15e6)
            self.assertEqual(vm.ask("touch 16M random 4K 3")["pages"], str(16 * MIB >> 12))
            for way in ("random", "random 2M 5", "random 64K"):
                self.assertEqual(vm.ask("verify " + way)["pages"], str(8 * MIB >> 12))
            self.assertGreater(int(vm.ask("spin 5")["rounds"]), 0)
            before = int(vm.ask("stat")["now_ns"])
            vm.ask("idle 20")
            self.assertGreater(int(vm.ask("stat")["now_ns"]) - before, 20e6)
            vm.ask("verify")

    def test_nonsense_gets_an_error_and_the_guest_goes_on(self):
        with start() as vm:
            vm.expect("ready")
            for line in ("frobnicate", "fill", "fill 1X", "touch 1M", "free 1M sideways",
                         "on 7 idle", "exit 60", "bench nothing", "hot 50 1", "fill 99999G 1",
                         "verify sideways", "verify random 3K", "touch 1M 5 around", "hot 101 1", "hot 5",
                         "fresh 99999G", "fresh 4M 4M", "fresh 4M 1K", "count"):
                vm.type(line)
                vm.expect("error %s " % line.split()[0])
            vm.ask("stat")

    def test_its_operations_can_be_timed(self):
        with start() as vm:
            vm.expect("ready")
            for what in ("mmio", "kick", "irq", "roundtrip", "halt", "pio"):
                self.assertGreater(int(vm.ask("bench %s 20" % what)["median_ns"]), 0, what)


if __name__ == "__main__":
    need_kvm()
    if PAGES == "2M":
        need_huge_pages(RAM_MIB // 2)
    unittest.main(argv=sys.argv[:1])
