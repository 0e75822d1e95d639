#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""PR01-02: a daemon that comes after another one, however that one ended, knows every VM that runs and no other; and VMs
that people start by hand.

NEAP_TEST_KILLS is how often the daemon is killed under load (100)."""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapd  # noqa: E402
import neapvm  # noqa: E402

# A `neap run` of a time before vm.usage, without any guest: it says that it runs, and answers.
OLDER_NEAP = """#!%s
import json, os, socket, sys
name = sys.argv[sys.argv.index("--name") + 1]
config = json.loads(os.pread(0, 65536, 0))
directory = os.path.join(os.environ["XDG_RUNTIME_DIR"], "neap")
os.makedirs(directory, mode=0o700, exist_ok=True)
door = socket.socket(socket.AF_UNIX)
door.bind(os.path.join(directory, name + ".sock"))
door.listen(4)
os.write(3, b"+")
os.close(3)
answers = {"events.subscribe": {"seq": 0}, "vm.memory": {"usage": {"resident_bytes": 12345678}},
           "vm.info": {"uuid": config["uuid"], "state": "paused", "uptime_ns": 5, "config": config}}
daemon = door.accept()[0]
for line in daemon.makefile("rb"):
    request = json.loads(line)
    if request["method"] in answers:
        answer = {"result": answers[request["method"]]}
    else:
        answer = {"error": {"code": -32601, "message": "method not found"}}
    daemon.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode() + bytes([10]))
