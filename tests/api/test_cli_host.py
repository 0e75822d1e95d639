#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The same commands where a host's daemon answers: what goes to it, what is shown, and what still works
without it. The daemon is fake_host.py, its VMs are fake-neap's."""
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
from fake_host import FakeHost  # noqa: E402

OK, FAILED, USAGE, HOST, NO_VM, STATE = 0, 1, 2, 3, 4, 5
MIB = 2 ** 20


class Site:
    """A runtime directory with a daemon, and this user's neap."""

    def __init__(self, with_daemon=True):
        self.dir = tempfile.mkdtemp(prefix="neap-clh-")
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.dir, LC_ALL="C.UTF-8")
        self.env.pop("NEAP_HOST_SOCKET", None)
        self.daemon = FakeHost(self.dir)
        self.with_daemon = with_daemon

    def __enter__(self):
        if self.with_daemon:
            self.daemon.__enter__()
        return self

    def __exit__(self, *_):
        for row in json.loads(self.neap("ps", "--json", "--host", "none").stdout or "[]"):
            if row["pid"]:
                os.kill(row["pid"], signal.SIGKILL)
        if self.with_daemon:
            self.daemon.__exit__()
        shutil.rmtree(self.dir)

    def neap(self, *words, **env):
        return subprocess.run([neapvm.neap_path(), *words], env=dict(self.env, **env), text=True, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=neapvm.PATIENCE_S)

    def json(self, *words):
        done = self.neap(*words, "--json")
        assert done.returncode == OK, done
        return json.loads(done.stdout)

    def create(self, name, *flags):
        check(self.neap("create", "--name", name, "--memory", "64M", *flags), OK, out=f"^{name}\n$")
        return self

    def popen(self, *words):
        return subprocess.Popen([neapvm.neap_path(), *words], env=self.env, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def check(done, code, out="", err=""):
    shown = f"exit {done.returncode}\n--- out\n{done.stdout}\n--- err\n{done.stderr}"
    assert done.returncode == code, f"wanted exit {code}, got {shown}"
    assert re.search(out, done.stdout, re.M), f"wanted {out!r}: {shown}"
    assert re.search(err, done.stderr, re.M), f"wanted {err!r} on standard error: {shown}"
    if code != OK:
        assert re.fullmatch(r"(neap: .+\n)+", done.stderr), f"not in sentences: {shown}"
    return done


def until(condition):
    deadline = time.monotonic() + neapvm.PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- the life of a VM ----------------------------------------------------------------------------

def a_vm_is_stored_started_stopped_and_forgotten():
    with Site() as site:
        site.create("web", "--label", "env=prod", "--label", "front", "--restart", "on-failure", "--autostart")
        stored = site.daemon.vms["web"]
        assert (stored["labels"], stored["restart"], stored["autostart"]) == \
            ({"env": "prod", "front": ""}, "on-failure", True), stored
        assert stored["config"]["memory"]["maximum"] == "64M" and stored["config"]["name"] == "web", stored
        check(site.neap("start", "web"), OK, out="^web: running$")
        check(site.neap("start", "web"), STATE, err="web: .*runs already")
        check(site.neap("delete", "web"), STATE, err="stop it first")
        check(site.neap("stop", "web", "--wait"), OK, out="^web: stopped$")
        check(site.neap("delete", "web"), OK, out="^web: deleted$")
        check(site.neap("start", "web"), NO_VM, err='neapd knows no VM named "web"')


def create_can_start_at_once_and_says_all_of_it_as_json():
    with Site() as site:
        created = site.json("create", "--name", "web", "--memory", "64M", "--start")
        assert set(created) == {"name", "uuid", "pid", "state"} and created["state"] == "running", created
        check(site.neap("create", "--name", "web"), FAILED, err="known already")
        check(site.neap("create", "--name", "b", "--restart", "often"), USAGE, err="often")
        check(site.neap("create", "--name", "b", "--label", "=x"), USAGE, err="--label KEY=VALUE")
        check(site.neap("create", "--name", "b", "--memory", "much"), USAGE, err="not a size")
        assert list(site.daemon.vms) == ["web"]


def a_start_that_finds_no_memory_is_refused_with_numbers_or_waits():
    with Site() as site:
        site.create("web", "--label", "size=huge")
        check(site.neap("start", "web"), HOST, err="needs 64 GiB.*room for 1 GiB.*--wait")
        check(site.neap("start", "web", "--wait"), OK, out="running", err="room for 1 GiB; waiting")
        assert ("vm.start", {"vm": "web", "wait": True}) in site.daemon.requests
        done = site.neap("create", "--name", "b", "--memory", "64M", "--label", "size=huge", "--start")
        check(done, HOST, out="^b$", err="b is stored and does not run .neap start b")


def every_command_reaches_a_vm_through_the_daemon_by_name_or_uuid():
    with Site() as site:
        site.create("web", "--start")
        uuid = site.daemon.vms["web"]["uuid"]
        for name in ("web", uuid):
            check(site.neap("info", name), OK, out="^web is running")
            check(site.neap("pause", name), OK, out="paused")
            check(site.neap("resume", name), OK, out="running")
            check(site.neap("reset", name), OK, out="running")
            check(site.neap("why", name), OK, out="in mode auto")
        check(site.neap("set", "web", "memory=32M", "--wait"), OK, out="taken 32 MiB", err="by hand")
        check(site.neap("kill", "web"), OK, out="^web: stopped$")
        asked = {method for method, params in site.daemon.requests if params.get("vm") in ("web", uuid)}
        assert asked >= {"vm.info", "vm.memory", "vm.pause", "vm.resume", "vm.reset", "vm.memory.why",
                         "vm.memory.set", "vm.kill"}, asked


def json_has_the_same_shape_with_and_without_a_daemon():
    with Site() as site:
        site.create("web", "--start")
        for words in (["info", "web"], ["pause", "web"], ["resume", "web"], ["why", "web"],
                      ["set", "web", "memory.weight=7"], ["top"]):
            by_daemon, alone = site.json(*words), site.json(*words, "--host", "none")
            assert set(by_daemon) == set(alone), (words, by_daemon, alone)
        row, = site.json("ps")
        own, = site.json("ps", "--host", "none")
        assert set(own) <= set(row), (row, own)
        for key in set(own) - {"uptime_ns"}:
            assert row[key] == own[key], (key, row, own)


def a_vm_that_does_not_run_is_shown_as_what_it_will_be():
    with Site() as site:
        site.create("web", "--label", "env=prod", "--restart", "always")
        out = check(site.neap("info", "web"), OK, out="^web is stopped$").stdout
        for line in (r"memory +64M", r"kernel +embedded", r"labels +env=prod", r"restart +always"):
            assert re.search(line, out), (line, out)
        assert "memory" not in site.json("info", "web")
        check(site.neap("start", "web"), OK)
        check(site.neap("info", "web"), OK, out="neapd keeps it(.|\n)*labels +env=prod(.|\n)*maximum +64 MiB")


# --- many -----------------------------------------------------------------------------------------

def ps_shows_states_labels_and_restarts_in_one_call():
    with Site() as site:
        site.create("a", "--label", "env=prod", "--start").create("b", "--label", "env=test")
        site.daemon.vms["a"]["restarts"] = 3
        site.daemon.requests.clear()
        lines = check(site.neap("ps"), OK).stdout.splitlines()
        assert [method for method, _ in site.daemon.requests] == ["vm.list"], site.daemon.requests
        assert lines[0].split() == ["NAME", "STATE", "MEMORY", "ASSIGNED", "RESIDENT", "UP", "RESTARTS", "PID",
                                    "LABELS"], lines
        assert re.match(r"a +running +64 MiB +64 MiB +64 MiB .* 3 +\d+  env=prod$", lines[1]), lines
        assert re.match(r"b +stopped +- .* 0 +-  env=test$", lines[2]), lines
        assert [row["name"] for row in site.json("ps", "-l", "env=prod")] == ["a"]
        assert [row["name"] for row in site.json("ps", "--selector", "state=stopped")] == ["b"]
        check(site.neap("ps", "-l", "env=none"), OK, err="no VM is selected")


def labels_are_cut_where_a_terminal_ends_and_nowhere_else():
    with Site() as site:
        labels = {"team": "platform-engineering", "env": "production-eu-west", "owner": "a" * 27 + "\u00e9" * 30}
        site.create("web", *(word for key, value in labels.items() for word in ("--label", f"{key}={value}")))
        whole = "team=platform-engineering,env=production-eu-west,owner=" + labels["owner"]
        check(site.neap("ps"), OK, out=f"^web +stopped.* {whole}$")
        for columns, shown in (160, 160), (100, 100), (20, 0):
            with screen.Terminal([neapvm.neap_path(), "ps"], site.env, 24, columns) as terminal:
                terminal.until(r"\.\.\.$")
                assert terminal.wait() == 0
                lines = [line for line in terminal.screen.lines() if line]
                assert "\ufffd" not in terminal.screen.text(), lines
                assert not shown or (len(lines) == 2 and shown - 2 <= len(lines[1]) <= shown), lines


def ps_and_top_list_five_thousand_vms():
    """One answer of a daemon may have so many values; what a client sends it may not."""
    with Site() as site:
        usage = {key: 64 * MIB for key in ("maximum_bytes", "startup_bytes", "minimum_bytes", "demand_bytes",
                                           "want_bytes", "assigned_bytes", "target_bytes", "resident_bytes")}
        usage.update((f"number_{i}", i) for i in range(16))
        site.daemon.vm_list = lambda selector="all": {"vms": [
            {"name": f"vm-{i:04}", "uuid": "7d1f0000-0000-4000-8000-%012x" % i, "labels": {"tier": "web", "rack": "a"},
             "autostart": False, "restart": "never", "restarts": 0, "transient": True, "state": "running", "reason": "",
             "pid": 10 + i, "uptime_ns": 10**9, "cpus": 1, "usage": usage} for i in range(5000)]}
        begun = time.monotonic()
        rows = site.json("ps")
        assert len(rows) == 5000 and rows[4999]["name"] == "vm-4999", len(rows)
        lines = check(site.neap("ps"), OK).stdout.splitlines()
        assert len(lines) == 5001 and lines[-1].startswith("vm-4999  running"), lines[-1]
        with screen.Terminal([neapvm.neap_path(), "top"], site.env, 24, 100) as terminal:
            terminal.until("^vm-0000 ")
            terminal.type("q")
            assert terminal.wait() == 0
        print("ps, ps --json and top of 5,000 VMs: %.1f s" % (time.monotonic() - begun))


def a_selector_does_it_to_all_with_a_result_for_each():
    with Site() as site:
        for name in ("a", "b", "c"):
            site.create(name, "--label", "env=prod" if name != "c" else "env=test")
        check(site.neap("start", "-l", "env=prod"), OK, out=r"^a +running\nb +running$")
        check(site.neap("pause", "--selector", "all"), FAILED, out=r"^c +failed: .*not run",
              err="1 of 3 VMs failed")
        assert site.json("resume", "-l", "env=prod")["results"][0] == {"vm": "a", "result": {"state": "running"}}
        check(site.neap("set", "-l", "env=prod", "balloon=16M"), OK, out=r"^b +done$")
        check(site.neap("stop", "-l", "env=prod", "--wait"), OK, out=r"^a +stopped\nb +stopped$")
        check(site.neap("delete", "-l", "env=prod"), OK, out=r"^b +deleted$")
        check(site.neap("kill", "-l", "env=prod"), NO_VM, err='no VM is selected by "env=prod"')
        check(site.neap("start", "c", "-l", "all"), USAGE, err="not both")
        check(site.neap("start"), USAGE, err="write: neap start NAME")


def stopping_many_and_waiting_names_those_that_ignore_it():
    with Site() as site:
        site.create("well", "--start").create("deaf", "--cmdline", "deaf", "--start")
        check(site.neap("stop", "-l", "all", "--wait", "--timeout", "1"), FAILED,
              out=r"^deaf +failed: .*ignore the button\nwell +stopped$", err="1 of 2")


def selectors_need_a_daemon():
    with Site(with_daemon=False) as site:
        for words in (["ps", "-l", "all"], ["stop", "-l", "all"], ["set", "-l", "all", "memory.weight=1"]):
            check(site.neap(*words), FAILED, err="VMs are selected by neapd, and none runs here")
        for words in (["create", "--name", "a"], ["start", "a"], ["delete", "a"], ["host"], ["events", "--all"]):
            check(site.neap(*words), FAILED, err="by neapd, and none runs here .start it: neapd")


# --- settings -------------------------------------------------------------------------------------

def set_keeps_options_and_says_what_holds_when():
    with Site() as site:
        site.create("web")
        check(site.neap("set", "web", "cpus=4", "memory.minimum=32M"), OK,
              out="^web: at the next start: cpus, memory.minimum$|at the next start: memory.minimum, cpus$")
        assert site.daemon.vms["web"]["set"] == {"cpus": 4, "memory.minimum": "32M"}, site.daemon.vms
        check(site.neap("start", "web"), OK)
        check(site.neap("set", "web", "memory.minimum=48M", "memory.maximum=128M", "label.env=prod", "restart=always",
                        "autostart=on"), OK,
              out="^web: at once: memory.minimum, label.env, autostart, restart; at the next start: memory.maximum$")
        assert site.daemon.vms["web"]["labels"] == {"env": "prod"} and site.daemon.vms["web"]["autostart"] is True
        check(site.neap("set", "web", "memory.minimum=16M"), OK, out="^mode auto, minimum 16 MiB")
        check(site.neap("info", "web"), OK, out="next start +changes cpus")
        check(site.neap("set", "web", "label.env="), OK, out="^web: at once: label.env$")
        assert site.daemon.vms["web"]["labels"] == {}
        results = site.json("set", "-l", "all", "cpus=2")["results"]
        assert results == [{"vm": "web", "result": {"live": [], "next_start": ["cpus"]}}], results


def set_refuses_what_cannot_be_meant():
    with Site() as site:
        check(site.neap("run", "--name", "own", "--memory", "64M", "--detach"), OK)
        site.create("web", "--start")
        for words, said in ((["web", "cpus=none"], "cpus: "), (["web", "cpu=2"], "did you mean cpus"),
                            (["web", "memory=32M", "cpus=2"], "is kept: use two commands"),
                            (["web", "autostart=perhaps"], "autostart is on or off"),
                            (["web", "label.=x"], "label.NAME=VALUE"), (["web", "cpus=1", "cpus=2"], "given twice"),
                            (["own", "cpus=2"], "no next start for cpus"),
                            (["-l", "all", "memory=1G", "--wait"], "does not go with --selector")):
            check(site.neap("set", *words), USAGE, err=said)
        check(site.neap("set", "own", "memory.weight=5"), OK, out="weight 5")
        assert [params for method, params in site.daemon.requests if method == "vm.update"] == \
            [{"vm": "own", "set": {"cpus": 2}}], site.daemon.requests


# --- with and without ---------------------------------------------------------------------------------

def a_daemon_that_is_gone_costs_a_line_and_single_vms_go_on():
    with Site() as site:
        site.create("web", "--start")
        site.daemon.__exit__()
        with socket.socket(socket.AF_UNIX) as left_over:
            left_over.bind(site.daemon.path)
        check(site.neap("info", "web"), OK, out="^web is running",
              err="^neap: neapd does not answer at .*neapd.sock .nobody listens there.: going on")
        check(site.neap("ps"), OK, out="^web +running")
        os.unlink(site.daemon.path)
        done = check(site.neap("info", "web"), OK, out="^web is running")
        assert done.stderr == "", done
        site.daemon = FakeHost(site.dir)
        site.daemon.__enter__()


def a_socket_that_was_named_is_the_only_one():
    with Site() as site:
        site.create("web", "--start")
        other = site.dir + "/other.sock"
        check(site.neap("info", "web", "--host", other), FAILED, err="no neapd at .*other.sock: there is no such")
        check(site.neap("info", "web", NEAP_HOST_SOCKET=other), FAILED, err="no neapd at")
        check(site.neap("info", "web", "--host", site.daemon.path, NEAP_HOST_SOCKET=other), OK)
        check(site.neap("ps", NEAP_HOST_SOCKET="none"), OK, out="^NAME +STATE +CPUS")
        site.daemon.adopt = lambda: None
        check(site.neap("run", "--name", "own", "--memory", "64M", "--detach"), OK)
        check(site.neap("kill", "own", "--host", site.daemon.path), NO_VM, err="neapd knows no VM")


def a_vm_that_the_daemon_does_not_know_is_reached_by_its_own_socket():
    with Site() as site:
        site.daemon.adopt = lambda: None
        check(site.neap("run", "--name", "own", "--memory", "64M", "--detach"), OK)
        check(site.neap("info", "own"), OK, out="own is running")
        check(site.neap("set", "own", "memory.weight=3"), OK, out="weight 3")
        assert [row["name"] for row in site.json("ps")] == ["own"]
        check(site.neap("stop", "own", "--wait"), OK, out="own: stopped")


def an_unknown_name_is_suggested_from_what_the_daemon_knows():
    with Site() as site:
        site.create("web").create("mail")
        check(site.neap("start", "wep"), NO_VM, err="did you mean web.*it knows mail, web")
        check(site.neap("info", "x" * 200), NO_VM)


def errors_of_the_daemon_have_exit_codes_and_one_sentence():
    with Site() as site:
        site.create("web", "--start")
        for code, exit_code in ((1, STATE), (11, STATE), (8, HOST), (4, FAILED), (-32602, USAGE),
                                (9, FAILED), (7, FAILED)):
            site.daemon.refuse = {"vm.pause": (code, "no, since so it is")}
            done = check(site.neap("pause", "web"), exit_code)
            assert re.search("since so it is|does not answer", done.stderr), done
            assert len(done.stderr.splitlines()) == 1, done


# --- events, logs and the console -------------------------------------------------------------------

def events_of_all_vms_name_each():
    with Site() as site:
        follower = site.popen("events", "--all")
        until(lambda: site.daemon.subscribers)
        site.create("web")
        site.daemon.publish("host.pool", None, {"pool": "2M", "state": "soft", "was": "clear"})
        site.daemon.publish("vm.updated", "web", {"live": ["cpus", "\x1b[2J"], "next_start": []})
        seen = [follower.stdout.readline() for _ in range(3)]
        follower.terminate()
        follower.communicate()
        assert re.match(r"\d\d:\d\d:\d\d\.\d{3}  web +vm\.created +uuid ", seen[0]), seen
        assert re.search(r"  - +host\.pool +pool 2M  state soft  was clear$", seen[1]), seen
        assert re.search(r"live cpus, \?\[2J$", seen[2]), seen


def events_of_one_vm_end_with_it():
    with Site() as site:
        site.create("web", "--start").create("other", "--start")
        people = site.popen("events", "web")
        program = site.popen("events", "web", "vm.reset", "--json")
        until(lambda: len(site.daemon.subscribers) == 2)
        site.daemon.publish("vm.reset", "other", {})
        site.daemon.publish("vm.reset", "web", {"cause": "request"})
        site.daemon.publish("vm.ended", "web", {"reason": "it crashed", "restart_in_ms": 500})
        site.daemon.publish("vm.ended", "web", {"reason": "it is off"})
        out = people.communicate(timeout=neapvm.PATIENCE_S)[0].splitlines()
        assert people.returncode == OK and len(out) == 3 and "it is off" in out[2], out
        lines = [json.loads(line) for line in program.communicate(timeout=neapvm.PATIENCE_S)[0].splitlines()]
        assert [(line["kind"], line["vm"]) for line in lines] == [("vm.reset", "web")], lines


def events_go_on_where_they_were_when_the_daemon_is_back():
    with Site() as site:
        follower = site.popen("events", "--all", "--json")
        until(lambda: site.daemon.subscribers)
        site.daemon.publish("host.pool", None, {"n": 1})
        assert json.loads(follower.stdout.readline())["seq"] == 1
        before = site.daemon
        site.daemon.__exit__()
        before.events += [{"seq": seq, "time_ns": seq, "kind": "host.pool", "data": {}} for seq in (2, 3, 4)]
        before.kept = 2
        site.daemon = FakeHost(site.dir)
        site.daemon.events, site.daemon.kept, site.daemon.first = before.events, before.kept, 2
        site.daemon.__enter__()
        assert [json.loads(follower.stdout.readline())["seq"] for _ in range(2)] == [3, 4]
        follower.terminate()
        err = follower.communicate()[1]
        assert "neapd is gone; waiting" in err and "is back; what happened in between" in err, err
        replay = site.popen("events", "--all", "--after", "0", "--json")
        assert json.loads(replay.stdout.readline())["seq"] == 3
        replay.terminate()
        assert "at most 2 events are not kept any more" in replay.communicate()[1]
        site.daemon.first = 0
        replay = site.popen("events", "--all", "--after", "1", "--json")
        assert json.loads(replay.stdout.readline())["seq"] == 3
        replay.terminate()
        assert "neap: 1 events are not kept any more" in replay.communicate()[1]
        check(site.neap("events", "--all", "--after", "some"), USAGE, err="number of an event")


def logs_show_the_end_and_follow_through_a_rotation():
    with Site() as site:
        site.create("web", "--start")
        path = site.daemon.log_path(site.daemon.vms["web"])
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"line {number}\n" for number in range(300))
        out = check(site.neap("logs", "web"), OK).stdout.splitlines()
        assert len(out) == 100 and out[-1] == "line 299", out[-3:]
        assert site.neap("logs", "web", "--lines", "2").stdout == "line 298\nline 299\n"
        assert site.json("logs", "web", "--lines", "1") == {"path": path, "lines": ["line 299"]}
        follower = site.popen("logs", "web", "--follow", "--lines", "1")
        assert follower.stdout.readline() == "line 299\n"
        with open(path, "a", encoding="utf-8") as file:
            file.write("more\n")
            file.flush()
            assert follower.stdout.readline() == "more\n"
            os.rename(path, path + ".1")
            with open(path, "w", encoding="utf-8") as fresh:
                file.write("last of the old\n")
                file.flush()
                fresh.write("first of the new\n")
        assert follower.stdout.readline() == "last of the old\n"
        assert follower.stdout.readline() == "first of the new\n"
        follower.terminate()
        follower.communicate()
        check(site.neap("logs", "web", "--lines", "all"), USAGE, err="--lines takes a number")
        check(site.neap("logs", "none"), NO_VM, err="knows no VM")


