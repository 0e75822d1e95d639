#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a VM with swap says of itself, while it swaps: numbers that add up, a trace that agrees with
them, a disk that spoils what it holds, resets in the middle, and a balloon that takes parts of blocks.

usage: test_swap_seen.py 4K|2M [unittest's arguments]. The swap file lies in NEAP_TEST_DIR, or beside
the program; 2M is to be run through tests/tools/with-hugepages 64.
"""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

READY = "ready cpus"
MIB = 2 ** 20
BLOCK = 2 * MIB
PAGE = 4096
RAM_MIB, LIMIT_MIB, FILL_MIB = 96, 40, 72
PAGES = "4K"


class SwapFile:
    """The file without a name that process @pid swaps to, as root can reach it."""

    def __init__(self, pid, directory):
        found = [link for link in glob.glob(f"/proc/{pid}/fd/*")
                 if os.path.exists(link) and os.readlink(link).startswith(directory + "/#")]
        assert len(found) == 1, found
        self.fd = os.open(found[0], os.O_RDWR)
        self.pages = {}  # by their place: as they were, and as spoiled

    def spoil(self):
        """Turn every bit of it, on the disk. Page by page, as the VM may write to it meanwhile."""
        for at in range(0, os.fstat(self.fd).st_size, PAGE):
            good = os.pread(self.fd, PAGE, at)
            self.pages[at] = good, good.translate(TURNED)
            os.pwrite(self.fd, self.pages[at][1], at)
        os.fsync(self.fd)

    def mend(self):
        """Back, except where it was written to since."""
        for at, (good, bad) in self.pages.items():
            if os.pread(self.fd, PAGE, at) == bad:
                os.pwrite(self.fd, good, at)
        os.fsync(self.fd)

    def close(self):
        os.close(self.fd)


TURNED = bytes(byte ^ 0xFF for byte in range(256))


class Swap(unittest.TestCase):
    def start(self, *flags, memory=f"{RAM_MIB}M,limit={LIMIT_MIB}M,sample_period=1"):
        base = os.environ.get("NEAP_TEST_DIR") or os.path.dirname(os.path.abspath(neapvm.neap_path()))
        self.dir = tempfile.mkdtemp(prefix="neap-swap-", dir=base)
        self.addCleanup(shutil.rmtree, self.dir)
        self.vm = neapvm.Vm(["--memory", f"{memory},pages={PAGES}", "--swap", self.dir, *flags])
        self.addCleanup(self.vm.close)
        self.vm.listen()
        self.vm.expect(READY)

    def memory(self):
        return self.vm.call("vm.memory")

    def state(self):
        return self.vm.call("vm.info")["state"]

    def fill(self):
        self.vm.ask(f"fill {FILL_MIB}M")
        self.vm.ask("verify")

    def test_the_numbers_add_up_while_it_swaps_and_the_trace_agrees(self):
        trace = os.path.join(tempfile.mkdtemp(dir="/dev/shm", prefix="neap-trace-"), "trace")
        self.addCleanup(shutil.rmtree, os.path.dirname(trace))
        self.start("--trace", trace)
        self.fill()
        settled = self.vm.until(lambda: self.memory()["frames"]["swapped"] >= 24 * MIB)
        self.assertTrue(settled, self.memory())
        memory = self.memory()
        self.assertEqual(sum(memory["frames"].values()), RAM_MIB * MIB)
        self.assertEqual(memory["limit_bytes"], LIMIT_MIB * MIB)
        self.assertEqual(memory["swap"]["size_bytes"], RAM_MIB * MIB)
        self.assertGreater(memory["swap"]["used_bytes"], 0)
        self.assertGreater(memory["swap"]["in_bytes"], 0)
        self.assertGreater(memory["stall_us"], 0)
        self.assertEqual((memory["swap"]["write_errors"], memory["swap"]["read_errors"]), (0, 0))
        self.assertFalse(memory["swap"]["closed"])
        self.assertTrue(self.vm.until(lambda: "sampler" in self.memory()))
        self.assertLessEqual(self.memory()["sampler"]["active_percent"], 100)
        self.vm.call("vm.pause")
        self.check_trace(trace)

    def check_trace(self, trace):
        """Nothing touches memory now; the engine may finish what it is at."""
        def agrees():
            before = self.memory()
            moves = {(move["from"], move["to"]): move["count"]
                     for move in json.loads(self.vm.neap("trace", trace, "--json"))["moves"]}
            after = self.memory()
            out = moves.get(("writing", "swapped"), 0) + moves.get(("writing", "absent"), 0)
            back = moves.get(("reading", "resident"), 0) + moves.get(("reading", "sampled"), 0)
            swapped = (moves.get(("writing", "swapped"), 0) + moves.get(("reading", "swapped"), 0) -
                       moves.get(("swapped", "reading"), 0) - moves.get(("swapped", "absent"), 0))
            self.said = (out * BLOCK, back * BLOCK, swapped * BLOCK, before)
            return before["swap"] == after["swap"] and self.said[:3] == (
                before["swap"]["out_bytes"], before["swap"]["in_bytes"], before["frames"]["swapped"])
        self.assertTrue(self.vm.until(agrees), getattr(self, "said", None))

    def test_info_and_set_show_it_to_people(self):
        self.start()
        self.fill()
        shown = self.vm.neap("info", "test")
        for words in ("Blocks of guest RAM", "only in swap", "Swap", "limit", "stalled: "):
            self.assertIn(words, shown)
        said = self.vm.neap("set", "test", "memory.limit=24M", "--wait")
        self.assertIn("limit 24 MiB, resident ", said.splitlines()[-1])
        self.assertLessEqual(self.memory()["resident_bytes"], 24 * MIB)
        self.vm.ask("verify")
        self.vm.neap("set", "test", "memory.limit=0")
        self.assertEqual(self.memory()["limit_bytes"], 0)
        refused = self.vm.neap("set", "test", "memory.limit=1M", check=False)
        self.assertIn("no guest gets on with 1M", refused.stderr)

    def is_quiet(self):
        before, after = self.memory(), self.memory()
        return before["swap"] == after["swap"] and not (after["frames"]["reading"] or after["frames"]["writing"])

    def spoil_and_touch(self):
        self.start()
        self.fill()
        self.assertTrue(self.vm.until(lambda: self.memory()["frames"]["swapped"] >= 24 * MIB))
        self.vm.call("vm.pause")
        self.assertTrue(self.vm.until(self.is_quiet))  # what is read now must not find it spoiled
        file = SwapFile(self.vm.call("vm.info")["pid"], self.dir)
        self.addCleanup(file.close)
        file.spoil()
        self.vm.call("vm.resume")
        self.vm.type("verify")
        self.vm.event("memory.unreadable")
        said = self.vm.event("vm.state", lambda data: data["state"] == "paused")
        self.assertIn("cannot be read back from swap", said["reason"])
        self.assertEqual(self.state(), "paused")
        return file

    def test_a_disk_that_spoils_a_block_pauses_the_vm_until_it_is_right_again_SW06(self):
        file = self.spoil_and_touch()
        self.assertGreater(self.memory()["swap"]["read_errors"], 0)
        file.mend()
        self.vm.event("memory.readable")
        self.vm.event("vm.state", lambda data: data["state"] == "running")
        self.assertEqual(self.vm.expect(r"ok verify .*bad_bytes=(\d+)").group(1), b"0")
        self.vm.ask("verify")

    def test_somebody_may_resume_it_and_pause_it_before_that(self):
        file = self.spoil_and_touch()
        self.assertEqual(self.vm.call("vm.resume")["state"], "running")
        self.assertEqual(self.vm.call("vm.pause")["state"], "paused")
        file.mend()
        self.vm.event("memory.readable")
        self.assertEqual(self.state(), "paused")  # somebody wants it so
        self.vm.call("vm.resume")
        self.assertEqual(self.vm.expect(r"ok verify .*bad_bytes=(\d+)").group(1), b"0")

    def test_a_reset_leaves_what_cannot_be_read_behind(self):
        self.spoil_and_touch()
        self.vm.call("vm.reset")
        self.vm.event("vm.state", lambda data: data["state"] == "running")
        self.vm.expect(READY)
        self.fill()
        self.assertEqual(self.state(), "running")

    def test_a_kill_does_not_wait_for_what_cannot_be_read(self):
        self.spoil_and_touch()
        started = time.monotonic()
        self.vm.call("vm.kill")
        self.vm.wait()
        self.assertLess(time.monotonic() - started, 2)

    def test_resets_in_the_middle_of_swapping_start_a_clean_guest(self):
        self.start()
        for _ in range(5):
            self.vm.type(f"fill {FILL_MIB}M")
            self.assertTrue(self.vm.until(lambda: self.memory()["swap"]["out_bytes"] > 0))
            self.vm.call("vm.reset")
            self.vm.expect(READY)
        self.fill()
        self.assertEqual(self.state(), "running")

    def test_pages_of_half_empty_blocks_are_returned_by_way_of_swap(self):
        self.start("--balloon", "free_page_reporting=off", memory=f"{RAM_MIB}M")
        self.vm.ask("balloon scattered")
        self.vm.ask(f"fill {FILL_MIB}M")
        self.vm.ask("free 40M scattered")
        self.vm.call("vm.memory.set", balloon_bytes=40 * MIB)
        self.vm.ask("target")
        self.assertEqual(self.memory()["taken_bytes"], 40 * MIB)

        def returned():
            memory = self.memory()
            return memory["returned_bytes"] >= 0.9 * memory["taken_bytes"]
        self.assertTrue(self.vm.until(returned, 30), self.memory())
        self.vm.ask("verify")


def main():
    global PAGES
    neapvm.need_kvm()
    if os.geteuid() != 0:
        print("skipped: only root reaches the swap file of a VM", file=sys.stderr)
        sys.exit(77)
    if len(sys.argv) > 1 and sys.argv[1] in ("4K", "2M"):
        PAGES = sys.argv.pop(1)
    base = os.environ.get("NEAP_TEST_DIR") or os.path.dirname(os.path.abspath(neapvm.neap_path()))
    kind = subprocess.run(["stat", "-f", "-c", "%T", base], capture_output=True, text=True,
                          check=False).stdout.strip()
    if kind in ("tmpfs", "ramfs", "overlayfs"):
        print(f"skipped: {base} is on {kind}; set NEAP_TEST_DIR to a directory on a disk", file=sys.stderr)
        sys.exit(77)
    unittest.main()


main()
