#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every command as a person types it: what it prints, where, and its exit status.

The program is fake-neap: the real commands, the real socket, and a VM made of numbers behind it
(fake_vm.c). Each test is a function whose name is the sentence it holds.
"""
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

OK, FAILED, USAGE, HOST, NO_VM, STATE, KILLED = 0, 1, 2, 3, 4, 5, 7
MIB = 2 ** 20


class Host:
    """A runtime directory of its own, and the VMs in it."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="neap-cli-")
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.dir, LC_ALL="C")
        self.env.pop("NO_COLOR", None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for row in json.loads(self.neap("ps", "--json").stdout or "[]"):
            if row["pid"]:
                os.kill(row["pid"], signal.SIGCONT)
                self.neap("kill", row["name"])
        shutil.rmtree(self.dir)

    def neap(self, *words, stdin=""):
        return subprocess.run([neapvm.neap_path(), *words], env=self.env, input=stdin, text=True,
                              capture_output=True, timeout=neapvm.PATIENCE_S)

    def start(self, name="web", *flags):
        done = self.neap("run", "--name", name, "--detach", *flags)
        check(done, OK, out=f"^{name}\n$")
        return self

    def pid(self, name="web"):
        return json.loads(self.neap("info", name, "--json").stdout)["info"]["pid"]

    def path(self, name):
        return os.path.join(self.dir, "neap", name)


def check(done, code, out="", err=""):
    """Exit status, and patterns in both streams; a failure is one line that starts with neap:"""
    shown = f"exit {done.returncode}\n--- out\n{done.stdout}\n--- err\n{done.stderr}"
    assert done.returncode == code, f"wanted exit {code}, got {shown}"
    assert re.search(out, done.stdout), f"wanted {out!r}: {shown}"
    assert re.search(err, done.stderr), f"wanted {err!r} on standard error: {shown}"
    if code not in (OK, KILLED):
        assert re.fullmatch(r"(neap: .+\n)+", done.stderr), f"not in sentences: {shown}"
        assert "\x1b" not in done.stderr + done.stdout, shown
    return done


# --- help and words that are wrong ---------------------------------------------------------------

def help_names_every_command_and_each_explains_itself():
    with Host() as host:
        for words in ([], ["help"], ["--help"], ["-h"]):
            check(host.neap(*words), OK, out="Usage: neap COMMAND")
        commands = re.findall(r"^  ([a-z]+) ", host.neap("help").stdout, re.M)
        assert set(commands) >= {"run", "ps", "info", "set", "stop", "kill", "pause", "resume", "reset",
                                 "console", "events", "doctor", "version", "help", "demo"}, commands
        for command in commands:
            check(host.neap("help", command), OK, out=f"^neap {command}")
            check(host.neap(command, "--help"), OK, out=f"^neap {command}")
        check(host.neap("help", "run"), OK, out=r"--memory SIZE(.|\n)*--detach|--detach(.|\n)*--memory SIZE")
        for line in host.neap("help", "run").stdout.splitlines():
            assert len(line) <= 100, line


def version_is_said():
    with Host() as host:
        check(host.neap("version"), OK, out=r"^neap \d+\.\d+\.\d+\n$")
        check(host.neap("--version"), OK, out=r"^neap \d")
        assert "version" in json.loads(host.neap("version", "--json").stdout)


def a_wrong_command_suggests_the_right_one():
    with Host() as host:
        check(host.neap("inof", "web"), USAGE, err='no command "inof"; did you mean info')
        check(host.neap("help", "pauze"), USAGE, err="did you mean pause")
        check(host.neap("\x1b[2J"), USAGE, err="no command")


def a_wrong_flag_suggests_the_right_one():
    with Host() as host:
        check(host.neap("ps", "--jsno"), USAGE, err="did you mean --json")
        check(host.neap("run", "--memroy", "1G"), USAGE, err="did you mean --memory")
        check(host.neap("run", "--detatch"), USAGE, err="did you mean --detach")
        check(host.neap("ps", "-x"), USAGE, err="no flag")
        check(host.neap("ps", "--json=yes"), USAGE, err="takes no value")
        check(host.neap("set", "web", "memory=1G", "--timeout"), USAGE, err="needs a value")
        check(host.neap("set", "web", "memory=1G", "--timeout", "soon"), USAGE, err="takes seconds")


def missing_and_extra_arguments_are_said_with_the_right_form():
    with Host() as host:
        check(host.neap("info"), USAGE, err="write: neap info NAME")
        check(host.neap("pause", "a", "b"), USAGE, err='"b" is one argument too many')
        check(host.neap("set", "web"), USAGE, err="memory=SIZE")


def flags_may_stand_anywhere():
    with Host() as host:
        host.start()
        for words in (["--json", "info", "web"][1:] + ["--json"], ["info", "--json", "web"]):
            assert json.loads(host.neap(*words).stdout)["info"]["name"] == "web"
        check(host.neap("info", "--", "--json"), NO_VM)


# --- starting ------------------------------------------------------------------------------------

def a_detached_vm_prints_its_name_and_lives_on():
    with Host() as host:
        host.start("web", "--memory", "256M")
        info = json.loads(host.neap("info", "web", "--json").stdout)
        assert info["info"]["memory_maximum_bytes"] == 256 * MIB
        assert os.getsid(info["info"]["pid"]) == info["info"]["pid"]
        assert os.readlink(f"/proc/{info['info']['pid']}/fd/0") == "/dev/null"


def a_detached_vm_that_cannot_start_says_why_with_its_own_exit_code():
    with Host() as host:
        check(host.neap("run", "--name", "a", "--detach", "--cmdline", "fail"), HOST,
              err="this host lacks a guest")
        check(host.neap("run", "--name", "a", "--detach", "--cmdline", "die"), 9,
              err=r"ended while it started; see .*/a\.log")
        check(host.neap("ps"), OK, err="no VM is running")


def a_name_that_runs_already_is_refused():
    with Host() as host:
        host.start()
        check(host.neap("run", "--name", "web", "--detach"), FAILED, err="runs already")
        check(host.neap("run", "--name", "web"), FAILED, err="runs already")
        check(host.neap("info", "web"), OK)


def a_wrong_option_starts_nothing():
    with Host() as host:
        check(host.neap("run", "--memory", "much"), USAGE, err="not a size")
        check(host.neap("run", "--name", "../x", "--detach"), USAGE)
        check(host.neap("run", "surplus"), USAGE, err="too many")
        assert not os.path.exists(host.path("")) or not os.listdir(host.path(""))


def a_file_and_flags_make_one_vm_and_flags_win():
    with Host() as host:
        config = os.path.join(host.dir, "vm.json")
        with open(config, "w", encoding="utf-8") as file:
            file.write('{"name": "filed", "cpus": 3, "memory": {"maximum": "64M"}}')
        os.chmod(config, 0o600)
        check(host.neap("run", "--detach", "--config", config, "--cpus", "2"), OK, out="^filed\n$")
        info = json.loads(host.neap("info", "filed", "--json").stdout)["info"]
        assert (info["cpus"], info["memory_maximum_bytes"]) == (2, 64 * MIB)
        with open(config, "w", encoding="utf-8") as file:
            file.write('{\n "cpu": 3}')
        check(host.neap("run", "--config", config), USAGE, err=r"vm\.json:2: ")


# --- looking -------------------------------------------------------------------------------------

def ps_lists_vms_as_a_table_and_as_json():
    with Host() as host:
        check(host.neap("ps"), OK, out="^$", err="no VM is running")
        assert json.loads(host.neap("ps", "--json").stdout) == []
        host.start("b").start("a", "--memory", "1G")
        lines = check(host.neap("ps"), OK).stdout.splitlines()
        assert lines[0].split()[:2] == ["NAME", "STATE"], lines
        assert [line.split()[0] for line in lines[1:]] == ["a", "b"], lines
        assert len({len(line) for line in lines}) == 1, "columns are not aligned"
        rows = json.loads(host.neap("ps", "--json").stdout)
        assert [(row["name"], row["state"]) for row in rows] == [("a", "running"), ("b", "running")]
        assert rows[0]["maximum_bytes"] == 1024 * MIB


def a_vm_that_does_not_answer_is_shown_as_such_and_can_be_killed():
    with Host() as host:
        host.start("stuck").start("well")
        pid = host.pid("stuck")
        os.kill(pid, signal.SIGSTOP)
        rows = {row["name"]: row for row in json.loads(host.neap("ps", "--json").stdout)}
        assert rows["stuck"] == {"name": "stuck", "state": "not answering", "pid": pid}, rows
        assert rows["well"]["state"] == "running"
        check(host.neap("ps"), OK, out="stuck +not answering")
        check(host.neap("info", "stuck"), FAILED, err="does not answer.*neap kill stuck")
        check(host.neap("kill", "stuck"), OK, out="stuck: stopped", err=f"process {pid} was killed")
        check(host.neap("info", "well"), OK)


def a_socket_that_was_left_over_is_said_to_be_one():
    with Host() as host:
        host.start("old")
        os.kill(host.pid("old"), signal.SIGKILL)
        deadline = time.monotonic() + neapvm.PATIENCE_S
        while host.neap("info", "old").stderr.find("left over") < 0:
            assert time.monotonic() < deadline
        check(host.neap("ps"), OK, out="old +left over", err="ended without cleaning up")
        check(host.neap("kill", "old"), NO_VM, err="left over")
        host.start("old")
        check(host.neap("info", "old"), OK)


def info_shows_five_numbers_with_units_and_all_of_it_as_json():
    with Host() as host:
        host.start()
        out = check(host.neap("info", "web"), OK, out="web is running").stdout
        for line in (r"maximum +512 MiB", r"resident +64 MiB", r"asked +0 B", r"taken +0 B",
                     r"returned +0 B", r"pool: 512 MiB free of 1 GiB", r"free +32 MiB",
                     r"major_faults +7", r"balloon +in use", r"rng +broken"):
            assert re.search(line, out), (line, out)
        whole = json.loads(host.neap("info", "web", "--json").stdout)
        assert whole["memory"]["maximum_bytes"] == 512 * MIB
        assert whole["info"]["config"]["name"] == "web"


def info_shows_blocks_by_state_and_how_long_vcpus_waited():
    with Host() as host:
        host.start()
        out = check(host.neap("info", "web"), OK).stdout
        for line in (r"resident +64 MiB +in RAM and mapped", r"absent +432 MiB ",
                     r"sampled +16 MiB +in RAM, unmapped: 8 MiB prepared ahead of need",
                     r"stalled: 34 ms in 1200 touches that neap answered, 2\.5 ms of it for want"):
            assert re.search(line, out), (line, out)
        assert "Swap\n" not in out and "limit" not in out and "writing" not in out, out
        bar = re.search("[\u2581\u2588\u2591-\u2593]{8,}", out).group(0)
        assert (len(bar), bar.count("\u2588"), bar.count("\u2593")) == (48, 6, 1), bar


def info_shows_swap_and_the_share_in_use():
    with Host() as host:
        host.start("web", "--swap", "/var/tmp,size=1G", "--memory", "512M,limit=256M")
        check(host.neap("set", "web", "memory.limit=256M"), OK)
        out = check(host.neap("info", "web"), OK).stdout
        for line in (r"limit +256 MiB ", r"swapped +32 MiB +only in swap", r"used +12 MiB +of 1 GiB",
                     r"out +96 MiB +of it zeros, which take no room: 10 MiB; the guest came first 3",
                     r"in +40 MiB +touched there 19 times", r"in use: about 37 % \(of 100 blocks",
                     r"errors: 1 writes, 0 reads; nothing more is written to it"):
            assert re.search(line, out), (line, out)


def an_unknown_name_suggests_the_nearest_and_lists_what_runs():
    with Host() as host:
        check(host.neap("info", "web"), NO_VM, err="none is running")
        host.start("web").start("mail")
        check(host.neap("info", "wep"), NO_VM, err="did you mean web.*running: mail, web")
        check(host.neap("kill", "we"), NO_VM)
        check(host.neap("info", "../neap/web"), NO_VM)
        check(host.neap("info", ""), NO_VM)
        check(host.neap("info", "x" * 300), NO_VM)


# --- changing ------------------------------------------------------------------------------------

def set_asks_and_wait_shows_the_way_to_the_end():
    with Host() as host:
        host.start()
        check(host.neap("set", "web", "memory=256M"), OK, out="^asked 256 MiB, taken",
              err="set by hand from now on .neap set web memory.mode=auto")
        out = check(host.neap("set", "web", "balloon=320M", "--wait"), OK,
                    out=r"asked 320 MiB, taken 320 MiB, returned 320 MiB\n$").stdout
        taken = [int(mib) for mib in re.findall(r"taken (\d+) MiB", out)]
        assert taken == sorted(taken) and len(out.splitlines()) > 1, out
        memory = json.loads(host.neap("set", "web", "memory=512M", "--wait", "--json").stdout)
        assert memory["asked_bytes"] == memory["taken_bytes"] == 0


def set_moves_the_limit_of_a_vm_with_swap():
    with Host() as host:
        host.start("web", "--swap", "/var/tmp").start("mail")
        check(host.neap("set", "web", "memory.limit=64M", "--wait"), OK,
              out="^limit 64 MiB, resident 64 MiB, swapped 32 MiB\n$")
        check(host.neap("set", "web", "memory.limit=32M", "--wait", "--timeout", "0"), FAILED,
              err="web: still holds 64 MiB, and the limit is 32 MiB; it goes on trying")
        check(host.neap("set", "web", "memory.limit=0"), OK, out="^limit none, resident 64 MiB")
        memory = json.loads(host.neap("set", "web", "memory.limit=256M", "--json").stdout)
        assert memory["limit_bytes"] == 256 * MIB
        assert host.neap("set", "mail", "memory.limit=64M").returncode != OK


def set_says_what_is_wrong_with_a_setting():
    with Host() as host:
        host.start()
        check(host.neap("set", "web", "memory.limt=1G"), USAGE, err="did you mean memory.limit")
        check(host.neap("set", "web", "memry=1G"), USAGE, err="did you mean memory")
        check(host.neap("set", "web", "memory=lots"), USAGE, err="memory: .*not a size")
        check(host.neap("set", "web", "memory.weight=many"), USAGE, err='memory.weight: "many" is not a number')
        check(host.neap("set", "web", "memory.weight=1", "memory.weight=2"), USAGE, err="given twice")
        check(host.neap("set", "web", "memory=1G", "memory.limit=1G"), USAGE, err="by itself")
        check(host.neap("set", "web", "memory.wieght=1"), USAGE, err="did you mean memory.weight")
        check(host.neap("set", "web", "memory"), USAGE, err="memory=SIZE")
        check(host.neap("set", "web", "memory=8G"), USAGE, err="web: ")
        check(host.neap("set", "web", "memory=16777215T"), USAGE)


def a_guest_that_hands_nothing_over_ends_the_waiting_with_a_sentence():
    with Host() as host:
        host.start("web", "--cmdline", "stuck")
        check(host.neap("set", "web", "balloon=64M", "--wait", "--timeout", "1"), FAILED,
              err="handed over 0 B of the 64 MiB")


def pause_resume_and_reset_say_the_new_state():
    with Host() as host:
        host.start()
        check(host.neap("pause", "web"), OK, out="^web: paused\n$")
        assert json.loads(host.neap("resume", "web", "--json").stdout) == {"state": "running"}
        check(host.neap("reset", "web"), OK, out="^web: running\n$")
        assert json.loads(host.neap("info", "web", "--json").stdout)["info"]["resets"] == 1


def stop_waits_when_asked_and_tells_of_a_guest_that_ignores_it():
    with Host() as host:
        host.start("web").start("deaf", "--cmdline", "deaf")
        check(host.neap("stop", "web", "--wait"), OK, out="web: stopped")
        check(host.neap("stop", "deaf"), OK, out="deaf: running")
        check(host.neap("stop", "deaf", "--wait", "--timeout", "1"), FAILED,
              err="has not powered off.*neap kill deaf")
        check(host.neap("kill", "deaf"), OK, out="deaf: stopped")
        check(host.neap("ps"), OK, err="no VM is running")


def a_vm_in_the_foreground_ends_with_the_code_of_its_end():
    with Host() as host:
        for command, code in (("kill", KILLED), ("stop", OK)):
            vm = subprocess.Popen([neapvm.neap_path(), "run", "--name", "fg"], env=host.env)
            wait_for_socket(host.path("fg.sock"))
            check(host.neap(command, "fg"), OK)
            assert vm.wait(neapvm.PATIENCE_S) == code


def wait_for_socket(path):
    deadline = time.monotonic() + neapvm.PATIENCE_S
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
                return
        except OSError:
            assert time.monotonic() < deadline, path
            select.select([], [], [], 0.005)


# --- events and the console ------------------------------------------------------------------------

def events_are_lines_for_people_and_objects_for_programs():
    with Host() as host:
        host.start()
        people = follow(host, "events", "web")
        program = follow(host, "events", "web", "vm.reset", "--json")
        host.neap("reset", "web")
        host.neap("pause", "web")
        host.neap("kill", "web")
        out = people.communicate(timeout=neapvm.PATIENCE_S)[0]
        assert people.returncode == OK
        assert re.search(r"^\d\d:\d\d:\d\d\.\d{3}  vm\.reset +cause request$", out, re.M), out
        assert re.search(r"vm\.state +state paused", out), out
        lines = program.communicate(timeout=neapvm.PATIENCE_S)[0].splitlines()
        assert [json.loads(line)["kind"] for line in lines] == ["vm.reset"], lines


def follow(host, *words):
    """A command that goes on; it is connected when this returns."""
    before = connections(host)
    process = subprocess.Popen([neapvm.neap_path(), *words], env=host.env, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + neapvm.PATIENCE_S
    while connections(host) <= before:
        assert time.monotonic() < deadline and process.poll() is None
    host.neap("info", "web")  # answered after the subscription, which came before
    return process


def connections(host):
    pid = host.pid()
    return len([fd for fd in os.listdir(f"/proc/{pid}/fd")
                if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")])


def an_unknown_kind_of_event_is_refused():
    with Host() as host:
        host.start()
        check(host.neap("events", "web", "vm.sate"), USAGE, err="vm.sate")


def the_console_works_in_a_pipe():
    with Host() as host:
        host.start()
        check(host.neap("console", "web", stdin="hello\n"), OK, out=r"^fake guest\nHELLO\n")
        check(host.neap("console", "wep"), NO_VM)


def the_console_is_a_raw_terminal_until_ctrl_a_x_and_whole_again_after():
    with Host() as host:
        host.start()
        for end, code in ((b"\x01x", OK), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP)):
            master, slave = pty.openpty()
            before = termios.tcgetattr(slave)
            process = subprocess.Popen([neapvm.neap_path(), "console", "web"], env=host.env, stdin=slave,
                                       stdout=slave, stderr=slave)
            read_until(master, b"fake guest")
            assert not termios.tcgetattr(slave)[3] & termios.ICANON
            os.write(master, b"\x01hab\x01\x01c")
            seen = read_until(master, b"AB\x01C")
            assert b"Ctrl-A x" in seen, seen
            if isinstance(end, bytes):
                os.write(master, end)
            else:
                process.send_signal(end)
            assert wait_reading(process, master) == code
            assert termios.tcgetattr(slave) == before
            os.close(slave)
            os.close(master)


def read_until(fd, wanted):
    seen, deadline = b"", time.monotonic() + neapvm.PATIENCE_S
    while wanted not in seen:
        ready, _, _ = select.select([fd], [], [], max(0, deadline - time.monotonic()))
        assert ready, seen
        seen += os.read(fd, 4096)
    return seen


def wait_reading(process, fd):
    """A terminal whose output nobody takes would hold the program up."""
    while process.poll() is None:
        if select.select([fd], [], [], 0.01)[0]:
            os.read(fd, 4096)
    return process.returncode


# --- the terminal and the host ---------------------------------------------------------------------

def colours_are_for_terminals_without_no_color():
    with Host() as host:
        host.start()
        assert "\x1b" not in host.neap("ps").stdout
        assert b"\x1b[" in on_terminal(host, dict(host.env, TERM="xterm"), "ps")
        assert b"\x1b" not in on_terminal(host, dict(host.env, TERM="xterm", NO_COLOR="1"), "ps")
        assert b"\x1b" not in on_terminal(host, dict(host.env, TERM="dumb"), "ps")


def on_terminal(host, env, *words):
    master, slave = pty.openpty()
    process = subprocess.Popen([neapvm.neap_path(), *words], env=env, stdin=slave, stdout=slave,
                               stderr=slave)
    seen = b""
    os.close(slave)
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:  # EIO: the last one on the other side is gone
            break
        if not data:
            break
        seen += data
    process.wait(neapvm.PATIENCE_S)
    os.close(master)
    return seen


def doctor_says_which_right_is_missing_and_the_command_that_mends_it():
    """As a user who may not use userfaultfd; where everybody may, it says by what."""
    if os.geteuid() != 0:
        return
    nobody = 65534
    with Host() as host:
        program = shutil.copy(neapvm.neap_path(), host.dir + "/neap-copy")
        os.chmod(program, 0o755)
        os.makedirs(host.path(""), exist_ok=True)
        for path in (host.dir, host.path("")):
            os.chown(path, nobody, nobody)
            os.chmod(path, 0o700)
        done = subprocess.run([program, "doctor", "--json"], env=host.env, user=nobody, group=nobody,
                              extra_groups=[], capture_output=True, text=True, check=False,
                              timeout=neapvm.PATIENCE_S)
        rows = {row["what"]: row for row in json.loads(done.stdout)}
        found = rows["userfaultfd"]
        if found["verdict"] == "ok":
            assert "allowed by" in found["finding"], found
            return
        assert "no right to use userfaultfd" in found["finding"], found
        for word in ("/dev/userfaultfd", "CAP_SYS_PTRACE", "vm.unprivileged_userfaultfd"):
            assert word in found["finding"], found
        assert "sudo " in found["advice"], found
        assert rows["swap"]["finding"] == "impossible without userfaultfd", rows["swap"]


def doctor_says_what_this_host_can_do_and_what_to_do():
    with Host() as host:
        done = host.neap("doctor")
        assert done.returncode in (OK, HOST), done
        for what in ("/dev/kvm", "guest ring 0", "2 MiB pages", "userfaultfd", "swap", "limits", "memory",
                     "control sockets", "KVM module"):
            assert re.search(rf"^(ok|warn|missing) +{what} ", done.stdout, re.M), (what, done.stdout)
        rows = json.loads(host.neap("doctor", "--json").stdout)
        for row in rows:
            assert row["verdict"] in ("ok", "warn", "missing") and row["finding"], row
            assert row["verdict"] == "ok" or row["advice"] or not os.path.exists("/dev/kvm"), row
        assert (done.returncode == HOST) == any(row["verdict"] == "missing" for row in rows)


STATES = ("absent", "resident", "sampled", "writing", "swapped", "reading")
ACTORS = ("pager", "device", "swap", "sampler", "ahead")


def write_trace(path, moves, ring=8, written=None, ram=64 * MIB):
    """A trace file as src/memory/trace_format.h has it: @moves are (time_ns, block, from, to, actor)."""
    written = len(moves) if written is None else written
    header = struct.pack("<8sIIQQQQQII64xQ", b"neap\ntrc", 1, 16, ram, 2 * MIB, ring,
                         1_700_000_000 * 10**9, 0, len(STATES), len(ACTORS), written)
    slots = [bytes(16)] * ring
    for number, (time_ns, block, before, after, actor) in enumerate(moves):
        mark = (number // ring + 1) & 0xFFF
        slots[number % ring] = struct.pack(
            "<QQ", time_ns // 64 << 12 | mark,
            block << 32 | STATES.index(after) << 28 | STATES.index(before) << 24 |
            ACTORS.index(actor) << 20 | mark)
    with open(path, "wb") as file:
        file.write(header.ljust(4096, b"\0") + b"".join(slots))


def trace_counts_moves_and_says_how_long_blocks_stayed():
    with Host() as host:
        path = host.dir + "/trace"
        write_trace(path, [(64, 1, "absent", "resident", "pager"), (128, 2, "absent", "resident", "device"),
                           (64 + 64000, 1, "resident", "writing", "swap"),
                           (64 + 128000, 1, "writing", "swapped", "swap")])
        out = check(host.neap("trace", path), OK, out=r"RAM of 64 MiB in 32 blocks").stdout
        for line in (r"^4 moves within 128 us\.$", r"^ +2 +absent +resident +- +- +pager, device  touched",
                     r"^ +1 +resident  writing +6[0-9] us +6[0-9] us +swap +unmapped and chosen"):
            assert re.search(line, out, re.M), (line, out)
        whole = json.loads(host.neap("trace", path, "--json").stdout)
        assert (whole["written"], whole["read"], whole["lost"], whole["torn"]) == (4, 4, 0, 0), whole
        assert whole["moves"][0]["by"] == {"pager": 1, "device": 1}, whole
        assert whole["moves"][1]["stayed_ns"]["longest"] == 64000, whole
        lines = check(host.neap("trace", path, "--list"), OK).stdout.splitlines()
        assert len(lines) == 4 and re.search(r"block 1 +writing +-> swapped +swap +stored", lines[3]), lines
        moves = [json.loads(line) for line in host.neap("trace", path, "--list", "--json").stdout.splitlines()]
        assert moves[2] == {"number": 2, "time_ns": 64064, "block": 1, "from": "resident",
                            "to": "writing", "by": "swap"}, moves


def trace_says_what_the_ring_does_not_hold_any_more():
    with Host() as host:
        path = host.dir + "/trace"
        moves = [(64 * i, i % 4, "absent", "resident", "pager") for i in range(21)]
        write_trace(path, moves)
        check(host.neap("trace", path), OK, out="13 older moves were overwritten: the file keeps the newest 8")
        write_trace(path, moves[:3] + [(192, 1, "swapped", "resident", "swap")], written=6)
        check(host.neap("trace", path), OK, out="2 were begun and not finished")
        check(host.neap("trace", path), OK, out="not a move that neap makes")
        write_trace(path, [(64, 40, "absent", "resident", "pager")])
        check(host.neap("trace", path), OK, out="1 records are damaged and left out")
        write_trace(path, [])
        check(host.neap("trace", path), OK, out="^Guest RAM of 64 MiB.*\n0 moves")


def trace_refuses_what_is_no_trace_in_one_sentence():  # TR01
    with Host() as host:
        path = host.dir + "/trace"
        check(host.neap("trace", path), FAILED, err="No such file")
        check(host.neap("trace", host.dir), FAILED, err="not a regular file")
        check(host.neap("trace", "/dev/zero"), FAILED, err="not a regular file")
        os.mkfifo(path)
        check(host.neap("trace", path), FAILED, err="not a regular file")
        os.unlink(path)
        for content, said in ((b"", "is no trace"), (b"neap\ntrc", "is no trace"),
                              (os.urandom(1 << 16), "is no trace")):
            with open(path, "wb") as file:
                file.write(content)
            check(host.neap("trace", path), FAILED, err=said)
        write_trace(path, [], ring=3)
        check(host.neap("trace", path), FAILED, err="makes no sense")
        write_trace(path, [], ram=1 << 60)
        check(host.neap("trace", path), FAILED, err="makes no sense")
        write_trace(path, [], ring=64)
        os.truncate(path, 5000)
        check(host.neap("trace", path), FAILED, err="cut short")


def a_directory_that_others_can_enter_is_refused_with_the_remedy():
    with Host() as host:
        host.start()
        os.chmod(host.path(""), 0o755)
        check(host.neap("ps"), FAILED, err="open to others.*chmod 700")
        check(host.neap("run", "--detach", "--name", "b"), FAILED, err="chmod 700")
        os.chmod(host.path(""), 0o700)


def output_that_cannot_be_written_is_no_success():
    with Host() as host, open("/dev/full", "w", encoding="utf-8") as full:
        host.start()
        done = subprocess.run([neapvm.neap_path(), "info", "web", "--json"], env=host.env, stdout=full,
                              stderr=subprocess.PIPE, timeout=neapvm.PATIENCE_S)
        assert done.returncode == FAILED, done


def many_clients_at_once_all_get_their_answer():
    with Host() as host:
        host.start("web", "--cmdline", "chatter")
        processes = [subprocess.Popen([neapvm.neap_path(), "info", "web", "--json"], env=host.env,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(20)]
        for process in processes:
            out = process.communicate(timeout=neapvm.PATIENCE_S)[0]
            assert process.returncode == OK and json.loads(out)["info"]["name"] == "web"


def main():
    here = sys.modules[__name__]
    helpers = {"check", "main", "follow", "connections", "wait_for_socket", "read_until", "wait_reading",
               "on_terminal", "write_trace"}
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
