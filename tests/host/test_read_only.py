#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A state directory on a file system that became read-only (PR06): VMs run on, stored ones start, without a
log, nothing is half, and each refusal says why."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapd  # noqa: E402
import neapvm  # noqa: E402


class Disk(unittest.TestCase):
    def setUp(self):
        self.daemon = neapd.Daemon(start=False)
        self.addCleanup(self.daemon.close)
        self.state = self.daemon.state_home
        os.makedirs(self.state, exist_ok=True)
        self.daemon.start()

    def mount(self, *words):
        subprocess.run(["mount", *words, self.state], check=True)

    def files(self):
        """What is stored, but for logs and the lock."""
        found = {}
        for name in sorted(os.listdir(os.path.join(self.state, "neap", "vms"))):
            with open(os.path.join(self.state, "neap", "vms", name), encoding="utf-8") as file:
                found[name] = file.read()
        return found

    def check_refusals(self, words):
        daemon = self.daemon
        before = self.files()
        self.assertIn(words, str(daemon.fails("vm.create", config={"name": "two", **neapd.SMALL})))
        self.assertIn(words, str(daemon.fails("vm.update", vm="one", restart="always")))
        self.assertEqual(self.files(), before)
        self.assertEqual(daemon.vms()["one"]["restart"], "never")
        self.assertNotIn("two", daemon.vms())

    def check_life_goes_on(self, pid):
        """The VM that runs does; one that is stored starts; a transient one, too."""
        daemon = self.daemon
        self.assertEqual(daemon.vms()["running"]["pid"], pid)
        self.assertTrue(neapd.is_alive(pid))
        self.assertEqual(daemon.call("vm.info", vm="running")["state"], "running")
        daemon.call("vm.start", vm="one")
        daemon.call("vm.kill", vm="one")
        daemon.run("passing")
        daemon.call("vm.kill", vm="passing")

    def begin(self):
        self.daemon.create("one")
        self.daemon.create("running")
        return self.daemon.call("vm.start", vm="running")["pid"]

    def again(self, pid):
        """A daemon that starts now finds it all."""
        self.daemon.kill()
        self.daemon.start()
        neapd.until(lambda: self.daemon.vms().get("running", {}).get("pid") == pid)
        self.assertIn("one", self.daemon.vms())
        self.assertEqual(self.daemon.vms()["one"]["restart"], "never")

    def test_a_read_only_disk(self):
        pid = self.begin()
        self.mount("-o", "bind", self.state)
        self.mount("-o", "remount,bind,ro")
        self.addCleanup(subprocess.run, ["umount", "-l", self.state], check=False)
        self.again(pid)
        self.check_refusals("Read-only file system")
        self.assertIn("Read-only", str(self.daemon.fails("vm.delete", vm="one")))
        self.check_life_goes_on(pid)


if __name__ == "__main__":
    neapvm.need_kvm()
    neapvm.need_mounts_of_our_own("to mount a directory read-only")
    unittest.main()