def logs_of_a_detached_vm_need_no_daemon():
    with Site(with_daemon=False) as site:
        check(site.neap("run", "--name", "web", "--detach"), OK)
        path = os.path.join(site.dir, "neap", "web.log")
        with open(path + ".1", "w", encoding="utf-8") as file:
            file.write("older\n")
        with open(path, "w", encoding="utf-8") as file:
            file.write("newer\nnewest")
        assert site.neap("logs", "web").stdout == "older\nnewer\nnewest"
        assert site.neap("logs", "web", "--lines", "2").stdout == "newer\nnewest"
        assert site.neap("logs", "web", "--lines", "0").stdout == ""
        check(site.neap("logs", "mail"), FAILED, err="there is no log .*mail.log")
        check(site.neap("logs", "web", "--json"), FAILED, err="files")


def the_console_comes_through_the_daemon():
    with Site() as site:
        site.create("web", "--start")
        done = subprocess.run([neapvm.neap_path(), "console", "web"], env=site.env, input="hello\n", text=True,
                              capture_output=True, timeout=neapvm.PATIENCE_S, check=False)
        check(done, OK, out=r"^fake guest\nHELLO\n")
        assert [params for method, params in site.daemon.requests if method == "vm.console"] == [{"vm": "web"}]
        site.daemon.vm_console = lambda vm, how="fd": {"how": "path", "path": "/"}
        check(site.neap("console", "web"), FAILED, err="handed no console over")


