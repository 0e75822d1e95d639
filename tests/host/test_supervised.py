#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a VM tells whoever supervises it: that it runs, how it ended, and its log."""
import json
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

SMALL = ["--memory", "64M", "--pages", "4K"]
READY = "neap-bare"


class Supervised(neapvm.Vm):
    """A VM with a log, an exit record and a pipe for its first word; nothing on its console."""

    def __init__(self, flags, wrap=(), log_flags=(), name="test"):
        self.console = None
        self.read_end, write_end = os.pipe()
        os.set_inheritable(write_end, True)
        self.directory = neapvm.tempfile.mkdtemp(prefix="neap-test-")
        self.log_path, self.exit_path = self.path("vm.log"), self.path("vm.exit")
        popen = subprocess.Popen
        try:
            neapvm.subprocess.Popen = lambda *args, **more: popen(*args, pass_fds=[write_end], **more)
            super().__init__([*flags, "--log", self.log_path, *log_flags, "--exit-record",
                              self.exit_path, "--ready-fd", str(write_end)], wrap=wrap, name=name)
        finally:
            neapvm.subprocess.Popen = popen
        os.close(write_end)

    def path(self, name):
        return os.path.join(self.directory, name)

    def close(self):
        os.close(self.read_end)
        self.hang_up()
        super().close()
        neapvm.shutil.rmtree(self.directory, ignore_errors=True)

    def first_word(self):
        """All that came through the pipe until it was closed."""
        text = b""
        while True:
            data = os.read(self.read_end, 4096)
            if not data:
                return text.decode()
            text += data

    def log(self, name="vm.log"):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def record(self):
        with open(self.exit_path, encoding="utf-8") as file:
            return json.load(file)

    def tell(self, line):
        """To the guest, once it listens; its console is reached through the VM's socket."""
        if self.console is None:
            self.console = neapvm.Rpc(self.socket_path())
            self.console.call("vm.console")
        heard = self.console.buffer
        while READY.encode() not in heard:
            data = self.console.sock.recv(65536)
            if not data:
                raise AssertionError("the console ended: %r" % heard)
            heard += data
        self.console.sock.sendall(line.encode() + b"\n")

    def hang_up(self):
        if self.console:
            self.console.close()
        self.console = None


class Endings(unittest.TestCase):
    def check(self, vm, code, reason):
        self.assertEqual(vm.wait(), code)
        record = vm.record()
        self.assertEqual(record["exit_code"], code)
        self.assertIn(reason, record["reason"])
        self.assertEqual(record["pid"], vm.process.pid)
        self.assertRegex(record["uuid"], "^[0-9a-f-]{36}$")
        self.assertRegex(record["ended"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(os.listdir(os.path.dirname(vm.exit_path)).count(".vm.exit.new"), 0)

    def test_a_vm_says_that_it_runs_once_its_socket_answers(self):
        with Supervised(SMALL) as vm:
            self.assertEqual(vm.first_word(), "+")
            self.assertEqual(vm.call("vm.info")["state"], "running")
            self.assertFalse(os.path.exists(vm.exit_path))
            vm.call("vm.kill")
            self.check(vm, 7, "killed on request")

    def test_every_signal_that_ends_it_is_in_the_record(self):
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
            with Supervised(SMALL) as vm:
                self.assertEqual(vm.first_word(), "+")
                vm.process.send_signal(number)
                self.check(vm, 7, "ended by signal %d" % number)

    def test_what_the_guest_does_is_in_the_record(self):
        for command, code, reason in (("poweroff", 0, "powered off"), ("exit 3", 67, "error status"),
                                      ("fault", 6, "triple fault")):
            with Supervised(SMALL) as vm:
                self.assertEqual(vm.first_word(), "+")
                vm.tell(command)
                self.check(vm, code, reason)

    def test_a_start_that_fails_says_why_in_all_three_places(self):
        with Supervised(["--memory", "64M", "--hugetlbfs", "/proc"]) as vm:
            sentence = vm.first_word()
            self.assertIn("not a hugetlbfs mount", sentence)
            self.check(vm, 3, sentence)
            self.assertIn(sentence, vm.log())

    def test_a_configuration_that_makes_no_sense_too(self):
        with Supervised([*SMALL, "--initrd", "/dev/null"]) as vm:
            self.assertIn("boot.initrd", vm.first_word())
            self.check(vm, 2, "boot.initrd")

    def test_two_vms_of_one_name_too(self):
        with Supervised(SMALL) as vm:
            vm.first_word()
            other = vm.path("other.exit")
            again = vm.neap("run", "--name", vm.name, *SMALL, "--detach", "--exit-record", other,
                            check=False)
            self.assertNotEqual(again.returncode, 0)
            with open(other, encoding="utf-8") as file:
                self.assertIn("already runs", json.load(file)["reason"])

    def test_a_record_of_an_earlier_vm_goes_at_the_start(self):
        with Supervised(SMALL) as vm:
            vm.first_word()
            stale = vm.path("stale.exit")
            with open(stale, "w", encoding="utf-8") as file:
                file.write('{"exit_code": 0, "reason": "long ago"}')
            with open(os.devnull, "w", encoding="utf-8") as nowhere:
                other = subprocess.Popen([neapvm.neap_path(), "run", "--name", "other", *SMALL,
                                          "--log", vm.path("o.log"), "--exit-record", stale],
                                         env=vm.env, stderr=nowhere)
            vm.until(lambda: not os.path.exists(stale))
            self.assertFalse(os.path.exists(stale))
            other.kill()
            other.wait()
            self.assertFalse(os.path.exists(stale))

    def test_a_killed_process_leaves_none(self):
        with Supervised(SMALL) as vm:
            vm.first_word()
            vm.process.kill()
            self.assertEqual(vm.wait(), -signal.SIGKILL)
            self.assertFalse(os.path.exists(vm.exit_path))

    def test_a_full_place_for_the_record_holds_nobody_up(self):
        if os.geteuid() != 0:
            self.skipTest("mounts nothing: not root")
        with Supervised(SMALL) as vm:
            full = vm.path("full")
            os.mkdir(full)
            script = ("mount -t tmpfs -o size=4k none '%s' && cat /dev/zero > '%s/filler' 2>/dev/null;"
                      "exec \"$@\"" % (full, full))
            done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", neapvm.neap_path(), "run",
                                   "--memory", "64M", "--hugetlbfs", "/proc", "--exit-record",
                                   full + "/x.exit", "--log", full + "/x.log"], env=vm.env,
                                  stderr=subprocess.DEVNULL, check=False)
            self.assertEqual(done.returncode, 3)


