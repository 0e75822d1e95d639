#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command line and the real neapd; only the VMs are fake-neap's, so it needs no KVM."""
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapd  # noqa: E402
import neapvm  # noqa: E402

OK, FAILED, USAGE, HOST, NO_VM, STATE = 0, 1, 2, 3, 4, 5
SMALL = ("--pages", "4K", "--memory", "64M")


class Site(neapd.Daemon):
    def neap(self, *words, stdin=""):
        return subprocess.run([neapvm.neap_path(), *words], env=self.env, text=True, check=False, input=stdin,
                              capture_output=True, timeout=neapvm.PATIENCE_S)

    def json(self, *words):
        done = self.neap(*words, "--json")
        assert done.returncode == OK, done
        return json.loads(done.stdout)

    def create(self, name, *flags):
        check(self.neap("create", "--name", name, *SMALL, *flags), OK, out=f"^{name}\n$")
        return self

    def states(self):
        return {row["name"]: row["state"] for row in self.json("ps")}


def check(done, code, out="", err=""):
    shown = f"exit {done.returncode}\n--- out\n{done.stdout}\n--- err\n{done.stderr}"
    assert done.returncode == code, f"wanted exit {code}, got {shown}"
    assert re.search(out, done.stdout, re.M), f"wanted {out!r}: {shown}"
    assert re.search(err, done.stderr, re.M), f"wanted {err!r} on standard error: {shown}"
    if code != OK:
        assert re.fullmatch(r"(neap: .+\n)+", done.stderr), f"not in sentences: {shown}"
    return done


def a_vm_is_stored_started_changed_stopped_and_forgotten():
    with Site() as site:
        site.create("web", "--label", "env=prod", "--restart", "always", "--start")
        check(site.neap("create", "--name", "web", *SMALL), FAILED, err="web")
        check(site.neap("start", "web"), STATE)
        check(site.neap("ps"), OK, out=r"^web +running .* 0 +\d+  env=prod$")
        check(site.neap("info", "web"), OK, out="neapd keeps it(.|\n)*labels +env=prod")
        check(site.neap("set", "web", "cpus=2", "memory.minimum=32M", "label.tier=1"), OK,
              out="^web: at once: memory.minimum, label.tier; at the next start: cpus$")
        check(site.neap("set", "web", "memory.weight=77"), OK, out="weight 77")
        check(site.neap("set", "web", "memory=48M", "--wait"), OK, out="taken 16 MiB")
        check(site.neap("info", "web"), OK, out="next start +changes cpus")
        assert site.json("pause", "web") == {"state": "paused"}
        check(site.neap("resume", "web"), OK, out="^web: running$")
        check(site.neap("delete", "web"), STATE)
        check(site.neap("stop", "web", "--wait"), OK, out="^web: stopped$")  # and it is not started again
        assert site.states() == {"web": "stopped"}
        check(site.neap("start", "web"), OK, out="^web: running$")
        assert site.json("info", "web")["info"]["cpus"] == 2
        check(site.neap("kill", "web"), OK, out="^web: stopped$")
        check(site.neap("delete", "web"), OK, out="^web: deleted$")
        check(site.neap("info", "web"), NO_VM, err="knows no VM")


def an_option_gets_its_default_back_by_an_empty_value():
    with Site() as site:
        site.create("web", "--kernel", "/none", "--cpus", "2")
        check(site.neap("set", "web", "boot.kernel=", "cpus="), OK, out="at the next start: boot.kernel, cpus")
        check(site.neap("info", "web"), OK, out="kernel +embedded")
        assert site.json("info", "web")["info"]["config"]["cpus"] == 1
        check(site.neap("set", "web", "name="), USAGE, err="never changes")


