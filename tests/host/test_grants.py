#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A daemon divides a small pool of real huge pages between two VMs, and others take of it.

One story, since VMs are left alone for their first 45 s: the pool is a hugetlbfs mount of POOL_MIB. In the
first minute VMs start, wait and are refused. Then another program takes what is free: the lighter VM gives
back, the heavier keeps what it has, nobody dies, no byte is lost; and back again. Then the lighter one is
stopped for ten seconds.

The books are looked at all the time: what is granted and not held is never more than what is free.
"""
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapd  # noqa: E402
import neapvm  # noqa: E402

MIB = 2 ** 20
FRAME = 2 * MIB
POOL_MIB = 240
MAXIMUM_MIB, STARTUP_MIB, FLOOR_MIB, USED_MIB = 160, 100, 80, 88
SLACK_MIB = 2 + 4  # broker.c: the dead band, and two blocks
GRACE_S = 45
STOPPED_S = 10
MOUNT = "/tmp/nd-pool-%d" % os.getpid()


def until(condition, patience_s=neapvm.PATIENCE_S, what="what was waited for"):
    return neapd.until(condition, patience_s, what)


class Watch:
    """The mount's books, checked each time they are read."""

    def __init__(self, daemon):
        self.daemon = daemon

    def pool(self):
        pools = self.daemon.call("host.pools")["pools"]
        pool = [pool for pool in pools if pool["name"] == MOUNT]
        if not pool:
            return None
        self.check(pool[0])
        return pool[0]

    def check(self, pool):
        unheld = sum(max(0, vm["grant_bytes"] - vm["held_bytes"]) for vm in pool["vms"])
        available = max(0, pool["free_bytes"] - pool["marks"]["soft_bytes"])
        assert unheld <= available, pool
        held = sum(vm["held_bytes"] for vm in pool["vms"])
        assert held == pool["used_bytes"], pool
        if pool["others_bytes"]:
            assert pool["used_bytes"] + pool["others_bytes"] + pool["free_bytes"] == pool["total_bytes"], pool

    def vm(self, name):
        pool = self.pool()
        return next(vm for vm in pool["vms"] if vm["vm"] == name)

    def say(self, when):
        pool = self.pool()
        print("%-34s free %3d, room %3d, others %3d, %s;" % (
            when, pool["free_bytes"] // MIB, pool["room_bytes"] // MIB, pool["others_bytes"] // MIB, pool["state"]),
            "; ".join("%s holds %d, grant %d" % (vm["vm"], vm["held_bytes"] // MIB, vm["grant_bytes"] // MIB)
                      for vm in pool["vms"]), flush=True)


class Taker:
    """Another program that uses the pool."""

    def __init__(self):
        self.fd = os.open(os.path.join(MOUNT, "taken"), os.O_RDWR | os.O_CREAT)
        self.bytes = 0

    def take(self, count):
        for _ in range(count):
            os.posix_fallocate(self.fd, self.bytes, FRAME)
            self.bytes += FRAME

    def give_back(self):
        os.ftruncate(self.fd, 0)
        self.bytes = 0


def config(weight, swap):
    return {"memory": {"maximum": "%dM" % MAXIMUM_MIB, "startup": "%dM" % STARTUP_MIB, "minimum": "64M",
                       "pages": "2M", "hugetlbfs": MOUNT, "weight": weight}, "swap": {"dir": swap}}


def run(daemon, name, weight, swap, **more):
    return daemon.call("vm.run", config={"name": name, **config(weight, swap)}, **more)


def fill(daemon, name):
    console = daemon.type(name, "fill %dM" % USED_MIB)
    text = b""
    while b"ok fill" not in text:
        text += console.recv(65536)
    return console


def verify(console):
    """Every byte that was written is still there."""
    console.sendall(b"verify\n")
    text = b""
    while b"bad_bytes=" not in text or b"\n" not in text.split(b"bad_bytes=")[1]:
        text += console.recv(65536)
    assert b"bad_bytes=0" in text, text


def a_third_vm_is_refused_with_the_numbers_or_waits(daemon, watch, swap):
    try:
        run(daemon, "third", 1000, swap)
    except neapvm.RpcError as refusal:
        print(refusal)
        assert "third starts with 100 MiB" in str(refusal) and "room" in str(refusal)
    else:
        raise AssertionError("it was started without room")


def what_waits_starts_when_there_is_room(daemon, watch, swap):
    daemon.call("vm.create", config={"name": "patient", **config(1000, swap)})
    waiting = neapvm.Rpc(daemon.socket())
    waiting.sock.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "vm.start", "params": {"vm": "patient", "wait": true}}\n')
    until(lambda: daemon.state("patient") == "pending", what="pending")
    assert [wait["vm"] for wait in watch.pool()["waiting"]] == ["patient"]
    daemon.call("vm.kill", vm="short-lived")
    until(lambda: daemon.state("patient") == "running", what="its start")
    daemon.call("vm.kill", vm="patient")
    until(lambda: daemon.state("patient") == "stopped", what="its end")
    daemon.call("vm.delete", vm="patient")
    waiting.close()


def the_lighter_gives_back_when_another_program_takes(daemon, watch, taker, consoles):
    heavy_before = watch.vm("heavy")["held_bytes"]
    free = watch.pool()["free_bytes"]
    taker.take(free // FRAME)
    began = time.monotonic()
    until(lambda: watch.pool()["state"] in ("hard", "low"), what="a shortage")
    watch.say("another program took %d MiB:" % (taker.bytes // MIB))
    until(lambda: watch.vm("light")["held_bytes"] <= (FLOOR_MIB + SLACK_MIB) * MIB, what="memory of the lighter one")
    light, heavy = watch.vm("light"), watch.vm("heavy")
    watch.say("%.1f s later:" % (time.monotonic() - began))
    assert heavy["grant_bytes"] > light["grant_bytes"], (light, heavy)
    assert heavy["held_bytes"] >= heavy_before - FRAME, (heavy_before, heavy)
    assert light["held_bytes"] <= light["grant_bytes"] + SLACK_MIB * MIB, light
    for console in consoles.values():
        verify(console)


def with_the_pool_raised_again_everybody_has_what_it_wants(daemon, watch, taker):
    taker.give_back()
    until(lambda: watch.pool()["state"] == "clear" and
          all(vm["grant_bytes"] >= vm["want_bytes"] for vm in watch.pool()["vms"]), what="grants for all")
    watch.say("it gave all of it back:")


def a_stopped_vm_keeps_what_it_holds_and_is_promised_nothing(daemon, watch, pid):
    before = watch.vm("light")
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    until(lambda: not watch.vm("light")["answering"], STOPPED_S, what="silence")
    watch.say("silent after %.1f s:" % (time.monotonic() - began))
    while time.monotonic() - began < STOPPED_S:
        during = watch.vm("light")
        if not during["answering"]:
            assert during["grant_bytes"] == during["held_bytes"] == before["held_bytes"], (before, during)
        time.sleep(0.2)
    os.kill(pid, signal.SIGCONT)
    until(lambda: watch.vm("light")["answering"], what="its answer")
    until(lambda: watch.vm("light")["grant_bytes"] >= watch.vm("light")["want_bytes"], what="its grant")
    watch.say("it answers again:")


def the_story(daemon, swap):
    watch, taker = Watch(daemon), Taker()
    pids = {name: run(daemon, name, weight, swap)["pid"] for name, weight in
            (("light", 100), ("short-lived", 1000))}
    a_third_vm_is_refused_with_the_numbers_or_waits(daemon, watch, swap)
    what_waits_starts_when_there_is_room(daemon, watch, swap)
    pids["heavy"] = run(daemon, "heavy", 5000, swap, wait=True)["pid"]
    began = time.monotonic()
    consoles = {name: fill(daemon, name) for name in ("light", "heavy")}
    time.sleep(max(0, began + GRACE_S + 3 - time.monotonic()))  # a young guest is left alone
    watch.say("both use %d MiB:" % USED_MIB)
    the_lighter_gives_back_when_another_program_takes(daemon, watch, taker, consoles)
    with_the_pool_raised_again_everybody_has_what_it_wants(daemon, watch, taker)
    a_stopped_vm_keeps_what_it_holds_and_is_promised_nothing(daemon, watch, pids["light"])
    for console in consoles.values():
        verify(console)
    for name in ("light", "heavy"):
        daemon.call("vm.kill", vm=name)
    until(lambda: watch.pool() is None, what="the end of the pool's books")


def main():
    neapvm.need_kvm()
    neapvm.need_huge_pages(POOL_MIB // 2)
    neapvm.need_mounts_of_our_own("for a pool of its own")
    os.mkdir(MOUNT)
    subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M,size=%dM" % POOL_MIB, "none", MOUNT], check=True)
    try:
        with tempfile.TemporaryDirectory(prefix="nd-swap-", dir="/tmp") as swap, neapd.Daemon() as daemon:
            the_story(daemon, swap)
    finally:
        subprocess.run(["umount", "-l", MOUNT], check=False)
        os.rmdir(MOUNT)


main()