def doctor_says_whether_a_daemon_answers():
    with Site() as site:
        def finding(**env):
            rows = json.loads(site.neap("doctor", "--json", **env).stdout)
            return {row["what"]: (row["verdict"], row["finding"]) for row in rows}["neapd"]

        assert finding() == ("ok", f"version 1.2.3 answers at {site.daemon.path}"), finding()
        site.daemon.refuse = {"host.info": (-32603, "no")}
        assert finding()[0] == "warn" and "does not answer" in finding()[1], finding()
        assert finding(NEAP_HOST_SOCKET="/none.sock")[0] == "warn"
        assert finding(NEAP_HOST_SOCKET="none") == ("ok", "does not run: every VM is by itself")


# --- the host -----------------------------------------------------------------------------------------

def pool(**changes):
    return {"name": "2M", "frame_bytes": 2 * MIB, "total_bytes": 1024 * MIB, "free_bytes": 512 * MIB,
            "used_bytes": 384 * MIB, "granted_bytes": 640 * MIB, "promised_bytes": 256 * MIB,
            "others_bytes": 128 * MIB, "room_bytes": 200 * MIB, "state": "soft",
            "marks": {"clear_bytes": 80 * MIB, "soft_bytes": 60 * MIB, "hard_bytes": 30 * MIB, "low_bytes": 10 * MIB},
            "waiting": [{"vm": "later", "startup_bytes": 900 * MIB}],
            "vms": [{"vm": "web", "uuid": "u", "minimum_bytes": 64 * MIB, "want_bytes": 512 * MIB,
                     "held_bytes": 256 * MIB, "grant_bytes": 400 * MIB, "weight": 1000, "active_percent": 37,
                     "rho": 2.5, "answering": True},
                    {"vm": "db", "uuid": "v", "minimum_bytes": 64 * MIB, "want_bytes": 128 * MIB,
                     "held_bytes": 128 * MIB, "grant_bytes": 240 * MIB, "weight": 500, "rho": 1.25,
                     "answering": False}]} | changes