class Logs(unittest.TestCase):
    def test_lines_have_a_time_and_an_earlier_log_stays(self):
        with Supervised(SMALL) as vm:
            vm.first_word()
            vm.call("vm.kill")
            vm.wait()
            self.assertRegex(vm.log(), r"(?m)^20\S+T\S+\.\d{3}Z test: info: vm: running$")
            self.assertRegex(vm.log(), r"(?m)^20\S+ test: info: vm: stopped: killed on request$")
            done = subprocess.run([neapvm.neap_path(), "run", "--memory", "64M", "--hugetlbfs", "/proc",
                                   "--log", vm.log_path], env=vm.env, capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (3, b"", b""))
            self.assertIn("killed on request", vm.log())
            self.assertIn("not a hugetlbfs mount", vm.log())

    def test_a_guest_that_crashes_for_ever_does_not_fill_the_disk(self):
        with Supervised([*SMALL, "--on-crash", "restart"],
                        log_flags=["--log-size", "4K", "--log-keep", "2"]) as vm:
            vm.first_word()
            vm.listen()
            for _ in range(40):
                vm.tell("fault")
                vm.event("vm.reset")
                vm.hang_up()
                if os.path.exists(vm.path("vm.log.2")):
                    break
            names = sorted(name for name in os.listdir(vm.directory) if name.startswith("vm.log"))
            self.assertEqual(names, ["vm.log", "vm.log.1", "vm.log.2"])
            for name in names[1:]:
                self.assertLess(os.path.getsize(vm.path(name)), 4096 + 4096)
            self.assertIn("crashed", vm.log("vm.log.1"))

    def test_a_vm_in_the_background_takes_the_same_flags(self):
        with Supervised(SMALL) as vm:
            log, record = vm.path("b.log"), vm.path("b.exit")
            self.assertEqual(vm.neap("run", *SMALL, "--name", "back", "--detach", "--log", log,
                                     "--exit-record", record), "back\n")
            vm.neap("kill", "back")
            vm.until(lambda: os.path.exists(record))
            with open(record, encoding="utf-8") as file:
                self.assertEqual(json.load(file)["exit_code"], 7)
            with open(log, encoding="utf-8") as file:
                self.assertIn("killed on request", file.read())

    def test_wrong_flags_are_refused_in_words(self):
        for flags, words in (
                (["--log-size", "4M"], "need --log FILE"),
                (["--log", "/nonexistent/x"], "/nonexistent/x: No such file or directory"),
                (["--log", "/dev/full"], "not a regular file"),
                (["--log", "/tmp/"], "Is a directory"),
                (["--log", "/tmp/x", "--log-size", "1"], "--log-size takes a size from 4K to 1G"),
                (["--log", "/tmp/x", "--log-size", "much"], "--log-size takes a size"),
                (["--log", "/tmp/x", "--log-keep", "100"], "--log-keep takes a number from 0 to 99"),
                (["--log", "/tmp/x", "--log-keep", "-1"], "--log-keep takes a number"),
                (["--exit-record", "/nonexistent/x"], "the directory of the exit record"),
                (["--exit-record", "/tmp/"], "not the path of a file"),
                (["--ready-fd", "99"], "--ready-fd takes the number of an open file"),
                (["--ready-fd", "1"], "--ready-fd takes the number"),
                (["--ready-fd", "0x3"], "--ready-fd takes the number"),
                (["--ready-fd", "3", "--detach"], "leave out one of the two")):
            done = subprocess.run([neapvm.neap_path(), "run", *SMALL, *flags], capture_output=True,
                                  env=dict(os.environ, XDG_RUNTIME_DIR="/nonexistent"), check=False)
            self.assertIn(done.returncode, (1, 2), flags)
            self.assertIn(words, done.stderr.decode())

    def test_a_link_in_place_of_the_log_is_not_followed(self):
        with Supervised(SMALL) as vm:
            os.symlink(vm.path("precious"), vm.path("link"))
            done = subprocess.run([neapvm.neap_path(), "run", *SMALL, "--log", vm.path("link")],
                                  env=vm.env, capture_output=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertFalse(os.path.exists(vm.path("precious")))


if __name__ == "__main__":
    neapvm.need_kvm()
    unittest.main()
