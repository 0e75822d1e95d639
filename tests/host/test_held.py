#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests that take all they can get, on a pool that is too small for them, under a daemon: they wait at their
grants, the others have what they were promised, and whoever may have more has it at once.

The pool is a hugetlbfs mount of POOL_MIB in a mount namespace of our own. Run it through
tests/tools/with-hugepages 96.
"""
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapd  # noqa: E402
import neapvm  # noqa: E402

MIB = 2 ** 20
POOL = "/mnt"  # in our own namespace
POOL_MIB, FRAME_MIB = 192, 2
GREEDY_MIB, MODEST_MIB, MODEST_FLOOR_MIB = 176, 128, 72
SERVED_S = 0.1
SILENT_S = 10  # machine/grant_glue.c


def until(condition, patience_s=neapvm.PATIENCE_S, what="what was waited for"):
    return neapd.until(condition, patience_s, what)


def config(maximum_mib, **more):
    return {"memory": {"maximum": "%dM" % maximum_mib, "minimum": "64M", "startup": "64M", "pages": "2M",
                       "hugetlbfs": POOL, "ahead": 0}, **more}


class Held(unittest.TestCase):
    def setUp(self):
        subprocess.run(["mount", "-t", "hugetlbfs", "-o", "size=%dM,pagesize=2M" % POOL_MIB, "none", POOL],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", POOL], check=True)
        self.daemon = neapd.Daemon()
        self.addCleanup(self.daemon.close)

    # --- the books ---

    def pool(self):
        pools = self.daemon.call("host.pools")["pools"]
        pool = next(pool for pool in pools if pool["name"] == POOL)
        unheld = sum(max(0, vm["grant_bytes"] - vm["held_bytes"]) for vm in pool["vms"])
        self.assertLessEqual(unheld, max(0, pool["free_bytes"] - pool["marks"]["soft_bytes"]), pool)
        self.assertEqual(sum(vm["held_bytes"] for vm in pool["vms"]), pool["used_bytes"])
        return pool

    def row(self, name):
        return next(vm for vm in self.pool()["vms"] if vm["vm"] == name)

    def held_mib(self, name):
        """What it holds itself says, and is never more than it may hold."""
        memory = self.daemon.call("vm.memory", vm=name)
        self.assertLessEqual(memory["resident_bytes"], memory["grant_most_bytes"] + FRAME_MIB * MIB)
        return memory["resident_bytes"] / MIB

    def answer(self, console, word):
        text = b""
        while word not in text:
            text += console.recv(65536)
            self.assertNotIn(b"error", text)
        return text

    def a_greedy_one_without_a_balloon(self, want_mib=GREEDY_MIB - 8):
        self.daemon.listen()
        self.daemon.call("vm.run", config={"name": "greedy", **config(GREEDY_MIB, balloon={"enabled": False})})
        console = self.daemon.type("greedy", "fill %dM" % want_mib)
        return console

    def a_modest_one(self, name="modest"):
        self.daemon.call("vm.run", config={"name": name, **config(MODEST_MIB)})

    def is_held(self, name="greedy"):
        return self.row(name)["waits"]

    def greedy_waits(self):
        self.daemon.event("memory.famine", "greedy", lambda data: data["cause"] == "grant")
        self.daemon.until_state("greedy", "waiting")

    # --- tests ---

    def test_one_that_takes_all_waits_and_another_finds_what_it_was_promised(self):
        daemon = self.daemon
        self.a_modest_one()
        console = self.a_greedy_one_without_a_balloon()
        self.greedy_waits()
        before = self.held_mib("greedy")
        pool = self.pool()
        left = POOL_MIB - before - pool["marks"]["soft_bytes"] / MIB
        self.assertGreaterEqual(left, MODEST_FLOOR_MIB - FRAME_MIB)  # the minimum is there, held or not
        self.assertGreater(before, POOL_MIB / 3)
        row = daemon.vms()["greedy"]
        self.assertEqual((row["state"], row["usage"]["waits_for"]), ("waiting", 1))
        self.assertIn("over its grant", row["reason"])
        host = subprocess.run([neapvm.neap_path(), "host"], env=daemon.env, capture_output=True, text=True,
                              check=True).stdout
        self.assertIn("waits: its guest touched more", host)
        daemon.listen()
        began = time.monotonic()
        self.answer(daemon.type("modest", "fill 56M"), b"ok fill")
        took = time.monotonic() - began
        starved = daemon.vms()["modest"]["usage"]["starved_us"]
        print("modest filled 56 MiB in %.2f s beside one that waits with %d MiB; the pool made it wait %d us" %
              (took, before, starved))
        self.assertEqual(starved, 0)
        self.assertLessEqual(self.held_mib("greedy"), before + FRAME_MIB)
        daemon.call("vm.kill", vm="modest")  # it leaves: the greedy one has all
        self.answer(console, b"ok fill")
        daemon.until_state("greedy", "running")
        console.sendall(b"verify\n")
        self.answer(console, b"bad_bytes=0")

    def test_a_held_one_can_be_paused_reset_and_killed(self):
        daemon = self.daemon
        self.a_modest_one()
        self.a_greedy_one_without_a_balloon()
        self.greedy_waits()
        self.assertEqual(daemon.call("vm.pause", vm="greedy"), {"state": "paused"})
        daemon.call("vm.resume", vm="greedy")
        self.assertEqual(daemon.call("vm.info", vm="greedy")["state"], "waiting")
        daemon.call("vm.reset", vm="greedy")
        self.answer(daemon.type("greedy", "fill 16M"), b"ok fill")
        daemon.listen()
        daemon.type("greedy", "fill 140M")
        self.greedy_waits()
        daemon.call("vm.kill", vm="greedy")
        until(lambda: "greedy" not in daemon.vms(), what="its end")
        until(lambda: [vm["vm"] for vm in self.pool()["vms"]] == ["modest"], what="its row's end")

    def test_where_there_is_room_a_grant_is_raised_before_anybody_notices(self):
        """On ordinary memory, of which there is plenty. Nothing is lent, since one VM wants all: so each step of
        the other has to be granted, and it grows faster than its statistics tell."""
        daemon = self.daemon
        daemon.run("grows", config={"memory": {"maximum": "1G", "startup": "232M", "pages": "4K"}})
        console = daemon.type("grows", "stat")
        daemon.run("hog", config={"memory": {"maximum": "1000G", "startup": "64M", "pages": "4K"},
                                  "balloon": {"enabled": False}})
        until(lambda: daemon.vms()["grows"]["usage"].get("grant_bytes", 0) in range(1, 300 * MIB), what="scarcity")
        link = neapvm.Rpc(os.path.join(daemon.top, "neap", "grows.sock"))
        link.call("events.subscribe", kinds=["memory.usage", "memory.famine"])
        console.sendall(b"fill 600M\n")
        self.answer(console, b"ok fill")
        over_us = link.call("vm.memory")["over_grant_us"]
        waits = [event["data"] for event in link.events if event["data"].get("waits_for") == 1]
        link.close()
        print("600 MiB from 232: held %d times, %.1f ms in all" % (len(waits), over_us / 1e3))
        self.assertGreaterEqual(len(waits), 2)
        self.assertLess(over_us / len(waits), SERVED_S * 1e6)

    def test_a_vm_that_starts_holds_no_more_than_it_was_admitted_with(self):
        """Before the daemon has told it anything: its guest fills all it has at once."""
        self.a_modest_one("other")
        self.daemon.call("vm.run", config={"name": "fast", **config(
            MODEST_MIB, boot={"cmdline": 'run="fill 110M"'})})
        first = self.daemon.call("vm.memory", vm="fast")
        self.assertGreaterEqual(first["policy"]["grant_bytes"], 64 * MIB)
        self.assertLessEqual(first["grant_most_bytes"], first["policy"]["grant_bytes"] * 9 // 8)
        began = time.monotonic()
        while time.monotonic() - began < 1:
            self.held_mib("fast")
            self.pool()

    def test_a_daemon_that_is_killed_leaves_nobody_waiting_for_ever(self):
        daemon = self.daemon
        self.a_modest_one()
        console = self.a_greedy_one_without_a_balloon()
        self.greedy_waits()
        pid = daemon.vms()["modest"]["pid"]
        daemon.kill()
        began = time.monotonic()
        os.kill(pid, 9)  # and its memory is free: nobody is there to grant it
        self.answer(console, b"ok fill")
        took = time.monotonic() - began
        print("went on %.1f s after the daemon was killed" % took)
        self.assertGreater(took, SILENT_S / 2)
        self.assertLess(took, 2 * SILENT_S)
        daemon.start()
        until(lambda: "greedy" in daemon.vms(), what="its adoption")
        usage = until(lambda: [usage for usage in [daemon.vms()["greedy"].get("usage", {})]
                               if usage.get("grant_bytes")], what="a grant of the new one")[0]
        self.assertGreaterEqual(usage["grant_bytes"], usage["resident_bytes"] - FRAME_MIB * MIB)

    def test_a_daemon_that_comes_back_in_time_is_believed(self):
        daemon = self.daemon
        self.a_modest_one()
        console = self.a_greedy_one_without_a_balloon()
        self.greedy_waits()
        held = self.held_mib("greedy")
        daemon.kill()
        daemon.start()
        until(lambda: set(daemon.vms()) == {"greedy", "modest"}, what="adoption")
        until(lambda: self.pool()["vms"] and self.is_held(), what="its word that it waits")
        time.sleep(SILENT_S + 2)  # it waits on: it was heard
        self.assertLessEqual(self.held_mib("greedy"), held + FRAME_MIB)
        daemon.call("vm.kill", vm="modest")
        self.answer(console, b"ok fill")


if __name__ == "__main__":
    neapvm.need_kvm()
    neapvm.need_huge_pages(POOL_MIB // 2)
    neapvm.need_mounts_of_our_own("for a hugetlbfs mount of its own")
    unittest.main(verbosity=2, warnings="ignore")
