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
import screen  # noqa: E402

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

    def terminal(self, rows=24, columns=80, **env):
        return screen.Terminal([neapvm.neap_path(), "top"], {**self.env, "LC_ALL": "C.UTF-8", **env},
                               rows, columns)

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
        assert without_host(out) == without_host(host.neap("top").stdout), "a pipe is no terminal: once"


def without_host(out):
    return out[out.index("NAME"):]


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
        host.start("web")
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(os.path.join(host.dir, "neap", "gone.sock"))
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


# --- on a terminal -----------------------------------------------------------------------------------

def listed(terminal):
    """The names of the list, from the top."""
    return re.findall(r"^(\w+) +(?:running|paused|not answering|left over) ", terminal.screen.text(), re.M)


def the_screen_shows_every_vm_and_comes_back_on_q():
    with Host() as host:
        host.start("web", "--memory", "512M")
        host.start("db", "--memory", "256M", "--cmdline", "hungry")
        with host.terminal() as terminal:
            terminal.until(r"^web +running OK +128M +512M +25% +0 ")
            terminal.until(r"^db +running Warning +320M +256M +125% .*┤")
            terminal.until(r"^db  mode auto, minimum 64 MiB, maximum 256 MiB, buffer 20 %, weight 1000$")
            terminal.until(r"^maximum: the VM has all that its maximum allows +\(neap why db\)$")
            assert terminal.screen.is_alternate and not terminal.screen.has_cursor
            assert {31, 32, 34} <= terminal.screen.colours, terminal.screen.colours
            terminal.type("q")
            assert terminal.wait() == 0 and terminal.is_restored()


def colours_and_lines_are_left_out_where_they_are_not_wanted():
    with Host() as host:
        host.start("web", "--memory", "512M")
        with host.terminal(LC_ALL="C", NO_COLOR="1") as terminal:
            terminal.until(r"^web .* ###?\|=*.*\]$|^web .* #\|#*=+\]$")
            assert not terminal.screen.colours, terminal.screen.colours


def a_wide_window_has_all_columns_and_a_small_one_what_fits():
    with Host() as host:
        host.start("web", "--memory", "512M")
        with host.terminal(60, 200) as terminal:
            terminal.until(r"^NAME +STATE +STATUS +MIN DEMAND ASSIGNED +MAX PRESS +SWAP STALL/S$")
            terminal.until(r"^web .* 64M +128M +512M +512M +25% +0 +[0-9.]+.* ┤?█")
            for rows, columns in ((24, 80), (10, 60), (3, 20), (1, 2), (50, 132)):
                terminal.resize(rows, columns)
                terminal.until("^neap top" if columns > 10 else "^n")
                assert terminal.process.poll() is None
            terminal.until(r"^web  mode auto")
            terminal.type("q")
            assert terminal.wait() == 0 and terminal.is_restored()


def keys_sort_and_select():
    with Host() as host:
        host.start("a", "--memory", "256M")
        host.start("b", "--memory", "1G")
        host.start("c", "--memory", "512M", "--cmdline", "hungry")
        with host.terminal() as terminal:
            terminal.until("^c .*Warning")
            for key, order in (("r", "cba"), ("r", "abc"), ("a", "bca"), ("p", "cab"), ("d", "cab"), ("n", "abc")):
                terminal.type(key)
                until(terminal, lambda: "".join(listed(terminal)) == order)
            terminal.until("^a  mode auto")
            terminal.type("\x1bOB")
            terminal.until("^b  mode auto")
            terminal.type("jjj")
            terminal.until("^c  mode auto")
            terminal.type("k")
            terminal.until("^b  mode auto")
            terminal.type("r")
            until(terminal, lambda: "".join(listed(terminal)) == "cba")
            terminal.until("^b  mode auto")  # who is selected stays so


def until(terminal, holds):
    deadline = time.monotonic() + neapvm.PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline and terminal.read(deadline - time.monotonic()), terminal.screen.text()