""" % sys.executable

KILLS = int(os.environ.get("NEAP_TEST_KILLS", "100"))
SEED = int(os.environ.get("NEAP_SEED", "20240229"))
ADOPTED_WITHIN_S = float(os.environ.get("NEAP_TEST_ADOPTED_WITHIN_S", "1"))
SILENT = 9


def slowness():
    """How much slower than alone this machine is just now: 1 and more."""
    began = time.monotonic()
    cpu = time.process_time()
    while time.process_time() - cpu < 0.02:
        pass
    return max(1.0, (time.monotonic() - began) / 0.02)


class OneDaemon(unittest.TestCase):
    flags = ("--silent", "1")

    def setUp(self):
        self.daemon = neapd.Daemon(self.flags)
        self.addCleanup(self.daemon.close)

    def restart(self, number=signal.SIGKILL):
        self.daemon.kill(number)
        return self.daemon.start()

    def runs_dir(self):
        return os.path.join(self.daemon.runtime, "runs")

    def by_hand(self, name, *more):
        """`neap run` as a person types it."""
        process = subprocess.Popen([neapvm.neap_path(), "run", "--name", name, "--memory", "64M", "--pages", "4K",
                                    *more], env=self.daemon.env, stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdin.close)
        return process


class Adoption(OneDaemon):
    def test_vms_outlive_their_daemon_and_are_known_again(self):
        daemon = self.daemon
        uuid = daemon.create("stored", {"a": "b"}, restart="always")["uuid"]
        pids = {"stored": daemon.call("vm.start", vm="stored")["pid"],
                "brief": daemon.run("brief", {"c": "d"})["pid"]}
        for number in signal.SIGKILL, signal.SIGTERM:
            self.restart(number)
            vms = daemon.vms()
            self.assertEqual({name: vm["pid"] for name, vm in vms.items()}, pids)
            self.assertEqual((vms["stored"]["uuid"], vms["stored"]["labels"], vms["stored"]["state"]),
                             (uuid, {"a": "b"}, "running"))
            self.assertEqual((vms["brief"]["labels"], vms["brief"]["transient"]), ({"c": "d"}, True))
            info = daemon.call("vm.info", vm="stored")
            self.assertEqual((info["host"]["adopted"], info["resets"], info["host"]["next_start"]),
                             (True, 0, []))
            self.assertEqual(daemon.call("vm.pause", vm="brief"), {"state": "paused"})
            self.assertEqual(daemon.call("vm.resume", vm="brief"), {"state": "running"})
        daemon.listen()
        daemon.call("vm.kill", vm="brief")
        self.assertEqual(daemon.event("vm.ended", "brief")["data"]["exit_code"], 7)

    def test_what_was_adopted_is_told_to_who_missed_it(self):
        self.daemon.run("one")
        seq = self.daemon.listen()["seq"]
        self.restart()
        self.daemon.listen(after=seq)
        self.assertEqual(self.daemon.event("vm.adopted")["vm"], "one")

    def test_what_ended_meanwhile_is_known_with_its_reason(self):
        daemon = self.daemon
        for name, restart in ("quiet", "never"), ("again", "on-failure"), ("done", "on-failure"):
            daemon.create(name, restart=restart)
        pids = {row["vm"]: row["result"]["pid"] for row in daemon.call("vm.start", selector="all")["results"]}
        pids["brief"] = daemon.run("brief")["pid"]
        consoles = [daemon.type("done", "nothing")]
        daemon.kill()
        consoles[0].sendall(b"poweroff\n")
        self.addCleanup(consoles[0].close)
        for name in "quiet", "again", "brief":
            os.kill(pids[name], signal.SIGKILL)
        neapd.until(lambda: not any(map(neapd.is_alive, pids.values())), what="the end of all")
        daemon.start()
        daemon.listen(after=0)
        ended = {}
        while len(ended) < 4:
            event = daemon.event("vm.ended")
            ended[event["vm"]] = event["data"]
        self.assertEqual(ended["done"].get("exit_code"), 0)
        self.assertNotIn("restart_in_ms", ended["done"])
        self.assertNotIn("exit_code", ended["quiet"])
        self.assertIn("restart_in_ms", ended["again"])
        daemon.until_state("again", "running")
        vms = daemon.vms()
        self.assertNotEqual(vms["again"]["pid"], pids["again"])
        self.assertEqual((vms["quiet"]["state"], vms["done"]["state"]), ("stopped", "stopped"))
        self.assertNotIn("brief", vms)

    def test_a_restart_that_waits_outlives_the_daemon_and_so_does_its_pause(self):
        self.daemon.stop()
        self.daemon.flags += ["--restart-least", "300"]
        daemon = self.daemon
        daemon.start()
        daemon.create("one", restart="on-failure", config={"boot": {"cmdline": 'run="exit 3"'}})
        daemon.listen()
        daemon.call("vm.start", vm="one")
        self.assertEqual(daemon.event("vm.ended", "one")["data"]["restart_in_ms"], 300)
        self.assertEqual(daemon.event("vm.ended", "one")["data"]["restart_in_ms"], 600)
        self.restart()
        vm = daemon.vms()["one"]
        self.assertEqual((vm["state"], vm["restarts"]), ("restarting", 1))
        self.assertIn("error status", vm["reason"])
        daemon.listen()
        self.assertEqual(daemon.event("vm.started", "one")["data"]["restarts"], 2)
        self.assertEqual(daemon.event("vm.ended", "one")["data"]["restart_in_ms"], 1200)
        self.assertEqual(daemon.call("vm.kill", vm="one"), {"state": "stopped"})
        self.restart()
        self.assertEqual(daemon.state("one"), "stopped")

    def test_who_was_asked_to_end_is_not_started_again_by_the_next_daemon(self):
        daemon = self.daemon
        for name in "before", "after":
            daemon.create(name, restart="always")
        pids = {row["vm"]: row["result"]["pid"] for row in daemon.call("vm.start", selector="all")["results"]}
        for name, pid in pids.items():
            daemon.type(name, "stat").close()
            daemon.call("vm.pause", vm=name)  # so it sees the button when there is another daemon, or none
            daemon.call("vm.stop", vm=name)
        daemon.kill()
        os.kill(pids["before"], signal.SIGKILL)
        neapd.until(lambda: not neapd.is_alive(pids["before"]), what="the end of one")
        daemon.start()
        self.assertEqual(daemon.state("before"), "stopped")
        daemon.listen()
        daemon.call("vm.resume", vm="after")
        self.assertNotIn("restart_in_ms", daemon.event("vm.ended", "after")["data"])
        self.assertEqual(daemon.state("after"), "stopped")

    def test_a_vm_that_does_not_answer_is_known_all_the_same(self):
        daemon = self.daemon
        daemon.create("one")
        pid = daemon.call("vm.start", vm="one")["pid"]
        daemon.kill()
        os.kill(pid, signal.SIGSTOP)
        took = daemon.start()
        self.assertLess(took, ADOPTED_WITHIN_S * slowness())
        self.assertEqual(daemon.vms()["one"]["pid"], pid)
        daemon.until_state("one", "silent")
        self.assertEqual(daemon.fails("vm.pause", vm="one").code, SILENT)
        os.kill(pid, signal.SIGCONT)
        daemon.until_state("one", "running")
        self.assertEqual(daemon.call("vm.pause", vm="one"), {"state": "paused"})

    def test_a_record_of_another_process_is_no_proof(self):
        daemon = self.daemon
        uuid = daemon.create("one")["uuid"]
        pid = daemon.call("vm.start", vm="one")["pid"]
        daemon.call("vm.kill", vm="one")
        other = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        daemon.kill()
        for forged in ({"pid": other.pid, "start_ticks": 1}, {"pid": pid, "start_ticks": 1}, {"pid": 1, "start_ticks": 1},
                       {"pid": -1, "start_ticks": -1}, {"pid": 1 << 40, "start_ticks": 7}):
            with open(os.path.join(self.runs_dir(), "one.json"), "w") as file:
                json.dump({"uuid": uuid, "transient": False, "restarts": 0, **forged}, file)
            daemon.start()
            self.assertEqual(daemon.state("one"), "stopped", forged)
            daemon.kill()
        self.assertIsNone(other.poll())
        daemon.start()

    def test_a_process_that_runs_and_is_another_vm_is_left_alone(self):
        daemon = self.daemon
        pid = daemon.run("other")["pid"]
        uuid = daemon.create("one")["uuid"]
        with open(os.path.join(self.runs_dir(), "other.json")) as file:
            record = json.load(file)
        daemon.kill()
        with open(os.path.join(self.runs_dir(), "one.json"), "w") as file:
            json.dump({**record, "uuid": uuid, "transient": False}, file)
        daemon.start()
        daemon.until_state("other", "running")
        self.assertEqual(daemon.vms()["other"]["pid"], pid)
        daemon.until_state("one", "silent")  # it has no socket: it is watched, and not believed
        self.assertTrue(neapd.is_alive(pid))

    def test_a_process_that_says_it_is_another_vm_is_believed(self):
        daemon = self.daemon
        uuid = daemon.create("one")["uuid"]
        daemon.kill()
        process = self.by_hand("one")
        neapd.until(lambda: os.path.exists(os.path.join(daemon.top, "neap", "one.sock")), what="its socket")
        with open("/proc/%d/stat" % process.pid) as file:
            ticks = int(file.read().rsplit(")", 1)[1].split()[19])
        with open(os.path.join(self.runs_dir(), "one.json"), "w") as file:
            json.dump({"uuid": uuid, "pid": process.pid, "start_ticks": ticks, "transient": False,
                       "restarts": 0}, file)
        daemon.start()
        daemon.until_state("one", "stopped")
        self.assertNotIn("pid", daemon.vms()["one"])
        self.assertIsNone(process.poll())
        self.assertEqual(os.listdir(self.runs_dir()), [])

    def test_half_a_record_is_set_aside_and_the_vm_is_found_by_its_socket(self):
        daemon = self.daemon
        daemon.create("one")
        pid = daemon.call("vm.start", vm="one")["pid"]
        daemon.kill()
        path = os.path.join(self.runs_dir(), "one.json")
        with open(path) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(text[:len(text) // 2])
        daemon.start()
        vm = neapd.until(lambda: daemon.vms()["one"].get("pid") and daemon.vms()["one"], what="the adoption")
        self.assertEqual(vm["pid"], pid)
        self.assertEqual(len(daemon.call("host.info")["set_aside"]), 1)

    def test_half_a_definition_is_set_aside_and_the_rest_goes_on(self):
        daemon = self.daemon
        daemon.create("one")
        daemon.create("two")
        daemon.kill()
        path = os.path.join(daemon.state_home, "neap", "vms", "one.json")
        with open(path, "w") as file:
            file.write('{"config": {"name": "on')
        daemon.start()
        self.assertEqual(list(daemon.vms()), ["two"])
        aside = daemon.call("host.info")["set_aside"]
        self.assertEqual(len(aside), 1)
        self.assertIn("one.json", aside[0])
        daemon.create("one")
        self.assertEqual(list(daemon.vms()), ["one", "two"])


class Older(unittest.TestCase):
    def test_a_vm_that_cannot_say_it_in_few_words_is_asked_in_more(self):
        with tempfile.NamedTemporaryFile("w", prefix="older-neap-", delete=False) as program:
            program.write(OLDER_NEAP)
        self.addCleanup(os.unlink, program.name)
        os.chmod(program.name, 0o700)
        with unittest.mock.patch.dict(os.environ, NEAP=program.name, NEAPD=neapd.neapd_path()), \
                neapd.Daemon() as daemon:
            daemon.run("old")
            daemon.until_state("old", "paused")
            neapd.until(lambda: daemon.vms()["old"]["usage"].get("resident_bytes") == 12345678, what="its numbers")
            daemon.call("vm.kill", vm="old")


class ByHand(OneDaemon):
    def test_what_a_person_starts_is_listed_asked_and_forgotten(self):
        daemon = self.daemon
        daemon.listen()
        process = self.by_hand("mine")
        self.assertEqual(daemon.event("vm.adopted", "mine")["data"]["pid"], process.pid)
        vm = daemon.vms()["mine"]
        self.assertEqual((vm["transient"], vm["pid"]), (True, process.pid))
        self.assertEqual(daemon.call("vm.pause", vm="mine"), {"state": "paused"})
        pools = daemon.call("host.pools")["pools"]
        self.assertTrue(any(row["vm"] == "mine" for pool in pools for row in pool["vms"]))
        self.assertEqual(daemon.call("vm.update", vm="mine", labels={"a": "b"}, set={"memory.weight": 3}),
                         {"live": ["memory.weight", "label.a"], "next_start": []})
        for kept in ({"set": {"cpus": 2}}, {"restart": "always"}, {"autostart": True}):
            self.assertIn("not stored", str(daemon.fails("vm.update", vm="mine", **kept)))
        self.restart()
        self.assertEqual(daemon.vms()["mine"]["labels"], {"a": "b"})
        daemon.listen()
        daemon.call("vm.kill", vm="mine")
        self.assertEqual(daemon.event("vm.ended", "mine")["data"]["reason"], "killed on request")
        self.assertEqual(daemon.vms(), {})
        self.assertEqual(process.wait(timeout=neapd.PATIENCE_S), 7)

    def test_a_stored_vm_started_by_hand_is_the_stored_one_if_it_has_its_uuid(self):
        daemon = self.daemon
        uuid = daemon.create("one")["uuid"]
        process = self.by_hand("one", "--uuid", uuid)
        daemon.until_state("one", "running")
        self.assertEqual((daemon.vms()["one"]["pid"], daemon.vms()["one"]["transient"]), (process.pid, False))

    def test_another_vm_of_its_name_is_not_the_stored_one(self):
        daemon = self.daemon
        daemon.create("one")
        process = self.by_hand("one")
        neapd.until(lambda: "UUID" in daemon.vms()["one"]["reason"], what="the reason")
        self.assertEqual(daemon.state("one"), "stopped")
        self.assertEqual(list(daemon.vms()), ["one"])
        self.assertIn("already runs", str(daemon.fails("vm.start", vm="one")))
        self.assertIsNone(process.poll())

    def test_what_is_no_vm_is_nothing(self):
        import socket
        directory = os.path.join(self.daemon.top, "neap")
        os.makedirs(directory, mode=0o700, exist_ok=True)
        deaf = socket.socket(socket.AF_UNIX)
        deaf.bind(os.path.join(directory, "deaf.sock"))
        deaf.listen(4)
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(os.path.join(directory, "stale.sock"))
        stale.close()
        with open(os.path.join(directory, "file.sock"), "w") as file:
            file.write("x")
        self.by_hand("mine")
        neapd.until(lambda: "mine" in self.daemon.vms(), what="mine")
        self.assertEqual(list(self.daemon.vms()), ["mine"])
        self.restart()
        self.assertEqual(list(self.daemon.vms()), ["mine"])
        deaf.close()


class Kills(OneDaemon):
    def load(self, stop, rng):
        """A client that creates, starts, kills and deletes, and does not mind when the daemon dies."""
        while not stop.is_set():
            try:
                rpc = neapvm.Rpc(self.daemon.socket())
            except OSError:
                time.sleep(0.005)
                continue
            try:
                while not stop.is_set():
                    self.one_request(rpc, rng)
            except (OSError, TimeoutError):
                pass
            finally:
                rpc.close()

    def one_request(self, rpc, rng):
        name = "load-%d" % rng.randrange(4)
        method, params = rng.choice((
            ("vm.create", {"config": self.daemon.config(name), "restart": "on-failure"}),
            ("vm.start", {"vm": name}), ("vm.kill", {"vm": name}), ("vm.delete", {"vm": name}),
            ("vm.list", {}), ("vm.update", {"vm": name, "labels": {"n": str(rng.randrange(9))}}),
            ("vm.memory.set", {"selector": "name=steady-*", "weight": rng.randrange(1, 1000)}),
            ("vm.info", {"vm": name})))
        try:
            rpc.call(method, **params)
        except neapvm.RpcError:
            pass

    def test_killed_at_any_instant_it_finds_every_vm_again(self):
        daemon = self.daemon
        print("seed: NEAP_SEED=%d" % SEED)
        rng = random.Random(SEED)
        steady = {}
        for number in range(4):
            name = "steady-%d" % number
            steady[name] = daemon.run(name, {"n": str(number)})["pid"]
        stop = threading.Event()
        clients = [threading.Thread(target=self.load, args=(stop, random.Random(SEED + i))) for i in range(2)]
        for client in clients:
            client.start()
        slowest = 0.0
        try:
            for _ in range(KILLS):
                time.sleep(rng.uniform(0, 0.3))
                daemon.kill()
                took = daemon.start()
                vms = daemon.vms()
                slowest = max(slowest, took)
                self.assertLess(took, ADOPTED_WITHIN_S * slowness())
                for name, pid in steady.items():
                    self.assertEqual((vms[name].get("pid"), vms[name]["state"]), (pid, "running"))
        finally:
            stop.set()
            for client in clients:
                client.join()
        print("slowest start of %d: %.0f ms" % (KILLS, slowest * 1000))
        self.every_process_is_known_and_none_twice()
        for name in steady:
            info = daemon.call("vm.info", vm=name)
            self.assertEqual((info["resets"], info["state"]), (0, "running"))
        self.assertEqual(daemon.call("host.info")["set_aside"], [])

    def every_process_is_known_and_none_twice(self):
        def settled():
            vms = self.daemon.vms()
            pids = sorted(vm["pid"] for vm in vms.values() if "pid" in vm)
            return pids == sorted(self.daemon.vm_pids()) and len(set(pids)) == len(pids)
        neapd.until(settled, what="a list of exactly the processes that run")


if __name__ == "__main__":
    neapvm.need_kvm()
    unittest.main()