def host_draws_the_pool_and_says_who_has_what_and_why():
    with Site() as site:
        site.daemon.pools = [pool(), pool(name="4K", total_bytes=0)]
        out = check(site.neap("host"), OK).stdout
        for line in (r"^neapd 1\.2\.3, process \d+, up 5\.0 s; VMs: none", r"^set aside: .*old.json: no JSON",
                     r"^no metrics at 127.0.0.1:9180: taken",
                     r"^2M: 512 MiB free of 1 GiB, pages of 2 MiB, soft: VMs give back",
                     r"others +128 MiB", r"VMs +384 MiB", r"promised +256 MiB", r"kept +56 MiB", r"room +200 MiB",
                     r"soft below 60 MiB free, hard below 30 MiB, low below 10 MiB",
                     r"web +256 MiB +400 MiB +512 MiB +64 MiB +1000 +37 % +2\.5 +wants more: shared out",
                     r"db +128 MiB +240 MiB .* +- +1\.25 +does not answer",
                     r"later waits to start: needs 900 MiB, there is room for 200 MiB", r"reserved none"):
            assert re.search(line, out, re.M), (line, out)
        bar = re.search("^  ([▓█▒░▁]{56})$", out, re.M).group(1)
        assert [bar.count(cell) for cell in "▓█▒░▁"] == [7, 21, 14, 3, 11], bar
        assert max(map(len, out.splitlines())) <= 120, out
        assert re.search("^  %{7}#{21}[+]{14}-{3}[.]{11}$", site.neap("host", LC_ALL="C").stdout, re.M)
        assert site.json("host")["pools"] == site.daemon.pools


