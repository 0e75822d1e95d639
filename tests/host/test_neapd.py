#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a daemon does for whoever is connected: VMs from their definition to their end, restarts, selectors,
keys, events, consoles, logs."""
import json
import os
import pty
import signal
import subprocess
import sys
import time
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapd  # noqa: E402
import neapvm  # noqa: E402

INVALID, STATE, FORBIDDEN, NO_VM, EXISTS, DEADLINE, REUSED, BUSY = -32602, 1, 4, 5, 6, 7, 10, 11
POWER_OFF = "poweroff"


class OneDaemon(unittest.TestCase):
    flags = ()

    def setUp(self):
        self.daemon = neapd.Daemon(self.flags)
        self.addCleanup(self.daemon.close)

    def code_of(self, method, **params):
        return self.daemon.fails(method, **params).code


class Life(OneDaemon):
    def test_a_vm_is_created_started_ended_and_deleted(self):
        daemon = self.daemon
        daemon.listen()
        made = daemon.create("one", {"tier": "web"})
        self.assertEqual(made["name"], "one")
        self.assertEqual(daemon.event("vm.created")["vm"], "one")
        vm = daemon.vms()["one"]
        self.assertEqual((vm["state"], vm["labels"], vm["restart"], vm["transient"], vm["uuid"]),
                         ("stopped", {"tier": "web"}, "never", False, made["uuid"]))
        self.assertNotIn("pid", vm)
        started = daemon.call("vm.start", vm="one")
        self.assertEqual(started["state"], "running")
        self.assertEqual(daemon.event("vm.started")["data"]["pid"], started["pid"])
        info = daemon.call("vm.info", vm=made["uuid"])
        self.assertEqual((info["pid"], info["state"], info["host"]["adopted"]),
                         (started["pid"], "running", False))
        self.assertEqual(info["host"]["next_start"], [])
        self.assertEqual(self.code_of("vm.delete", vm="one"), STATE)
        self.assertEqual(self.code_of("vm.start", vm="one"), STATE)
        self.assertEqual(daemon.call("vm.kill", vm="one"), {"state": "stopped"})
        ended = daemon.event("vm.ended")["data"]
        self.assertEqual((ended["exit_code"], ended["uuid"]), (7, made["uuid"]))
        self.assertFalse(neapd.is_alive(started["pid"]))
        self.assertEqual(daemon.vms()["one"]["state"], "stopped")
        self.assertEqual(daemon.call("vm.info", vm="one")["host"]["exit_code"], 7)
        self.assertEqual(daemon.call("vm.delete", vm="one"), {"name": "one"})
        self.assertEqual(daemon.event("vm.deleted")["data"], {"uuid": made["uuid"]})
        self.assertEqual(daemon.vms(), {})
        self.assertEqual(self.code_of("vm.info", vm="one"), NO_VM)

    def test_names_and_uuids_are_chosen_when_they_are_not_given(self):
        made = self.daemon.call("vm.create", config=neapd.SMALL)
        self.assertRegex(made["name"], "^vm-[0-9a-f]{6}$")
        self.assertEqual(self.daemon.call("vm.info", vm=made["uuid"].upper())["name"], made["name"])

    def test_a_name_or_uuid_that_is_taken_is_refused(self):
        made = self.daemon.create("one")
        self.assertEqual(self.code_of("vm.create", config=self.daemon.config("one")), EXISTS)
        self.assertEqual(self.code_of("vm.run", config=self.daemon.config("one")), EXISTS)
        self.assertEqual(self.code_of("vm.create", config={"name": "two", "uuid": made["uuid"]}), EXISTS)
        self.assertEqual(list(self.daemon.vms()), ["one"])

    def test_a_wrong_configuration_is_refused_in_words(self):
        for config, words in (({"memroy": {}}, 'did you mean memory'),
                              ({"memory": {"maximum": "1K"}}, "memory.maximum"),
                              ({"boot": {"kernel": "vmlinuz"}}, "absolute"),
                              ({"name": "../x"}, "name")):
            error = self.daemon.fails("vm.create", config=config)
            self.assertEqual(error.code, INVALID)
            self.assertIn(words, str(error))
            self.assertNotIn("config:1", str(error))
        self.assertEqual(self.code_of("vm.create", config={}, labels={"name": "x"}), INVALID)
        self.assertEqual(self.code_of("vm.create", config={}, restart="sometimes"), INVALID)
        self.assertEqual(self.daemon.vms(), {})

    def test_a_transient_vm_is_forgotten_when_it_ends(self):
        self.daemon.listen()
        ran = self.daemon.run("brief", {"a": "b"})
        self.assertEqual(ran["state"], "running")
        self.assertTrue(self.daemon.vms()["brief"]["transient"])
        self.assertEqual(self.code_of("vm.delete", vm="brief"), STATE)
        self.daemon.call("vm.kill", vm="brief")
        self.daemon.event("vm.ended", "brief")
        self.assertEqual(self.daemon.vms(), {})
        self.assertEqual(os.listdir(os.path.join(self.daemon.runtime, "runs")), [])

    def test_what_cannot_start_says_why_and_is_stopped(self):
        config = {"boot": {"kernel": "/nowhere/vmlinuz"}}
        self.daemon.create("broken", config=config)
        error = self.daemon.fails("vm.start", vm="broken")
        self.assertIn("/nowhere/vmlinuz", str(error))
        self.daemon.until_state("broken", "stopped")
        self.assertIn("/nowhere/vmlinuz", self.daemon.vms()["broken"]["reason"])
        self.assertIn("/nowhere/vmlinuz", str(self.daemon.fails("vm.run", config=self.daemon.config("b2", **config))))
        neapd.until(lambda: list(self.daemon.vms()) == ["broken"], what="the end of b2")

    def test_sentences_are_cut_between_characters(self):
        for length in 200, 201, 202, 203:  # bytes of what is cut; a character has three
            name = "vm%d" % length
            self.daemon.create(name, {"cut": "here"}, config={"boot": {"kernel": "/" + "x" * (length % 3) + "\u20ac" * length}})
            self.assertIn("\u20ac", str(self.daemon.fails("vm.start", vm=name)))
            self.assertIn("cannot open the kernel", self.daemon.call("vm.info", vm=name)["reason"])
        rows = self.daemon.call("vm.start", selector="cut")["results"]
        self.assertEqual(["\u20ac" in row["error"]["message"] for row in rows], [True] * 4)

    def test_the_power_button_and_the_states_between(self):
        daemon = self.daemon
        daemon.create("one")
        daemon.call("vm.start", vm="one")
        daemon.listen()
        self.assertEqual(daemon.call("vm.pause", vm="one"), {"state": "paused"})
        daemon.event("vm.state", "one", lambda data: data["state"] == "paused")
        self.assertEqual(daemon.vms()["one"]["state"], "paused")
        self.assertEqual(daemon.call("vm.resume", vm="one")["state"], "running")
        daemon.call("vm.reset", vm="one")
        daemon.event("vm.reset", "one")
        daemon.type("one", "stat").close()
        daemon.call("vm.stop", vm="one")
        self.assertEqual(daemon.event("vm.ended", "one")["data"]["exit_code"], 0)
        self.assertEqual(self.code_of("vm.stop", vm="one"), STATE)
        self.assertEqual(self.code_of("vm.pause", vm="one"), STATE)

    def test_what_a_vm_is_asked_is_passed_on(self):
        self.daemon.run("one")
        memory = self.daemon.call("vm.memory", vm="one")
        self.assertEqual(memory["maximum_bytes"], 64 << 20)
        neapd.until(lambda: "decided_ago_ms" in self.daemon.call("vm.memory", vm="one").get("policy", {}),
                    what="a decision")
        self.assertIn("text", self.daemon.call("vm.memory.why", vm="one"))
        self.assertEqual(self.code_of("vm.memory.set", vm="one", mode="sideways"), INVALID)
        self.assertEqual(self.code_of("vm.memory", vm="nobody"), NO_VM)
        self.assertEqual(self.code_of("vm.memory"), INVALID)
        self.assertEqual(self.code_of("vm.memory", vm="one", selector="all"), INVALID)

    def test_usage_and_uptime_are_in_the_list(self):
        self.daemon.run("one")
        neapd.until(lambda: "maximum_bytes" in self.daemon.vms()["one"]["usage"], what="usage")
        vm = self.daemon.vms()["one"]
        self.assertEqual(vm["usage"]["maximum_bytes"], 64 << 20)
        self.assertGreater(vm["uptime_ns"], 0)
        self.assertEqual(self.daemon.call("host.info")["vms"]["running"], 1)
        self.assertTrue(self.daemon.call("host.pools")["pools"])

    def test_a_console_is_handed_over(self):
        self.daemon.run("one")
        with self.daemon.type("one", "stat") as console:
            said = b""
            while b"ok " not in said:
                data = console.recv(65536)
                self.assertTrue(data)
                said += data
        path = self.daemon.call("vm.console", vm="one", how="path")
        self.assertTrue(path["path"].endswith("/one.sock"))
        self.assertEqual(self.code_of("vm.console", vm="one", how="by post"), INVALID)

    def test_logs_have_a_last_line(self):
        self.daemon.create("one")
        self.assertEqual(self.daemon.call("vm.logs", vm="one")["lines"], [])
        path = self.daemon.call("vm.logs", vm="one")["path"]
        with open(path + ".1", "wb") as file:
            file.write(b"oldest\nolder\n")
        with open(path, "wb") as file:
            file.write(b"new\r\nbad \xff\xc3\x28 \0 bytes\nnewest")
        lines = self.daemon.call("vm.logs", vm="one", lines=4)["lines"]
        self.assertEqual(lines, ["older", "new", "bad \ufffd\ufffd( \ufffd bytes", "newest"])
        self.assertEqual(self.daemon.call("vm.logs", vm="one", lines=0)["lines"], [])
        with open(path, "wb") as file:
            file.write(b"\x1b" * (1 << 20) + b"\nend\n")
        self.assertEqual(self.daemon.call("vm.logs", vm="one", lines=10000)["lines"][-1], "end")


class Restarts(OneDaemon):
    flags = ("--restart-least", "20")

    def ends(self, name, line):
        """What follows when the guest is told that line: the event of its end."""
        self.daemon.listen()
        with self.daemon.type(name, line):
            return self.daemon.event("vm.ended", name)["data"]

    def test_a_failure_is_restarted_with_a_growing_wait_and_success_is_not(self):
        self.daemon.create("one", restart="on-failure")
        self.daemon.call("vm.start", vm="one")
        waits = []
        for number in 1, 2, 3:
            waits.append(self.ends("one", "exit 3")["restart_in_ms"])
            self.assertEqual(self.daemon.event("vm.started", "one")["data"]["restarts"], number)
        self.assertEqual(waits, [waits[0], waits[0] * 2, waits[0] * 4])
        self.assertEqual(self.daemon.vms()["one"]["restarts"], 3)
        self.assertNotIn("restart_in_ms", self.ends("one", POWER_OFF))
        self.assertEqual(self.daemon.state("one"), "stopped")

    def test_always_is_always_but_not_against_somebodys_will(self):
        self.daemon.create("one", restart="always")
        self.daemon.call("vm.start", vm="one")
        self.assertIn("restart_in_ms", self.ends("one", POWER_OFF))
        self.daemon.event("vm.started", "one")
        self.daemon.listen()
        self.daemon.call("vm.kill", vm="one")
        self.assertNotIn("restart_in_ms", self.daemon.event("vm.ended", "one")["data"])
        self.daemon.call("vm.start", vm="one")
        self.daemon.type("one", "stat").close()
        self.daemon.call("vm.stop", vm="one")
        self.assertNotIn("restart_in_ms", self.daemon.event("vm.ended", "one")["data"])
        self.assertEqual(self.daemon.vms()["one"]["restarts"], 0)

    def test_a_killed_process_is_a_failure_and_the_vm_comes_back(self):
        self.daemon.create("one", restart="on-failure")
        pid = self.daemon.call("vm.start", vm="one")["pid"]
        self.daemon.listen()
        os.kill(pid, signal.SIGKILL)
        ended = self.daemon.event("vm.ended", "one")["data"]
        self.assertIn("restart_in_ms", ended)
        self.assertNotEqual(self.daemon.event("vm.started", "one")["data"]["pid"], pid)
        self.daemon.call("vm.kill", vm="one")

    def test_never_is_never(self):
        self.daemon.create("one")
        self.daemon.call("vm.start", vm="one")
        self.assertNotIn("restart_in_ms", self.ends("one", "exit 3"))
        self.assertEqual(self.daemon.state("one"), "stopped")

    def test_a_restart_that_waits_can_be_stopped(self):
        daemon = self.daemon
        daemon.create("one", restart="always", config={"boot": {"cmdline": 'run="exit 1"'}})
        daemon.listen()
        daemon.call("vm.start", vm="one")
        for _ in range(6):
            daemon.event("vm.ended", "one", lambda data: "restart_in_ms" in data)
        neapd.until(lambda: daemon.state("one") == "restarting", what="a wait")
        self.assertEqual(daemon.call("vm.kill", vm="one"), {"state": "stopped"})
        self.assertEqual(daemon.state("one"), "stopped")


class Many(OneDaemon):
    def store(self, count):
        """So many VMs, v000 and on."""
        names = ["v%03d" % number for number in range(count)]
        self.daemon.stop()
        for name in names:
            path = os.path.join(self.daemon.state_home, "neap", "vms", name + ".json")
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                json.dump({"config": {**self.daemon.config(name), "uuid": str(uuid.uuid4())}}, file)
        self.daemon.start()
        return names

    def test_of_a_selection_each_is_asked_to_be_in_a_state_and_some_may_be_in_it_already(self):
        daemon = self.daemon
        for name in "runs", "rests":
            daemon.create(name)
        daemon.call("vm.start", vm="runs")
        rows = daemon.call("vm.start", selector="name=runs")["results"]
        self.assertEqual([row["result"]["state"] for row in rows], ["running"])
        for method in "vm.kill", "vm.stop":
            rows = daemon.call(method, selector="all")["results"]
            self.assertEqual([row["result"]["state"] for row in rows], ["stopped", "stopped"])
        self.assertEqual(self.code_of("vm.kill", vm="rests"), STATE)

    def test_one_call_is_done_for_all_that_a_selector_names(self):
        daemon = self.daemon
        for name, tier in ("a", "web"), ("b", "web"), ("c", "db"):
            daemon.create(name, {"tier": tier})
        results = daemon.call("vm.start", selector="tier=web")["results"]
        self.assertEqual([row["vm"] for row in results], ["a", "b"])
        self.assertTrue(all(row["result"]["state"] == "running" for row in results))
        results = daemon.call("vm.pause", selector="all")["results"]
        self.assertEqual([("result" in row) for row in results], [True, True, False])
        self.assertEqual(results[2]["error"]["code"], STATE)
        self.assertEqual(sorted(daemon.vms("state=paused")), ["a", "b"])
        results = daemon.call("vm.kill", selector="state=paused")["results"]
        self.assertEqual([row["result"] for row in results], [{"state": "stopped"}] * 2)
        self.assertEqual(len(daemon.call("vm.delete", selector="name=*")["results"]), 3)
        self.assertEqual(daemon.vms(), {})
        self.assertEqual(daemon.call("vm.delete", selector="all")["results"], [])
        self.assertEqual(self.code_of("vm.kill", selector=""), INVALID)

    def test_what_is_done_to_many_lets_others_have_their_turn(self):
        daemon = self.daemon
        names = self.store(100)
        daemon.listen(kinds=["vm.updated"])
        with neapvm.Pipelined(daemon.socket()) as many, neapvm.Pipelined(daemon.socket()) as other:
            many.send("vm.update", selector="all", labels={"tier": "web"})
            daemon.event("vm.updated", "v000")
            for number in range(3):
                other.send("host.info")
                self.assertIn("uptime_ns", other.answer()["result"])
                self.assertFalse(many.has_answer(), "all came first, after %d others" % number)
            rows = many.answer()["result"]["results"]
        self.assertEqual([row["vm"] for row in rows], names)
        self.assertTrue(all("result" in row for row in rows))
        self.assertEqual(sorted(daemon.vms("tier=web")), names)

    def test_who_is_forgotten_before_its_turn_is_said_to_be(self):
        daemon = self.daemon
        names = self.store(60)
        with neapvm.Pipelined(daemon.socket()) as many:
            many.send("vm.update", selector="all", labels={"tier": "web"})
            many.send("vm.delete", vm=names[-1])
            many.send("vm.update", selector="all", labels={"tier": "db"})
            answers = {answer["id"]: answer for answer in (many.answer(), many.answer(), many.answer())}
        rows = answers[1]["result"]["results"]
        self.assertTrue(all("result" in row for row in rows[:-1]))
        self.assertEqual((rows[-1]["vm"], rows[-1]["error"]["code"]), (names[-1], NO_VM))
        self.assertEqual(len(answers[3]["result"]["results"]), 59)
        self.assertEqual(len(daemon.vms("tier=db")), 59)

    def test_the_end_of_the_daemon_answers_who_was_not_begun(self):
        daemon = self.daemon
        self.store(100)
        daemon.listen(kinds=["vm.updated"])
        with neapvm.Pipelined(daemon.socket()) as many:
            many.send("vm.update", selector="all", labels={"tier": "web"})
            daemon.event("vm.updated", "v000")
            self.assertEqual(daemon.stop(), 0)
        daemon.start()
        self.assertIn(len(daemon.vms("tier=web")), range(1, 101))

    def test_an_update_holds_at_once_or_at_the_next_start(self):
        daemon = self.daemon
        daemon.create("one", {"keep": "1", "drop": "2"})
        self.assertEqual(daemon.call("vm.update", vm="one", set={"cpus": 2, "memory.weight": 5},
                                     labels={"drop": None, "new": "3"}),
                         {"live": ["label.drop", "label.new"], "next_start": ["cpus", "memory.weight"]})
        self.assertEqual(daemon.vms()["one"]["labels"], {"keep": "1", "new": "3"})
        daemon.call("vm.start", vm="one")
        info = daemon.call("vm.info", vm="one")
        self.assertEqual((info["cpus"], info["config"]["memory"]["weight"]), (2, 5))
        slow = daemon.call("vm.update", vm="one", set={"memory.sample_period": 60, "memory.sample_blocks": 9})
        self.assertEqual(slow, {"live": [], "next_start": ["memory.sample_period", "memory.sample_blocks"]})
        self.assertEqual(sorted(daemon.call("vm.info", vm="one")["host"]["next_start"]),
                         ["memory.sample_blocks", "memory.sample_period"])
        daemon.call("vm.update", vm="one", set={"memory.sample_period": 30, "memory.sample_blocks": 100})
        daemon.listen()
        self.assertEqual(daemon.call("vm.update", vm="one", set={"memory.weight": 7, "cpus": 1},
                                     restart="always", autostart=True),
                         {"live": ["memory.weight", "autostart", "restart"], "next_start": ["cpus"]})
        self.assertEqual(daemon.event("vm.updated", "one")["data"]["live"], ["memory.weight", "autostart", "restart"])
        self.assertEqual(daemon.call("vm.update", selector="all", restart="always"),
                         {"results": [{"vm": "one", "result": {"live": ["restart"], "next_start": []}}]})
        self.assertEqual(daemon.call("vm.memory", vm="one")["policy"]["weight"], 7)
        info = daemon.call("vm.info", vm="one")
        self.assertEqual((info["cpus"], info["host"]["next_start"]), (2, ["cpus"]))
        self.assertEqual((info["host"]["restart"], info["host"]["autostart"]), ("always", True))
        error = daemon.fails("vm.update", vm="one", set={"memory.weight": 9, "memory.buffer": 1})
        self.assertEqual(error.code, INVALID)
        self.assertEqual(daemon.call("vm.memory", vm="one")["policy"]["weight"], 7)
        for wrong in ({"set": {"name": "two"}}, {"set": {"nothing": 1}}, {"set": {"cpus": 0}},
                      {"labels": {"state": "x"}}, {"restart": "x"}, {}):
            self.assertEqual(self.code_of("vm.update", vm="one", **wrong), INVALID)
        daemon.call("vm.kill", vm="one")
        daemon.call("vm.start", vm="one")
        info = daemon.call("vm.info", vm="one")
        self.assertEqual((info["cpus"], info["config"]["memory"]["weight"]), (1, 7))

    def test_an_option_can_be_given_its_default_back(self):
        daemon = self.daemon
        daemon.create("one", config={"cpus": 2, "boot": {"kernel": "/none", "cmdline": "quiet"}, "swap": {"dir": "/tmp"}})
        before = daemon.call("vm.info", vm="one")["config"]
        daemon.call("vm.update", vm="one", set={"boot.kernel": None, "boot.cmdline": None, "swap.dir": None, "cpus": None})
        config = daemon.call("vm.info", vm="one")["config"]
        self.assertEqual((before["boot"]["kernel"], before["swap"]["dir"], before["cpus"]), ("/none", "/tmp", 2))
        self.assertEqual((config["boot"], config["cpus"]), ({"cmdline": "console=ttyS0"}, 1))
        self.assertNotIn("dir", config["swap"])
        self.assertEqual(self.code_of("vm.update", vm="one", set={"name": None}), INVALID)
        self.assertEqual(daemon.call("vm.start", vm="one")["state"], "running")


class Consoles(OneDaemon):
    def neap_console(self, typed):
        return subprocess.run([neapvm.neap_path(), "console", "one"], env=self.daemon.env, input=typed, text=True,
                              capture_output=True, timeout=neapd.PATIENCE_S, check=True).stdout

    def stats(self, count):
        """So many have been answered; a console begins with the last the guest said."""
        neapd.until(lambda: self.neap_console("").count("ok stat") >= count, what="answer %d of the guest" % count)

    def test_what_is_typed_by_one_who_leaves_at_once_arrives(self):
        self.daemon.run("one")
        self.daemon.type("one", "").close()  # the guest reads
        count = self.neap_console("").count("ok stat")
        self.assertEqual(self.neap_console("stat\n").count("ok stat"), count + 1)
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        os.write(master, b"stat\r\x01x")  # in one go: a line, and the keys that leave
        process = subprocess.Popen([neapvm.neap_path(), "console", "one"], env=self.daemon.env, stdin=slave,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(slave)
        self.assertEqual(process.wait(timeout=neapd.PATIENCE_S), 0)
        self.stats(count + 2)
        console = self.daemon.console("one")
        console.sendall(b"stat\n")
        console.close()  # with what the guest said unread
        self.stats(count + 3)
        self.daemon.call("vm.pause", vm="one")
        self.neap_console("stat\n")
        self.daemon.call("vm.resume", vm="one")
        self.stats(count + 4)


class Requests(OneDaemon):
    def test_a_request_that_is_sent_twice_is_done_once(self):
        first = self.daemon.create("one", idempotency_key="k")
        self.assertEqual(self.daemon.create("one", idempotency_key="k"), first)
        self.assertEqual(self.code_of("vm.create", config=self.daemon.config("two"),
                                      idempotency_key="k"), REUSED)
        start = self.daemon.call("vm.start", vm="one", idempotency_key="s")
        self.assertEqual(self.daemon.call("vm.start", vm="one", idempotency_key="s"), start)
        ran = self.daemon.run("brief", idempotency_key="r")
        self.assertEqual(self.daemon.run("brief", idempotency_key="r"), ran)
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.daemon.create("one", idempotency_key="k"), first)
        again = self.daemon.run("brief", idempotency_key="r")
        self.assertEqual((again["uuid"], again["pid"]), (ran["uuid"], ran["pid"]))

    def test_a_start_that_is_asked_again_of_the_next_daemon_is_not_done_again(self):
        daemon = self.daemon
        for name in "one", "two", "three":
            daemon.create(name)
        start = daemon.call("vm.start", vm="one", idempotency_key="s")
        many = daemon.call("vm.start", selector="name=t*", idempotency_key="m")
        ran = daemon.run("brief", idempotency_key="r")
        daemon.kill()
        ended = [start["pid"], ran["pid"], many["results"][0]["result"]["pid"]]
        for pid in ended:  # nobody sees it
            os.kill(pid, signal.SIGKILL)
        neapd.until(lambda: not any(map(neapd.is_alive, ended)), what="the end of three")
        daemon.start()
        self.assertEqual(daemon.call("vm.start", vm="one", idempotency_key="s"), start)
        self.assertEqual(daemon.call("vm.start", selector="name=t*", idempotency_key="m"), many)
        self.assertEqual(daemon.run("brief", idempotency_key="r"), ran)
        self.assertEqual({name: vm["state"] for name, vm in daemon.vms().items()},
                         {"one": "stopped", "three": "stopped", "two": "running"})
        self.assertEqual(self.code_of("vm.start", vm="two", idempotency_key="s"), REUSED)
        self.assertEqual(self.code_of("vm.start", selector="all", idempotency_key="m"), REUSED)
        again = daemon.call("vm.start", vm="one", idempotency_key="s2")
        self.assertNotEqual(again["pid"], start["pid"])
        daemon.kill()
        daemon.start()
        self.assertEqual(daemon.call("vm.start", vm="one", idempotency_key="s2"), again)
        daemon.call("vm.kill", vm="one")
        self.assertEqual(daemon.call("vm.start", vm="one")["state"], "running")

    def test_a_start_that_failed_may_be_asked_again_with_its_key(self):
        self.daemon.create("one", config={"boot": {"kernel": "/nonexistent"}})
        self.assertIn("nonexistent", str(self.daemon.fails("vm.start", vm="one", idempotency_key="s")))
        self.daemon.kill()
        self.daemon.start()
        self.assertIn("nonexistent", str(self.daemon.fails("vm.start", vm="one", idempotency_key="s")))

    def test_a_deadline_passes_and_what_was_begun_goes_on(self):
        pid = self.daemon.run("one")["pid"]
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        self.assertEqual(self.code_of("vm.pause", vm="one", deadline_ms=50), DEADLINE)
        self.assertLess(time.monotonic() - began, 5)
        os.kill(pid, signal.SIGCONT)
        self.daemon.until_state("one", "paused")

    def test_a_socket_for_looking_changes_nothing(self):
        self.daemon.create("one")
        looking = neapvm.Rpc(self.daemon.socket("neapd-ro.sock"))
        self.assertEqual(looking.call("vm.list")["vms"][0]["name"], "one")
        for method, params in (("vm.start", {"vm": "one"}), ("vm.delete", {"vm": "one"}),
                               ("vm.console", {"vm": "one"}), ("vm.create", {"config": {}}),
                               ("vm.kill", {"selector": "all"})):
            with self.assertRaises(neapvm.RpcError) as caught:
                looking.call(method, **params)
            self.assertEqual(caught.exception.code, FORBIDDEN)
        looking.close()
        self.assertEqual(list(self.daemon.vms()), ["one"])

    def test_events_have_numbers_and_those_missed_come_first(self):
        daemon = self.daemon
        first = daemon.listen()["seq"]
        daemon.create("one")
        daemon.create("two")
        seqs = [daemon.event("vm.created")["seq"] for _ in range(2)]
        self.assertEqual(seqs, [first + 1, first + 2])
        again = daemon.listen(after=first, kinds=["vm.created"], vms=["two"])
        self.assertEqual((again["missed"], again["missed_is_bound"]), (0, False))
        event = daemon.event("vm.created")
        self.assertEqual((event["seq"], event["vm"]), (seqs[1], "two"))
        daemon.stop()
        daemon.start()
        again = daemon.listen(after=first)
        self.assertGreater(again["seq"], seqs[1])
        self.assertGreaterEqual(again["missed"], 2)  # and nobody knows how many
        self.assertIs(again["missed_is_bound"], True)

    def test_every_verb_that_is_described_is_there(self):
        document = self.daemon.call("rpc.discover")
        for method in document["methods"]:
            try:
                self.daemon.call(method["name"], deadline_ms=1000)
            except neapvm.RpcError as error:
                self.assertNotEqual(error.code, -32601, method["name"])


if __name__ == "__main__":
    neapvm.need_kvm()
    unittest.main()