def a_selector_does_it_to_all():
    with Site() as site:
        for name in ("a", "b", "c"):
            site.create(name, "--label", "env=prod" if name != "c" else "env=test")
        check(site.neap("start", "-l", "all"), OK, out=r"^a +running\nb +running\nc +running$")
        check(site.neap("set", "-l", "env=prod", "memory.weight=9", "restart=on-failure"), OK,
              out=r"^b +at once: memory.weight, restart$")
        check(site.neap("stop", "-l", "env!=test", "--wait"), OK, out=r"^a +stopped\nb +stopped$")
        assert site.states() == {"a": "stopped", "b": "stopped", "c": "running"}
        check(site.neap("reset", "-l", "all"), FAILED, out="^a +failed: .*(.|\n)*^c +running$", err="2 of 3 VMs failed")
        check(site.neap("kill", "-l", "state=running"), OK, out="^c +stopped$")
        check(site.neap("pause", "-l", "env=none"), NO_VM, err="no VM is selected")
        check(site.neap("pause", "-l", "=,"), USAGE)
        check(site.neap("delete", "-l", "all"), OK)
        assert site.states() == {}


def what_cannot_start_says_so_and_what_crashes_is_told():
    with Site() as site:
        done = site.neap("create", "--name", "sick", *SMALL, "--cmdline", "fail", "--start")
        check(done, FAILED, out="^sick$", err="this host lacks a guest(.|\n)*neap start sick tries again")


