#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""`neap top`: the table once, its data, and a session at a terminal (lib/screen.py reads the screen).

The VMs are fake-neap's: numbers behind the real socket. Each test is a function whose name is the
sentence it holds.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

MIB = 2 ** 20


class Host:
    """A runtime directory of its own, and the VMs in it."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="neap-top-")
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.dir, LC_ALL="C")
        self.env.pop("NO_COLOR", None)
        self.pids = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.dir)

    def neap(self, *words):
        return subprocess.run([neapvm.neap_path(), *words], env=self.env, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=neapvm.PATIENCE_S)

    def start(self, name, *flags):
        done = self.neap("run", "--name", name, "--detach", *flags)
        assert done.returncode == 0, done
        pid = json.loads(self.neap("info", name, "--json").stdout)["info"]["pid"]
        self.pids.append(pid)
        return pid

    def rows(self):
        done = self.neap("top", "--once", "--json")
        assert done.returncode == 0, done
        return {row["name"]: row for row in json.loads(done.stdout)["vms"]}


# --- once ------------------------------------------------------------------------------------------

def once_prints_a_row_per_vm_and_the_host_on_top():
    with Host() as host:
        host.start("web", "--memory", "512M")
        host.start("db", "--memory", "256M", "--cmdline", "hungry")
        out = host.neap("top", "--once").stdout
        assert re.search(r"^host memory: [0-9.]+ .iB available of", out, re.M), out
        assert re.search(r"^web +running +OK +64 MiB +128 MiB +512 MiB +512 MiB +25 % +0 B +34 ms  "
                         r"#+\|#+=+\]$", out, re.M), out
        assert re.search(r"^db +running +Warning +64 MiB +320 MiB +256 MiB +256 MiB +125 %.* ###\|########\]$",
                         out, re.M), out
        assert out == host.neap("top").stdout, "a pipe is no terminal: once"


def bars_are_to_scale():
    with Host() as host:
        host.start("big", "--memory", "1G")
        host.start("small", "--memory", "256M")
        bars = dict(re.findall(r"^(\w+) +running .* ([#=|.\]!]+)$", host.neap("top").stdout, re.M))
        assert bars["big"].index("]") == 23 and bars["small"].index("]") == 6, bars
        assert bars["big"].count("#") + bars["big"].count("|") == 3, bars
        host.env["LC_ALL"] = "C.UTF-8"
        assert "┤" in host.neap("top").stdout


def the_data_leaves_out_what_is_not_known():
    with Host() as host:
        host.start("web", "--memory", "512M")
        host.start("old", "--memory", "512M", "--cmdline", "plain")
        rows = host.rows()
        assert rows["web"]["demand_bytes"] == 128 * MIB and rows["web"]["minimum_bytes"] == 64 * MIB, rows
        assert rows["web"]["status"] == "OK" and rows["web"]["weight"] == 1000, rows
        assert rows["old"]["assigned_bytes"] == 512 * MIB and "demand_bytes" not in rows["old"], rows
        assert "status" not in rows["old"], rows


def without_vms_it_says_so():
    with Host() as host:
        done = host.neap("top")
        assert done.returncode == 0 and "no VM is running" in done.stderr, done
        assert not host.rows()


def a_vm_that_is_stopped_costs_a_second_whatever_their_number():
    with Host() as host:
        for name in ("a", "b", "c", "d"):
            os.kill(host.start(name), signal.SIGSTOP)
        host.start("web")
        started = time.monotonic()
        rows = host.rows()
        assert time.monotonic() - started < 2.5, time.monotonic() - started
        assert rows["web"]["state"] == "running", rows
        for name in ("a", "b", "c", "d"):
            assert rows[name]["state"] == "not answering" and rows[name]["pid"] in host.pids, rows


def sockets_that_nobody_serves_or_that_talk_nonsense_are_told_apart():
    with Host() as host:
        os.kill(host.start("gone"), signal.SIGKILL)
        with socket.socket(socket.AF_UNIX) as liar, socket.socket(socket.AF_UNIX) as closer:
            liar.bind(os.path.join(host.dir, "neap", "liar.sock"))
            liar.listen(1)
            closer.bind(os.path.join(host.dir, "neap", "closer.sock"))
            closer.listen(1)
            process = subprocess.Popen([neapvm.neap_path(), "top", "--json"], env=host.env,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            talk, _ = liar.accept()
            talk.sendall(b'no json\n[{"id":1,"result":7},{"id":2,"result":[]}]\n{"id":null}\n')
            closer.accept()[0].close()
            rows = {row["name"]: row for row in json.loads(process.communicate()[0])["vms"]}
            talk.close()
        assert process.returncode == 0
        assert rows["gone"]["state"] == "left over", rows
        assert rows["liar"]["state"] == "not answering", rows
        assert "closer" not in rows, rows


def main():
    here = sys.modules[__name__]
    helpers = {"main"}
    tests = [(name, test) for name, test in vars(here).items()
             if callable(test) and getattr(test, "__module__", "") == __name__ and
             isinstance(test, type(main)) and name not in helpers]
    wanted = sys.argv[1:]
    for name, test in tests:
        if wanted and name not in wanted:
            continue
        started = time.monotonic()
        test()
        print(f"ok {time.monotonic() - started:5.2f} s  {name.replace('_', ' ')}", flush=True)


main()
