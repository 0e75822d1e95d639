#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a daemon does when something around it is wrong: VMs that hang, disks that are full, another daemon,
systemd, a machine that stood still.

PR06. The wall clock cannot be set in a test. That no decision hangs on it is tested in two ways: nothing that the
daemon is made of asks for it but what writes a time for people to read; and a daemon that did not run for a
while (SIGSTOP: to monotonic timers the same as a suspended machine) takes nobody for silent.
"""
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapd  # noqa: E402
import neapvm  # noqa: E402

INTERNAL, STATE, SILENT = -32603, 1, 9
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src")


class OneDaemon(unittest.TestCase):
    flags = ("--silent", "1")

    def setUp(self):
        self.daemon = neapd.Daemon(self.flags)
        self.addCleanup(self.daemon.close)


class Hanging(OneDaemon):
    def test_a_stopped_vm_is_silent_and_the_others_do_not_notice(self):
        daemon = self.daemon
        pid = daemon.run("one")["pid"]
        daemon.run("two")
        daemon.listen()
        os.kill(pid, signal.SIGSTOP)
        data = daemon.event("vm.silent", "one")["data"]
        self.assertGreaterEqual(data["silent_ms"], 1000)
        vm = daemon.vms()["one"]
        self.assertEqual((vm["state"], vm["pid"]), ("silent", pid))
        began = time.monotonic()
        self.assertEqual(daemon.fails("vm.memory", vm="one").code, SILENT)
        self.assertEqual(daemon.fails("vm.console", vm="one").code, SILENT)
        self.assertEqual(daemon.call("vm.info", vm="one")["state"], "silent")
        results = daemon.call("vm.memory", selector="all")["results"]
        self.assertEqual([("result" in row) for row in results], [False, True])
        self.assertLess(time.monotonic() - began, 5)
        os.kill(pid, signal.SIGCONT)
        self.assertGreaterEqual(daemon.event("vm.answers", "one")["data"]["silent_ms"], 1000)
        self.assertEqual(daemon.state("one"), "running")
        self.assertIn("policy", daemon.call("vm.memory", vm="one"))

    def test_a_stopped_vm_can_be_killed(self):
        daemon = self.daemon
        daemon.create("one", restart="always")
        for silent in True, False:
            pid = daemon.call("vm.start", vm="one")["pid"]
            os.kill(pid, signal.SIGSTOP)
            if silent:
                daemon.until_state("one", "silent")
            self.assertEqual(daemon.call("vm.kill", vm="one"), {"state": "stopped"})
            self.assertFalse(neapd.is_alive(pid))
            self.assertEqual(daemon.state("one"), "stopped")

    def test_a_vm_without_its_socket_is_silent_for_the_next_daemon_and_can_be_killed(self):
        daemon = self.daemon
        pid = daemon.run("one")["pid"]
        path = os.path.join(daemon.top, "neap", "one.sock")
        daemon.kill()
        os.unlink(path)
        wedged = socket.socket(socket.AF_UNIX)  # somebody else listens there, and says nothing
        wedged.bind(path)
        wedged.listen(8)
        self.addCleanup(wedged.close)
        daemon.start()
        daemon.until_state("one", "silent")
        self.assertEqual(daemon.vms()["one"]["pid"], pid)
        daemon.call("vm.kill", vm="one")
        self.assertFalse(neapd.is_alive(pid))

    def test_a_killed_vm_leaves_nothing_behind(self):
        daemon = self.daemon
        daemon.listen()
        for _ in range(3):
            pid = daemon.run("one")["pid"]
            os.kill(pid, signal.SIGKILL)
            ended = daemon.event("vm.ended", "one")["data"]
            self.assertNotIn("exit_code", ended)
            self.assertIn("9", ended["reason"])
            self.assertEqual(daemon.vms(), {})
        pools = daemon.call("host.pools")["pools"]
        self.assertEqual([row for pool in pools for row in pool["vms"]], [])

    def test_a_vm_that_ends_while_it_is_asked_says_so(self):
        daemon = self.daemon
        pid = daemon.run("one")["pid"]
        os.kill(pid, signal.SIGSTOP)
        asking = neapvm.Rpc(daemon.socket())
        asking.sock.sendall(b'{"jsonrpc":"2.0","id":1,"method":"vm.pause","params":{"vm":"one"}}\n')
        daemon.call("host.info")
        os.kill(pid, signal.SIGKILL)
        answer = asking._message(time.monotonic() + neapd.PATIENCE_S)
        self.assertIn(answer["error"]["code"], (STATE, SILENT))
        asking.close()

    def test_one_update_of_a_vm_at_a_time(self):
        daemon = self.daemon
        pid = daemon.run("one")["pid"]
        os.kill(pid, signal.SIGSTOP)
        asking = neapvm.Rpc(daemon.socket())
        for number, weight in (1, 5), (2, 6):
            asking.sock.sendall(b'{"jsonrpc":"2.0","id":%d,"method":"vm.update","params":{"vm":"one",'
                                b'"labels":{"a":"%d"},"set":{"memory.weight":%d}}}\n' % (number, number, weight))
        answer = asking._message(time.monotonic() + neapd.PATIENCE_S)
        self.assertEqual((answer["id"], answer["error"]["code"]), (2, 11))
        os.kill(pid, signal.SIGCONT)
        answer = asking._message(time.monotonic() + neapd.PATIENCE_S)
        self.assertEqual(answer["result"]["live"], ["memory.weight", "label.a"])
        self.assertEqual(daemon.vms()["one"]["labels"], {"a": "1"})
        asking.close()
        daemon.call("vm.update", vm="one", labels={"b": "2"})
        self.assertEqual(daemon.vms()["one"]["labels"], {"a": "1", "b": "2"})

    def test_a_client_that_leaves_hurts_no_answer(self):
        daemon = self.daemon
        daemon.create("one")
        for method, params in ("vm.start", '{"vm":"one"}'), ("vm.kill", '{"vm":"one"}'):
            leaving = neapvm.Rpc(daemon.socket())
            leaving.sock.sendall(b'{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}\n' %
                                 (method.encode(), params.encode()))
            leaving.close()
            daemon.until_state("one", "running" if method == "vm.start" else "stopped")


class StandingStill(OneDaemon):
    def test_a_daemon_that_was_stopped_takes_nobody_for_silent(self):
        daemon = self.daemon
        for name in "one", "two":
            daemon.run(name)
        seq = daemon.listen()["seq"]
        os.kill(daemon.process.pid, signal.SIGSTOP)
        time.sleep(3.5)  # more than it lets a VM be silent for
        os.kill(daemon.process.pid, signal.SIGCONT)
        time.sleep(2.2)  # and two of its ticks
        daemon.create("last")
        daemon.listen(after=seq)
        kinds = []
        while "vm.created" not in kinds:
            kinds.append(daemon._events._message(time.monotonic() + neapd.PATIENCE_S)["params"]["kind"])
        self.assertNotIn("vm.silent", kinds)

    def test_nothing_decides_by_the_wall_clock(self):
        wall = re.compile(r"CLOCK_REALTIME|\bgettimeofday\(|\btime\(NULL|\bmktime\(|\blocaltime|uv_gettimeofday")
        found = set()
        for room in "host", "rpc", "api", "base", "config":
            for name in os.listdir(os.path.join(SOURCES, room)):
                if name.endswith((".c", ".h")):
                    with open(os.path.join(SOURCES, room, name), encoding="utf-8") as file:
                        if wall.search(file.read()):
                            found.add("%s/%s" % (room, name))
        # These write a time for people beside what they tell, or into a name.
        allowed = {"rpc/server.c", "config/exit_record.c", "base/log.c", "host/store.c", "host/page.c"}
        self.assertEqual(found - allowed, set())


class Disks(unittest.TestCase):
    """State directories on a disk of their own (root, in a mount namespace)."""

    def setUp(self):
        self.daemon = neapd.Daemon(start=False)
        self.addCleanup(self.daemon.close)
        self.disk = os.path.join(self.daemon.state_home, "neap")
        os.makedirs(self.disk, mode=0o700)

    def mount(self):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "none", self.disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk], check=False)

    def fill(self):
        path = os.path.join(self.disk, "filler")
        with open(path, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 1024)
            except OSError:
                pass
        return path

    def refuses_and_goes_on(self):
        daemon = self.daemon
        error = daemon.fails("vm.create", config=daemon.config("late"))
        self.assertEqual(error.code, INTERNAL)
        error = daemon.fails("vm.update", vm="one", set={"memory.weight": 77}, labels={"x": "y"})
        self.assertEqual(error.code, INTERNAL)
        vms = daemon.vms()
        self.assertEqual((list(vms), vms["one"]["labels"], vms["one"]["state"]), (["one"], {"a": "b"}, "running"))
        neapd.until(lambda: daemon.call("vm.memory", vm="one")["policy"]["weight"] == 1000, what="the old weight")
        self.assertEqual(daemon.call("vm.pause", vm="one"), {"state": "paused"})
        self.assertEqual(daemon.call("vm.resume", vm="one"), {"state": "running"})
        daemon.run("brief")
        daemon.call("vm.kill", vm="brief")

    def began(self):
        self.daemon.start()
        self.daemon.create("one", {"a": "b"})
        return self.daemon.call("vm.start", vm="one")["pid"]

    def ends_well(self, pid):
        daemon = self.daemon
        daemon.create("late")
        daemon.kill()
        daemon.start()
        vms = daemon.vms()
        self.assertEqual((list(vms), vms["one"]["pid"], vms["one"]["labels"]), (["late", "one"], pid, {"a": "b"}))
        self.assertEqual(daemon.call("host.info")["set_aside"], [])

    def test_a_full_disk_is_said_and_nothing_is_half(self):
        self.mount()
        pid = self.began()
        path = self.fill()
        self.refuses_and_goes_on()
        self.daemon.kill()
        self.daemon.start()  # also with a disk that is full
        self.assertEqual(self.daemon.vms()["one"]["pid"], pid)
        os.unlink(path)
        self.ends_well(pid)

    def test_directories_that_take_nothing_more_are_said_and_nothing_is_half(self):
        """A file system that the kernel made read-only, as near as a test may come: VMs write their logs, and the
        daemon can neither make, replace nor remove a file."""
        pid = self.began()
        hard = [os.path.join(self.disk, "vms"), self.disk]
        if any(subprocess.run(["chattr", "+i", path], check=False).returncode for path in hard):
            self.skipTest("this file system knows no immutable directories")
        try:
            self.refuses_and_goes_on()
            self.assertEqual(self.daemon.fails("vm.delete", selector="").code, -32602)
            self.daemon.kill()
            self.daemon.start()
            self.assertEqual(self.daemon.vms()["one"]["pid"], pid)
        finally:
            for path in hard:
                subprocess.run(["chattr", "-i", path], check=True)
        self.ends_well(pid)


class Starts(unittest.TestCase):
    def setUp(self):
        self.daemon = neapd.Daemon(start=False)
        self.addCleanup(self.daemon.close)

    def test_a_second_daemon_of_a_directory_says_who_has_it(self):
        daemon = self.daemon
        daemon.start()
        second = subprocess.run(daemon.command(), env=daemon.env, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=neapd.PATIENCE_S, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn("process %d" % daemon.process.pid, second.stdout.decode())
        self.assertEqual(daemon.vms(), {})

    def test_a_lock_that_outlives_its_daemon_is_waited_for(self):
        daemon = self.daemon
        daemon.start()
        pid = daemon.process.pid
        daemon.stop()
        lock = open(os.path.join(daemon.state_home, "neap", "lock"))
        self.assertEqual(int(lock.read()), pid)
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a process does that was about to be a VM
        daemon.start(serve=False)
        time.sleep(0.7)
        self.assertIsNone(daemon.process.poll())
        lock.close()
        daemon.connect()

    def test_its_end_and_a_hangup_touch_no_vm(self):
        daemon = self.daemon
        daemon.start()
        pid = daemon.run("one")["pid"]
        daemon.process.send_signal(signal.SIGHUP)
        neapd.until(lambda: "SIGHUP" in daemon.said(), what="a word about it")
        self.assertEqual(daemon.state("one"), "running")
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue(neapd.is_alive(pid))
        self.assertFalse(os.path.exists(daemon.socket()))

    def test_it_ends_in_the_middle_of_starts_and_ends(self):
        """What AddressSanitizer sees of it: nobody is told of a VM any more by then."""
        daemon = self.daemon
        daemon.start()
        for number in range(12):
            daemon.create("v%02d" % number, restart="always", config={"boot": {"cmdline": 'run="exit 3"'}})
        for _ in range(8):
            with neapvm.Pipelined(daemon.socket()) as client:
                daemon.listen(kinds=["vm.started"])
                client.send("vm.start", selector="all")
                daemon.event("vm.started")
                self.assertEqual(daemon.stop(), 0)
            daemon.start()
        daemon.call("vm.kill", selector="all")
        self.assertEqual({vm["state"] for vm in daemon.vms().values()}, {"stopped"})

    def test_who_asks_it_to_end_while_it_starts_is_heard(self):
        daemon = self.daemon
        daemon.start()
        pid = daemon.run("one")["pid"]
        daemon.stop()
        os.kill(pid, signal.SIGSTOP)  # so that it waits for what this VM says
        for ms in 1, 20, 50, 100, 200:
            daemon.start(serve=False)
            time.sleep(ms / 1000)
            self.assertIn(daemon.stop(), (0, -signal.SIGTERM))  # or before it looks after signals
        os.kill(pid, signal.SIGCONT)

    def test_sockets_have_their_mode_and_group(self):
        daemon = self.daemon
        daemon.start(flags=("--socket-mode", "0660", "--socket-group", "0", "--read-socket-mode", "0666"))
        for name, mode in ("neapd.sock", 0o660), ("neapd-ro.sock", 0o666):
            self.assertEqual(os.stat(daemon.socket(name)).st_mode & 0o777, mode)
        daemon.stop()
        daemon.start(flags=("--read-socket", ""))
        self.assertFalse(os.path.exists(daemon.socket("neapd-ro.sock")))

    def test_vms_with_autostart_are_started_once_a_boot(self):
        daemon = self.daemon
        daemon.start()
        daemon.create("one", autostart=True)
        daemon.create("two")
        daemon.stop()
        daemon.start()  # the daemon again, not the host
        self.assertEqual(daemon.state("one"), "stopped")
        daemon.stop()
        os.unlink(os.path.join(daemon.runtime, "booted"))  # the runtime directory is gone at a boot
        daemon.start()
        daemon.until_state("one", "running")
        self.assertEqual(daemon.state("two"), "stopped")
        daemon.call("vm.kill", vm="one")
        daemon.stop()
        daemon.start()
        self.assertEqual(daemon.state("one"), "stopped")

    def test_systemd_hands_in_the_sockets_and_is_told_when_it_is_ready(self):
        daemon = self.daemon
        os.makedirs(daemon.runtime, mode=0o700)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notify.close)
        notify.bind(os.path.join(daemon.top, "notify"))
        notify.settimeout(neapd.PATIENCE_S)
        sockets = []
        for name in "neapd-ro.sock", "neapd.sock":
            listener = socket.socket(socket.AF_UNIX)
            self.addCleanup(listener.close)
            listener.bind(daemon.socket(name))
            listener.listen(8)
            sockets.append(listener)
        shell = "exec 3<&%d 4<&%d; LISTEN_FDS=2 LISTEN_PID=$$ exec \"$@\"" % tuple(s.fileno() for s in sockets)
        env = dict(daemon.env, NOTIFY_SOCKET=notify.getsockname())
        early = neapvm.Rpc(daemon.socket())  # before it is there
        daemon.process = subprocess.Popen(["bash", "-c", shell, "bash", *daemon.command()], env=env,
                                          pass_fds=[s.fileno() for s in sockets], stderr=daemon.log)
        neapd.until(lambda: b"READY=1" in notify.recv(4096), what="READY=1")
        self.assertEqual(early.call("vm.list"), {"vms": []})
        looking = neapvm.Rpc(daemon.socket("neapd-ro.sock"))
        with self.assertRaises(neapvm.RpcError) as caught:
            looking.call("vm.create", config={})
        self.assertEqual(caught.exception.code, 4)
        looking.close()
        early.close()
        self.assertEqual(daemon.stop(), 0)
        neapd.until(lambda: b"STOPPING=1" in notify.recv(4096), what="STOPPING=1")
        self.assertTrue(os.path.exists(daemon.socket()))  # systemd's, not ours to remove

    def test_wrong_flags_are_a_mistake_of_usage(self):
        for flags in ("--nonsense", "1"), ("--silent", "soon"), ("--silent",), ("word",), ("--socket-group", "no such group"):
            done = subprocess.run(self.daemon.command(flags), env=self.daemon.env, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=neapd.PATIENCE_S, check=False)
            self.assertIn(done.returncode, (1, 2), flags)
            self.assertTrue(done.stderr.startswith(b"neapd: "), done.stderr)


if __name__ == "__main__":
    neapvm.need_kvm()
    if sys.argv[1:] == ["disks"]:
        neapvm.need_mounts_of_our_own("for disks of its own that are full or read-only")
        unittest.main(argv=sys.argv[:1], defaultTest="Disks")
    unittest.main(defaultTest=sys.argv[1:] or ["Hanging", "StandingStill", "Starts"])
