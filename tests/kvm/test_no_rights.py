#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""neap for a user who may use /dev/kvm and not userfaultfd: it runs, and says what it cannot do and why.

The user is nobody, in a mount namespace where /dev/kvm is everybody's. Run it through
tests/tools/with-hugepages 24.
"""
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

READY = "neap-bare"
NOBODY = 65534
AS_NOBODY = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"]
ENDS_FOR_LACK = 3
MISSING = "no right to use userfaultfd"
VM_MIB = 32


def copy_of_neap():
    """Somewhere nobody can reach it."""
    place = tempfile.mkdtemp(prefix="neap-nobody-")
    os.chmod(place, 0o755)
    shutil.copy(neapvm.neap_path(), os.path.join(place, "neap"))
    return place


class NoRights(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = copy_of_neap()
        cls.addClassCleanup(shutil.rmtree, cls.place)
        os.environ["NEAP"] = os.path.join(cls.place, "neap")

    def start(self, *flags, name="test"):
        vm = neapvm.Vm(list(flags), name=name, wrap=[
            "sh", "-c", 'chown -R %d "$XDG_RUNTIME_DIR"; exec "$@"' % NOBODY, "sh", *AS_NOBODY])
        self.addCleanup(vm.close)
        return vm

    def test_huge_memory_is_reserved_and_the_vm_runs(self):
        vm = self.start("--memory", "%dM" % VM_MIB)
        vm.expect(READY)
        self.assertEqual(vm.call("vm.memory")["resident_bytes"], VM_MIB << 20)
        info = vm.call("vm.info")
        self.assertFalse(info["pager"])
        self.assertIn(MISSING, info["pager_reason"])
        self.assertIn("to mend it: sudo ", info["pager_reason"])
        vm.ask("fill 16M")
        vm.ask("verify")
        self.assertIn(MISSING, vm.call("vm.info")["pager_reason"])
        vm.call("vm.reset")
        vm.expect(READY)
        self.assertEqual(vm.call("vm.memory")["resident_bytes"], VM_MIB << 20)
        vm.call("vm.kill")
        self.assertEqual(vm.wait(), 7)

    def test_too_few_pages_is_an_error_that_says_why_they_are_needed(self):
        too_many = neapvm.free_huge_pages() + 4096
        vm = self.start("--memory", "%dM" % (2 * too_many))
        self.assertEqual(vm.wait(), ENDS_FOR_LACK)
        errors = vm.errors()
        self.assertIn("has to be reserved (" + MISSING, errors)
        self.assertIn("not enough huge pages: %d of 2 MiB needed" % too_many, errors)

    def test_doctor_says_what_is_missing_and_what_mends_it(self):
        """It ends with an error, or not, for other reasons as well."""
        done = subprocess.run([*AS_NOBODY, neapvm.neap_path(), "doctor"], stdout=subprocess.PIPE,
                              text=True, check=False)
        said = " ".join(done.stdout.split())
        self.assertIn(MISSING, said)
        self.assertIn("sysctl vm.unprivileged_userfaultfd=1", said)

    def test_small_memory_needs_no_rights(self):
        vm = self.start("--memory", "64M", "--pages", "4K")
        vm.expect(READY)
        self.assertLess(vm.call("vm.memory")["resident_bytes"], 16 << 20)
        vm.ask("fill 16M")
        vm.ask("verify")
        info, memory = vm.call("vm.info"), vm.call("vm.memory")
        self.assertFalse(info["pager"])
        self.assertIn(MISSING, info["pager_reason"])
        self.assertIn("sudo ", info["pager_reason"])
        self.assertGreaterEqual(memory["frames"]["resident"], 16 << 20)
        self.assertEqual(sum(memory["frames"].values()), 64 << 20)

    def test_swap_is_refused_with_what_mends_it(self):
        usage = subprocess.run([neapvm.neap_path(), "run", "--help"], stdout=subprocess.PIPE, text=True,
                               check=True).stdout
        if "--swap " not in usage:
            self.skipTest("this neap has no --swap")
        vm = self.start("--memory", "%dM" % VM_MIB, "--swap", "/tmp")
        self.assertEqual(vm.wait(), ENDS_FOR_LACK)
        errors = vm.errors()
        self.assertIn(MISSING, errors)
        self.assertIn("sudo ", errors)


def open_kvm_to_everybody():
    """In our own mount namespace."""
    node = "/mnt/kvm"
    subprocess.run(["mount", "-t", "tmpfs", "none", "/mnt"], check=True)
    os.mknod(node, stat.S_IFCHR | 0o666, os.stat("/dev/kvm").st_rdev)
    os.chmod(node, 0o666)
    subprocess.run(["mount", "--bind", node, "/dev/kvm"], check=True)


def may_still():
    """Why this machine's nobody is no example; None when it is."""
    with open("/proc/sys/vm/unprivileged_userfaultfd") as file:
        if file.read().strip() != "0":
            return "everybody may use userfaultfd here (vm.unprivileged_userfaultfd)"
    code = subprocess.run([*AS_NOBODY, "test", "-w", "/dev/userfaultfd"], stderr=subprocess.DEVNULL, check=False)
    return "everybody may use /dev/userfaultfd here" if code.returncode == 0 else None


if __name__ == "__main__":
    neapvm.need_kvm()
    neapvm.need_mounts_of_our_own("to become nobody")
    open_kvm_to_everybody()
    if may_still():
        neapvm.skip(may_still())
    neapvm.need_huge_pages(VM_MIB // 2)
    unittest.main(verbosity=2, warnings="ignore")
