#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The embedded guest under another monitor: QEMU's microvm, in software, with QEMU's own devices.

test_embedded_qemu.py IMAGE. What passes here and fails under neap is neap's. 77 without QEMU.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

QEMU = "qemu-system-x86_64"
PATIENCE_S = 60
IMAGE = os.path.abspath(sys.argv[1])
EXIT_PORT = 0x610  # device/board.h


def command(cmdline, *more, machine="microvm"):
    return [QEMU, "-M", machine, "-accel", "tcg", "-m", "128", "-nodefaults", "-no-reboot",
            "-display", "none", "-serial", "stdio", "-kernel", IMAGE, "-append", cmdline,
            "-device", "isa-debug-exit,iobase=%d,iosize=4" % EXIT_PORT, *more]


def run(cmdline, *more):
    done = subprocess.run(command(cmdline, *more), stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=PATIENCE_S, text=True)
    return done.stdout, done.returncode


def debug_exit(status):
    return status << 1 | 1


class Guest(unittest.TestCase):
    def test_a_script_fills_verifies_and_ends_with_its_status(self):
        output, status = run('run="fill 32M 5; verify; exit 3"')
        self.assertIn("ok verify pages=8192 bad_pages=0", output)
        self.assertEqual(status, debug_exit(3), output)

    def test_a_wrong_byte_ends_the_script(self):
        output, status = run('run="fill 8M; spoil; verify; exit 0"')
        self.assertIn("error verify pages=2048 bad_pages=1 bad_bytes=1", output)
        self.assertEqual(status, debug_exit(1), output)

    def test_an_exception_is_reported(self):
        output, status = run('run="fault page"')
        self.assertIn("error exception vector=14", output)
        self.assertEqual(status, debug_exit(60), output)

    def test_four_processors_start_and_work(self):
        output, status = run('run="vcpus; on 3 fill 8M; join; verify; on 1 count 2 random; on 2 count 2; '
                             'count 1; join; verify random; tally; exit 0"', "-smp", "4")
        self.assertIn("ok vcpus count=4 absent=0", output)
        self.assertEqual(output.count("ok verify pages=2048 bad_pages=0"), 2)
        self.assertIn("ok tally pages=2048 counted=10240 expected=10240", output)
        self.assertEqual(status, debug_exit(0), output)


class Balloon(unittest.TestCase):
    """With acpi=off QEMU names its virtio-mmio devices on the command line."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="neap-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def balloon(self, style):
        path = os.path.join(self.folder, "qmp")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(PATIENCE_S)
        self.addCleanup(listener.close)
        process = subprocess.Popen(
            command("balloon=%s" % style, "-global", "virtio-mmio.force-legacy=false",
                    "-device", "virtio-balloon-device,free-page-reporting=on",
                    "-qmp", "unix:" + path, machine="microvm,acpi=off"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        connection = listener.accept()[0]
        self.addCleanup(connection.close)
        qmp = connection.makefile("rw")
        self.addCleanup(qmp.close)
        return process, qmp

    @staticmethod
    def end(process):
        process.kill()
        process.communicate()

    def wait_for(self, process, start):
        for line in process.stdout:
            self.assertFalse(line.startswith("error"), line)
            if line.startswith(start):
                return line
        self.fail("the guest ended before it said: " + start)

    def follows(self, style):
        process, qmp = self.balloon(style)
        self.wait_for(process, "ready")
        for command_name, arguments in (("qmp_capabilities", {}), ("balloon", {"value": 64 << 20})):
            qmp.write(json.dumps({"execute": command_name, "arguments": arguments}))
            qmp.flush()
        self.wait_for(process, "event balloon target_pages=16384 given_pages=16384")
        process.stdin.write("fill 16M; verify\n")
        process.stdin.flush()
        self.wait_for(process, "ok verify pages=4096 bad_pages=0")
        qmp.write(json.dumps({"execute": "balloon", "arguments": {"value": 128 << 20}}))
        qmp.flush()
        self.wait_for(process, "event balloon target_pages=0 given_pages=0")
        process.stdin.write("verify; exit 0\n")
        process.stdin.flush()
        self.assertEqual(process.wait(PATIENCE_S), debug_exit(0))

    def test_blocks_follow_the_target(self):
        self.follows("blocks")

    def test_stock_lists_follow_the_target(self):
        self.follows("pages")


if __name__ == "__main__":
    if not shutil.which(QEMU):
        print("skipped: %s is not installed" % QEMU)
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