def host_survives_numbers_that_make_no_sense():
    with Site() as site:
        for strange in (pool(used_bytes=2**62, others_bytes=2**62), pool(room_bytes=-5), pool(vms=None, marks=None),
                        pool(state="\x1b[2J"), {}, pool(vms=[{}]), pool(waiting=[{}])):
            site.daemon.pools = [strange]
            out = check(site.neap("host"), OK).stdout
            assert "\x1b" not in out, out


def a_daemon_that_talks_nonsense_crashes_no_command():
    strange = ({}, {"vms": 5}, {"vms": [5, None, {}]}, {"results": {}}, {"lines": [1, None, "\x1b"], "path": 7},
               {"vms": [{"name": "a\x1b", "state": 7, "labels": [], "usage": {"maximum_bytes": -1, "status": 99}}]},
               {"vms": [{"name": "x" * 500, "state": "running", "pid": 1, "labels": {"k": None, "j": "v" * 500},
                         "usage": {"maximum_bytes": 2**60, "status": 99, "mode": 99}}]},
               {"name": [], "host": {"next_start": [1], "labels": 5}, "config": 3},
               {"pid": 1, "host": 5, "memory": 1, "frames": {"resident": -1}, "policy": {"status": 3}},
               {"results": [5, {"vm": 3, "error": {}}, {"vm": "b", "error": 5}, {"vm": "c", "result": []}]},
               {"name": "a\x1b", "state": "\x1b[2J", "reason": "\x1b\n", "rule": "\x1b", "mode": "\x1b", "text": "\x1b x"},
               {"name": "a\x1b", "state": "\x1b[2J", "reason": "\x1b\n", "pid": 1, "uuid": "\x1b", "status": "\x1b"},
               {"live": 3, "next_start": [None]}, {"missed": 2**62, "seq": "x"}, {"how": "fd", "path": "/"})
    with Site() as site:
        for answer in strange:
            site.daemon.do = lambda connection, method, params, answer=answer: dict(answer)
            for words in (["ps"], ["ps", "--json"], ["ps", "-l", "all"], ["info", "a"], ["why", "a"], ["logs", "a"],
                          ["stop", "-l", "all"], ["start", "a"], ["delete", "a"], ["set", "a", "cpus=2"],
                          ["set", "-l", "all", "cpus=2"], ["host"], ["top", "--once"], ["create", "--name", "a"],
                          ["trace", "a", "--once"], ["pause", "a"], ["completion", "words", "--", "info", ""]):
                done = site.neap(*words)
                assert done.returncode >= 0, (words, answer, done)  # no signal
                if words[0] != "logs":  # a log is printed as it is, but on a terminal
                    assert "\x1b" not in done.stdout + done.stderr, (words, answer, done)