def a_start_that_finds_no_room_is_refused_or_waits_until_there_is():
    with Site() as site:
        with open("/proc/meminfo", encoding="utf-8") as file:
            free_kib = int(re.search(r"MemAvailable: +(\d+)", file.read()).group(1))
        most = f"{free_kib * 2 // 3 // 1024}M"  # fake-neap takes none of it
        for name in ("first", "second"):
            check(site.neap("create", "--name", name, "--pages", "4K", "--memory", most), OK)
        check(site.neap("start", "first"), OK)
        check(site.neap("start", "second"), HOST, err="second starts with .* room for .*--wait starts it")
        waits = subprocess.Popen([neapvm.neap_path(), "start", "second", "--wait"], env=site.env, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        neapd.until(lambda: site.states()["second"] == "pending")
        check(site.neap("host"), OK, out="second waits to start: needs .*, there is room for")
        check(site.neap("top", "--once"), OK, out="^second +pending")
        check(site.neap("info", "second"), OK, out="^second is pending")
        check(site.neap("kill", "first"), OK)
        out, err = waits.communicate(timeout=neapvm.PATIENCE_S)
        assert waits.returncode == OK and out == "second: running\n" and "; waiting" in err, (out, err)
        check(site.neap("start", "first", "--wait", "--timeout", "0"), FAILED, err="first: does not run yet")
        check(site.neap("stop", "first"), OK)  # it does not wait any more
        neapd.until(lambda: site.states()["first"] == "stopped")


def events_go_on_over_a_restart_of_the_daemon():
    with Site() as site:
        follower = subprocess.Popen([neapvm.neap_path(), "events", "--all", "--after", "0", "--json"],
                                    env=site.env, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        seen = []

        def heard(kind, vm):
            while not any((event["kind"], event.get("vm")) == (kind, vm) for event in seen):
                line = follower.stdout.readline()
                assert line, (seen, follower.communicate())
                seen.append(json.loads(line))
            return True

        site.create("web", "--start")
        assert heard("vm.created", "web") and heard("vm.started", "web")
        site.kill()
        check(site.neap("info", "web"), OK, out="^web is running")  # by its own socket
        site.start()
        site.create("later")
        assert heard("vm.adopted", "web") and heard("vm.created", "later")
        numbers = [event["seq"] for event in seen]
        assert numbers == sorted(set(numbers)), numbers
        follower.terminate()
        assert "waiting until it is back" in follower.communicate()[1]
        replay = subprocess.Popen([neapvm.neap_path(), "events", "web", "vm.adopted", "--after", "0", "--json"],
                                  env=site.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert json.loads(replay.stdout.readline())["kind"] == "vm.adopted"
        check(site.neap("kill", "web"), OK)
        assert replay.wait(neapvm.PATIENCE_S) == OK  # it has ended
        replay.communicate()


def a_daemon_that_is_killed_at_any_time_fails_no_question():
    with Site() as site:
        site.create("web", "--start")
        for delay_ms in range(0, 10, 2):
            asks = [subprocess.Popen([neapvm.neap_path(), *words], env=site.env, text=True, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
                    for words in (["ps"], ["info", "web"], ["why", "web"], ["ps", "--json"])]
            time.sleep(delay_ms / 1000)  # anywhere in what they do
            site.kill()
            for process in asks:
                out, err = process.communicate(timeout=neapvm.PATIENCE_S)
                assert process.returncode == OK and "web" in out, (process.args, out, err)
            site.start()


def vms_that_people_start_are_seen_and_reached():
    with Site() as site:
        check(site.neap("run", "--name", "own", *SMALL, "--detach"), OK)
        neapd.until(lambda: [row["name"] for row in site.json("ps", "-l", "state=running")] == ["own"])
        check(site.neap("info", "own"), OK, out="neapd forgets it when it ends")
        check(site.neap("set", "own", "memory.weight=5"), OK, out="weight 5")
        check(site.neap("set", "own", "cpus=2"), USAGE, err="own is not stored, so it has no next start for cpus")
        check(site.neap("set", "own", "restart=always"), USAGE, err="not stored.*for restart")
        check(site.neap("set", "own", "label.tier=web"), OK, out="^own: at once: label.tier$")
        check(site.neap("ps", "-l", "tier=web"), OK, out="^own +running")
        check(site.neap("set", "own", "cpus=2", "--host", "none"), USAGE, err="cpus cannot change while a VM runs")
        check(site.neap("console", "own", stdin="hello\n"), OK, out="^fake guest\nHELLO$")
        check(site.neap("stop", "own", "--wait"), OK, out="own: stopped")


def another_vm_of_a_stored_ones_name_is_told_with_the_way_to_end_it():
    with Site() as site:
        site.create("web")
        check(site.neap("run", "--name", "web", *SMALL, "--detach"), OK)
        neapd.until(lambda: "end it: neap kill web --host none" in site.json("info", "web")["info"]["reason"])
        check(site.neap("start", "web"), FAILED, err="already runs|runs already")
        check(site.neap("kill", "web", "--host", "none"), OK)
        check(site.neap("start", "web"), OK)


def logs_and_the_host_are_shown():
    with Site() as site:
        site.create("web", "--start")
        path = site.json("logs", "web")["path"]
        with open(path, "a", encoding="utf-8") as file:
            file.write("one\ntwo\nthree\n")
        assert site.neap("logs", "web", "--lines", "2").stdout == "two\nthree\n"
        out = check(site.neap("host"), OK, out="^neapd .* VMs: 1 running").stdout
        assert re.search(r"^4K: .* free of .*, pages of 4 KiB, (clear|soft|hard|low)", out, re.M), out
        assert re.search(r"^  web +", out, re.M), out
        pools = {pool["name"]: pool for pool in site.json("host")["pools"]}
        assert [vm["vm"] for vm in pools["4K"]["vms"]] == ["web"], pools
        words = site.neap("completion", "words", "--", "start", "w").stdout
        assert words == "web\trunning\n", words
        neapd.until(lambda: "web" in site.neap("top", "--once").stdout)


def a_vm_that_is_stopped_is_told_from_one_that_answers():
    with Site(flags=["--silent", "1"]) as site:
        site.create("stuck", "--start").create("well", "--start")
        pid = site.json("info", "stuck")["info"]["pid"]
        os.kill(pid, 19)  # SIGSTOP
        check(site.neap("why", "stuck"), FAILED, err="does not answer.*neap kill stuck")
        check(site.neap("why", "well"), OK)
        check(site.neap("info", "stuck"), OK, out=f"^stuck is silent:(.|\n)*process +{pid}$(.|\n)*log +/")
        assert site.json("info", "stuck")["info"]["pid"] == pid
        check(site.neap("kill", "stuck"), OK, out="stuck: stopped")
        assert site.states() == {"stuck": "stopped", "well": "running"}


def main():
    here = sys.modules[__name__]
    for name, test in list(vars(here).items()):
        if not isinstance(test, type(main)) or test.__module__ != __name__ or name in ("check", "main"):
            continue
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        started = time.monotonic()
        test()
        print(f"ok {time.monotonic() - started:5.2f} s  {name.replace('_', ' ')}", flush=True)


main()
