#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The examples of the Python client do what they say, with a daemon and VMs that are there."""
import os
import re
import subprocess
import sys
import time
import xml.dom.minidom

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENT = os.path.join(HERE, "..", "..", "clients", "python")
EXAMPLES = os.path.join(CLIENT, "examples")
sys.path[:0] = [os.path.join(HERE, "..", "lib"), CLIENT]

import neap  # noqa: E402
import neapd  # noqa: E402
import neapvm  # noqa: E402

FLEET = 50


class Example:
    """One of the scripts, on the daemon's socket; its lines as they come."""

    def __init__(self, daemon, name, *words):
        env = {**daemon.env, "PYTHONPATH": CLIENT, "PYTHONDONTWRITEBYTECODE": "1", "NEAP_HOST_SOCKET": daemon.socket()}
        self.lines = []
        self.process = subprocess.Popen([sys.executable, os.path.join(EXAMPLES, name), *words], env=env,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def line(self):
        line = self.process.stdout.readline()
        self.lines.append(line)
        return line

    def ends(self, status):
        """All it said."""
        with self.process.stdout:
            self.lines += self.process.stdout.readlines()
        text = "".join(self.lines)
        assert self.process.wait(timeout=neapvm.PATIENCE_S) == status, text
        return text


def ask(daemon, name, line):
    """Type it at the VM's console, and wait for the guest's answer."""
    with daemon.type(name, line) as console:
        said = b""
        while b"ok " + line.split()[0].encode() not in said:
            data = console.recv(4096)
            assert data and b"error" not in said, said
            said += data


def client(daemon):
    return neap.Host(daemon.socket())


def a_fleet_starts_from_a_template_once_and_ends():
    template = os.path.join(EXAMPLES, "template.json")
    words = ("start_fleet.py", template, "--count", str(FLEET))
    with neapd.Daemon() as daemon, client(daemon) as host:
        said = Example(daemon, *words).ends(0)
        assert re.match(rf"{FLEET} of {FLEET} VMs run; {FLEET} were started in ", said), said
        print("   " + said.strip())
        pids = {vm["name"]: vm["pid"] for vm in host.vm_list(selector="fleet=demo,state=running").vms}
        assert len(pids) == FLEET == len(set(pids.values()))
        # Somebody stops one, another is unknown to the script; started again, it does what is left.
        host.vm_kill("demo-07")
        host.vm_create({"name": "other", **neapd.SMALL}, labels={"fleet": "else"})
        daemon.until_state("demo-07", "stopped")
        assert f"{FLEET} of {FLEET} VMs run; 1 were started" in Example(daemon, *words).ends(0)
        after = {vm["name"]: vm["pid"] for vm in host.vm_list(selector="fleet=demo").vms}
        assert {name for name in pids if pids[name] != after[name]} == {"demo-07"}
        assert f"{FLEET} VMs are gone" in Example(daemon, *words, "--end").ends(0)
        assert [vm["name"] for vm in host.vm_list().vms] == ["other"]


def a_fleet_starts_although_the_daemon_is_killed_again_and_again():
    template = os.path.join(EXAMPLES, "template.json")
    with neapd.Daemon() as daemon:
        example = Example(daemon, "start_fleet.py", template, "--count", str(FLEET))
        kills = 0
        stored = os.path.join(daemon.state_home, "neap", "vms")
        neapd.until(lambda: os.path.isdir(stored) and os.listdir(stored), what="the first VM")
        while example.process.poll() is None and kills < 20:
            time.sleep(0.02 + 0.013 * kills)
            daemon.kill()
            daemon.start()
            kills += 1
        said = example.ends(0)
        assert f"{FLEET} of {FLEET} VMs run" in said, said
        print(f"   the daemon was killed {kills} times; {said.strip()}")
        assert len(daemon.vm_pids()) == FLEET  # none twice
        with client(daemon) as host:
            assert {vm["state"] for vm in host.vm_list().vms} == {"running"}


def events_are_followed_over_the_end_of_a_daemon():
    """What happens while a daemon is there is told, to who was there and to who asks for it later."""
    with neapd.Daemon() as daemon, client(daemon) as host:
        with host.events(["vm.started", "vm.adopted", "vm.ended"]) as events:
            for number in range(3):
                host.vm_run({"name": "vm-%d" % number, **neapd.SMALL})
                assert events.next(neapvm.PATIENCE_S).kind == "vm.started"
            before = events.seq
            daemon.kill()
            daemon.start()
            adopted = [events.next(neapvm.PATIENCE_S) for _ in range(3)]
            assert {event.kind for event in adopted} == {"vm.adopted"}, adopted
            assert {event.vm for event in adopted} == {"vm-0", "vm-1", "vm-2"}
            assert all(event.seq > before for event in adopted) and events.connections == 2
            host.vm_kill_many("all")
            ended = [events.next(neapvm.PATIENCE_S) for _ in range(3)]
            assert {event.kind for event in ended} == {"vm.ended"}, ended
        with host.events(["vm.ended"], vms=["vm-1"], after=before) as later:
            event = later.next(neapvm.PATIENCE_S)
            assert (event.kind, event.vm, event.data["exit_code"]) == ("vm.ended", "vm-1", 7), event
            assert later.next(0.05) is None


def a_vm_that_cannot_be_made_is_named_and_the_others_run():
    with neapd.Daemon() as daemon:
        daemon.create("demo-2", config={"memory": {"maximum": "128M"}})
        template = os.path.join(EXAMPLES, "template.json")
        said = Example(daemon, "start_fleet.py", template, "--count", "3").ends(1)
        assert re.search("^demo-2: .*exist|^demo-2: .*already", said, re.M), said
        assert "2 of 2 VMs run" in said


def what_goes_wrong_is_said_in_a_sentence():
    with neapd.Daemon() as daemon:
        said = Example(daemon, "rolling_minimum.py", "tier==web", "32M").ends(2)
        assert re.fullmatch('not begun: selector "tier==web": .*\n', said), said
        daemon.stop()
        template = os.path.join(EXAMPLES, "template.json")
        for name, words in (("rolling_minimum", ["all", "32M"]), ("start_fleet", [template]), ("tide_svg", ["x.svg"])):
            said = Example(daemon, name + ".py", *words).ends(1)
            assert re.fullmatch(f"{name}: .* No such file or directory: '{daemon.socket()}'\n", said), said
        daemon.start()


def web(daemon, count):
    """VMs with the label tier=web, whose balloon somebody set by hand: they have 96 MiB of 128."""
    config = {"memory": {"maximum": "128M", "pages": "4K", "mode": "manual", "minimum": "64M"},
              "balloon": {"size": "32M", "deflate_on_oom": False, "stats_period": 1}}
    for number in range(count):
        daemon.run("web-%d" % number, labels={"tier": "web"}, config=config)


def minimums(host):
    return [host.vm_memory(vm["name"]).policy["minimum_bytes"] >> 20 for vm in host.vm_list(selector="tier=web").vms]


def a_rolling_change_changes_all_one_after_the_other():
    with neapd.Daemon() as daemon, client(daemon) as host:
        for number in range(3):
            daemon.create("web-%d" % number, labels={"tier": "web"})
        host.vm_start_many("name=web-0").pop().value()
        said = Example(daemon, "rolling_minimum.py", "tier=web", "40M", "--settle", "0.1").ends(0)
        assert [line.split(":")[0] for line in said.splitlines()] == ["web-0", "web-1", "web-2"], said
        assert "web-0: minimum 40M holds at once" in said and "web-2: minimum 40M holds at its next start" in said
        assert host.vm_memory("web-0").policy["minimum_bytes"] == 40 << 20
        assert host.vm_info("web-2").config["memory"]["minimum"] in ("40M", 40 << 20)
        assert "no such VM" in Example(daemon, "rolling_minimum.py", "tier=db", "40M").ends(2)


def a_rolling_change_stops_at_the_first_warning():
    with neapd.Daemon() as daemon, client(daemon) as host:
        web(daemon, 3)
        with host.events(["memory.status"]) as events:
            example = Example(daemon, "rolling_minimum.py", "tier=web", "80M", "--settle", "20")
            assert "(1 of 3)" in example.line()
            ask(daemon, "web-2", "fill 93M")  # nothing is left: its policy takes it to need a quarter more
            while (event := events.next(neapvm.PATIENCE_S)) and event.data["status"] != "Warning":
                pass
            assert event and event.vm == "web-2", event
        said = example.ends(1)
        assert "stopped: web-2 has Warning" in said and "2 VMs were not touched" in said, said
        assert minimums(host) == [64, 64, 64]
        assert "in trouble already: web-2" in Example(daemon, "rolling_minimum.py", "tier=web", "80M").ends(2)


def the_tide_is_drawn_from_events():
    with neapd.Daemon() as daemon, client(daemon) as host:
        for name in ("ebb", "flow"):
            daemon.run(name, config={"memory": {"maximum": "128M"}, "balloon": {"stats_period": 1}})
        path = os.path.join(daemon.top, "tide.svg")
        example = Example(daemon, "tide_svg.py", path, "--seconds", "4")
        ask(daemon, "ebb", "fill 64M")
        while example.process.poll() is None:  # each version of the file is whole
            if os.path.exists(path):
                xml.dom.minidom.parse(path)
            time.sleep(0.05)
        said = example.ends(0)
        assert int(re.match(r"2 VMs, (\d+) changes in ", said).group(1)) >= 2, said
        document = xml.dom.minidom.parse(path)
        titles = [node.firstChild.data for node in document.getElementsByTagName("title")]
        assert titles == ["ebb: 128 MiB", "flow: 128 MiB"], titles
        texts = [node.firstChild.data for node in document.getElementsByTagName("text")]
        needed = int(re.search(r"they need (\d+) MiB", texts[0]).group(1))
        usage = [vm["usage"] for vm in host.vm_list().vms]
        assert abs(needed - (sum(each["demand_bytes"] for each in usage) >> 20)) <= 8, (needed, usage)
        assert needed >= 64 and not os.path.exists(path + ".new")


def scripts_in_the_guide_run():
    """What docs/FLEETS.md shows in Python is a program."""
    with open(os.path.join(HERE, "..", "..", "docs", "FLEETS.md"), encoding="utf-8") as file:
        blocks = re.findall(r"```python\n(.*?)```", file.read(), re.S)
    assert blocks
    with neapd.Daemon() as daemon:
        for number in (1, 2):
            daemon.create("web-%d" % number, labels={"tier": "web"})
        env = {**daemon.env, "PYTHONPATH": CLIENT, "NEAP_HOST_SOCKET": daemon.socket()}
        for block in blocks:
            done = subprocess.run([sys.executable, "-c", block], env=env, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=neapvm.PATIENCE_S, check=False)
            assert done.returncode == 0, block + done.stdout


def main():
    neapvm.need_kvm()
    helpers = {"main", "ask", "client", "web", "minimums"}
    wanted = sys.argv[1:]
    for name, test in list(globals().items()):
        if isinstance(test, type(main)) and test.__module__ == __name__ and name not in helpers and \
                (not wanted or name in wanted):
            started = time.monotonic()
            test()
            print(f"ok {time.monotonic() - started:5.2f} s  {name.replace('_', ' ')}", flush=True)


main()