# --- top ----------------------------------------------------------------------------------------------

def top_is_fed_by_one_list_and_asks_for_more_where_somebody_looks():
    with Site() as site:
        site.create("a", "--start").create("b", "--cmdline", "hungry", "--start").create("c")
        with screen.Terminal([neapvm.neap_path(), "top"], site.env, 24, 100) as terminal:
            terminal.until(r"^a +running OK +64M +128M +64M")
            terminal.until(r"^b +running Warning")
            terminal.until(r"^a  mode auto, minimum 64 MiB, maximum 64 MiB, buffer 20 %, weight 1000$")
            assert "c " not in terminal.screen.text(), terminal.screen.text()
            terminal.type("j")
            terminal.until(r"^maximum: the VM has all that its maximum allows +\(neap why b\)$")
            terminal.type("w250\r")
            terminal.until("^b has the new setting$")
            terminal.until("^b .*weight 250$")
            site.daemon.refuse = {"vm.memory.set": (-32602, "such a weight makes no sense")}
            terminal.type("w99\r")
            terminal.until("^b: such a weight makes no sense")
            site.daemon.requests.clear()
            until(lambda: (terminal.read(0.01), ("vm.list", {}) in site.daemon.requests[2:])[1])
            asked = [(method, params.get("vm")) for method, params in site.daemon.requests]
            assert set(asked) == {("vm.list", None), ("vm.memory", "b")}, asked
            site.daemon.__exit__()  # VMs live on, and are seen by their own sockets
            site.neap("run", "--name", "own", "--memory", "64M", "--detach")
            terminal.until(r"^own +running")
            site.daemon = FakeHost(site.dir)
            site.daemon.__enter__()
            until(lambda: (terminal.read(0.01), site.daemon.requests)[1])
            terminal.until(r"^own +running")
            terminal.type("q")
            assert terminal.wait() == 0 and terminal.is_restored()