def keys_change_a_setting_of_the_selected_vm():
    with Host() as host:
        host.start("a", "--memory", "512M")
        host.start("b", "--memory", "512M", "--cmdline", "plain")
        with host.terminal() as terminal:
            terminal.until("^a  mode auto, minimum 64 MiB")
            for keys, shown in (("m96M\r", "minimum 96 MiB"), ("b5x\x7f0\r", "buffer 50 %"), ("w250\r", "weight 250"),
                                ("omanual\r", "mode manual")):
                terminal.type("s")  # the sentence before is gone
                terminal.until("^q quit")
                terminal.type(keys)
                terminal.until("^a has the new setting$")
                terminal.until("^a .*" + shown)
            terminal.type("b")
            terminal.until(r"^buffer of a \(in percent, 5 to 2000\): *$")
            terminal.type("7")
            terminal.until(r"5 to 2000\): 7$")
            terminal.type("\x1b")
            terminal.until("^q quit")
            for keys, said in (("w20000\r", "a: such a setting makes no sense"), ("oaut\r", "a: such a setting"),
                               ("wmuch\r", '"much" is not a whole number'), ("m1X\r", '"1X" is not a size')):
                terminal.type("s")  # the sentence before is gone
                terminal.until("^q quit")
                terminal.type(keys)
                terminal.until("^" + said)
            terminal.until("^a  mode manual, minimum 96 MiB, maximum 512 MiB, buffer 50 %, weight 250$")
            terminal.type("jw")
            terminal.until("^b has no dynamic memory$")
            terminal.type("kw")
            terminal.until("^weight of a")
            host.neap("kill", "a")
            until(terminal, lambda: listed(terminal) == ["b"])
            terminal.type("1\r")
            terminal.until("^a has ended$")


def why_says_it_in_words_and_sends_nothing_to_the_terminal_but_words():
    with Host() as host:
        host.start("web", "--memory", "512M")
        out = host.neap("why", "web").stdout
        assert out.startswith("web is OK in mode auto\nIt needs 128 MiB and has 512 MiB"), out
        assert "\x1b" not in out and "?[2JIt gives" in out, out
        assert re.search(r"^  rule +dead-band: the difference is too small to act on\n  waits for +the next tick\n"
                         r"  decided +1.5 s ago$", out, re.M), out
        assert all(len(line) <= 78 for line in out.splitlines()), out
        why = json.loads(host.neap("why", "web", "--json").stdout)
        assert why["rule"] == "dead-band" and why["demand_bytes"] == 128 * MIB, why
        with screen.Terminal([neapvm.neap_path(), "why", "web"], host.env, columns=50) as terminal:
            assert terminal.wait() == 0
            assert all(len(line) <= 50 for line in terminal.screen.lines())
            terminal.until("^It needs 128 MiB .* 512 MiB; with its$")
        assert host.neap("why", "wbe").returncode == 4
        info = host.neap("info", "web").stdout
        for line in ("Dynamic memory is OK, mode auto", "  minimum +64 MiB +it is never", "  buffer +20 % ",
                     "  demand +128 MiB ", "  available +384 MiB ", "  pressure +25 % ", "  added +96 MiB +in 3 oper",
                     r"  last decision: dead-band \(neap why web\)"):
            assert re.search("^" + line, info, re.M), (line, info)


def vms_come_and_go_and_a_stopped_one_does_not_freeze_the_screen():
    with Host() as host:
        with host.terminal() as terminal:
            terminal.until("no VM is running")
            pid = host.start("web")
            host.start("db")
            terminal.until("^web +running")
            os.kill(pid, signal.SIGSTOP)
            terminal.until("^web +not answering", 5)
            terminal.until("1 without an answer")
            terminal.type("j")
            terminal.until("^web  not answering")
            terminal.until(f"^process {pid}$")
            terminal.type("w")
            terminal.until("^web does not answer$")
            os.kill(pid, signal.SIGCONT)
            terminal.until("^web +running", 5)
            host.neap("kill", "db")
            until(terminal, lambda: listed(terminal) == ["web"])
            os.kill(pid, signal.SIGKILL)
            terminal.until("^web +left over", 5)


def every_signal_that_ends_it_gives_the_terminal_back():
    with Host() as host:
        host.start("web")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV):
            with host.terminal() as terminal:
                terminal.until("^web +running")
                terminal.process.send_signal(number)
                assert terminal.wait() == -number and terminal.is_restored(), number
        with host.terminal() as terminal:
            terminal.until("^web +running")
            terminal.type("\x03")
            assert terminal.wait() == -signal.SIGINT and terminal.is_restored()


def a_terminal_that_cannot_gets_the_table_once():
    with Host() as host:
        host.start("web")
        with screen.Terminal([neapvm.neap_path(), "top"], host.env, term="no-such-terminal") as terminal:
            assert terminal.wait() == 0
            terminal.until("^neap: no live screen")
            terminal.until("^web +running +OK")


def main():
    here = sys.modules[__name__]
    helpers = {"main", "without_host", "listed", "until"}
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
