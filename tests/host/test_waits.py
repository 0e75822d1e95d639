#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Starts for which there is no memory: refused with the numbers, or waiting until there is. Through
tests/tools/with-hugepages, which gives the pool pages."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapd  # noqa: E402
import neapvm  # noqa: E402

NO_MEMORY, STATE, DEADLINE = 8, 1, 7


def huge(mib, **more):
    return {"memory": {"maximum": "%dM" % mib, "pages": "2M", "ahead": 0, **more}}


class Waits(unittest.TestCase):
    def setUp(self):
        self.daemon = neapd.Daemon()
        self.addCleanup(self.daemon.close)

    def test_what_does_not_fit_is_refused_with_the_numbers(self):
        daemon = self.daemon
        daemon.create("big", config=huge(1023 << 10))
        error = daemon.fails("vm.start", vm="big")
        self.assertEqual(error.code, NO_MEMORY)
        self.assertIn("1023 GiB", str(error))
        self.assertEqual(daemon.state("big"), "stopped")
        self.assertIn("1023 GiB", daemon.vms()["big"]["reason"])
        error = daemon.fails("vm.run", config={"name": "b2", **huge(1023 << 10)})
        self.assertEqual(error.code, NO_MEMORY)
        self.assertNotIn("b2", daemon.vms())

    def test_what_waits_starts_when_there_is_room_and_in_its_turn(self):
        daemon = self.daemon
        holder = neapvm.free_huge_pages() * 2 * 3 // 4 // 2 * 2
        daemon.run("holder", config=huge(holder, reserve=True))
        daemon.listen()
        daemon.create("late", config=huge(holder))
        self.assertEqual(daemon.fails("vm.start", vm="late").code, NO_MEMORY)
        error = daemon.fails("vm.start", vm="late", wait=True, deadline_ms=200)
        self.assertEqual(error.code, DEADLINE)
        self.assertEqual(daemon.event("vm.waits", "late")["data"]["startup_bytes"], holder << 20)
        vm = daemon.vms()["late"]
        self.assertEqual(vm["state"], "pending")
        self.assertNotIn("pid", vm)
        waiting = [row["vm"] for pool in daemon.call("host.pools")["pools"] for row in pool["waiting"]]
        self.assertEqual(waiting, ["late"])
        self.assertEqual(daemon.fails("vm.delete", vm="late").code, STATE)
        daemon.call("vm.kill", vm="holder")
        daemon.event("vm.started", "late")  # what was begun went on
        daemon.until_state("late", "running")

    def test_what_the_daemon_itself_waits_to_start_outlives_it(self):
        daemon = self.daemon
        holder = neapvm.free_huge_pages() * 2 * 3 // 4 // 2 * 2
        daemon.create("late", config=huge(holder), autostart=True)
        daemon.run("holder", config=huge(holder, reserve=True))
        daemon.stop()
        os.unlink(os.path.join(daemon.runtime, "booted"))
        for _ in range(2):
            daemon.start()
            daemon.until_state("late", "pending")
            daemon.kill()
        daemon.start()
        daemon.listen()
        daemon.call("vm.kill", vm="holder")
        daemon.event("vm.started", "late")

    def test_what_waits_can_be_stopped_and_is_forgotten_if_transient(self):
        daemon = self.daemon
        holder = neapvm.free_huge_pages() * 2 * 3 // 4 // 2 * 2
        daemon.run("holder", config=huge(holder, reserve=True))
        daemon.create("late", config=huge(holder))
        for name, method, params in (("late", "vm.start", {"vm": "late"}),
                                     ("brief", "vm.run", {"config": {"name": "brief", **huge(holder)}})):
            self.assertEqual(daemon.fails(method, wait=True, deadline_ms=100, **params).code, DEADLINE)
            self.assertEqual(daemon.state(name), "pending")
            self.assertEqual(daemon.call("vm.stop", vm=name), {"state": "stopped"})
        self.assertEqual(daemon.state("late"), "stopped")
        self.assertNotIn("brief", daemon.vms())
        waiting = [row for pool in daemon.call("host.pools")["pools"] for row in pool["waiting"]]
        self.assertEqual(waiting, [])


if __name__ == "__main__":
    neapvm.need_kvm()
    neapvm.need_huge_pages(64)
    unittest.main()