def top_once_has_all_numbers_of_every_vm_and_shows_those_that_wait():
    with Site() as site:
        site.create("a", "--start").create("b", "--start")
        rows = {row["name"]: row for row in site.json("top")["vms"]}
        own = {row["name"]: row for row in site.json("top", "--host", "none")["vms"]}
        assert rows == own, (rows, own)
        listed = site.daemon.vm_list
        site.daemon.vm_list = lambda **params: {"vms": listed(**params)["vms"] + [
            {"name": "later", "state": "pending"}, {"name": "mute", "state": "silent", "pid": 7},
            {"name": "young", "state": "starting", "pid": 8, "usage": {}}, {"name": 5}, 5]}
        lines = check(site.neap("top", "--once"), OK).stdout
        assert re.search("^later +pending", lines, re.M) and re.search("^mute +not answering", lines, re.M), lines
        assert "young" not in lines, lines
        site.daemon.refuse = {"vm.memory": (9, "silent")}
        row = {row["name"]: row for row in site.json("top")["vms"]}["a"]
        assert row["demand_bytes"] == 128 * MIB and "rule" not in row, row


def top_says_when_the_daemon_does_not_answer():
    with Site(with_daemon=False) as site:
        os.makedirs(site.dir + "/neapd")
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(site.dir + "/neapd/neapd.sock")
            mute.listen(8)
            check(site.neap("top", "--once"), FAILED, err="neapd does not answer .--host none")
            check(site.neap("top", "--once", "--host", "none"), OK, err="no VM is running")



def main():
    here = sys.modules[__name__]
    helpers = {"check", "main", "until", "pool"}
    for name, test in list(vars(here).items()):
        if not isinstance(test, type(main)) or test.__module__ != __name__ or name in helpers:
            continue
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        started = time.monotonic()
        test()
        print(f"ok {time.monotonic() - started:5.2f} s  {name.replace('_', ' ')}", flush=True)


main()
