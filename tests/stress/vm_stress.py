#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""vm_stress.py 2M|4K [SECONDS [COUNTS]] - a real VM counts, shuffled and straight, while the host takes its memory.

The embedded guest fills its working set and three processors count in every page of it, each its own
way, with locked increments. Meanwhile the limit of its memory moves, the balloon takes and gives,
blocks are sampled, the VM is paused and resumed, and (2M) somebody else takes the pool, which is a
hugetlbfs mount of our own with a size= limit. At the end of each round every total must be exact. At
last it is reset twice in the middle of a round.
Run 2M through tests/tools/with-hugepages 40.
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

MIB = 1 << 20
POOL = "/mnt"  # in our own namespace
POOL_MIB, HOG_MIB, RAM_MIB, WORK_MIB = 80, 24, 96, 56
BALLOON_MIB = 24
COUNTERS = (1, 2, 3)
RESETS = 2
PATIENCE_S = 2 * neapvm.PATIENCE_S  # all of its memory, while it swaps


class Hog:
    """Somebody else on the host, who takes from the pool and gives it back."""

    def __init__(self, dice):
        self.dice = dice
        self.fd = os.open(os.path.join(POOL, "hog"), os.O_RDWR | os.O_CREAT)

    def change(self):
        os.ftruncate(self.fd, 0)
        wanted = self.dice.randrange(0, HOG_MIB, 2)
        try:
            if wanted:
                os.posix_fallocate(self.fd, 0, wanted * MIB)
        except OSError:
            pass  # the guest has it

    def let_go(self):
        os.ftruncate(self.fd, 0)


class Stress:
    def __init__(self, pages, seconds, counts, dice, directory):
        self.dice = dice
        self.seconds, self.counts = seconds, counts
        self.hog = Hog(dice) if pages == "2M" else None
        self.actions = self.most_taken = 0
        path = os.path.join(directory, "vm.json")
        memory = {"maximum": "%dM" % RAM_MIB, "pages": pages, "ahead": "8M", "sample_blocks": 16,
                  "sample_period": 1, "limit": "%dM" % (RAM_MIB // 2)}
        if pages == "2M":
            memory["hugetlbfs"] = POOL
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"cpus": len(COUNTERS) + 1, "memory": memory, "swap": {"dir": directory}}, file)
        os.chmod(path, 0o600)
        self.vm = neapvm.Vm(["--config", path])

    def act(self):
        choice = self.dice.randrange(12)
        if choice < 6:
            limit = self.dice.choice([0, *range(16, RAM_MIB, 8)])
            self.vm.call("vm.memory.limit", limit_bytes=limit * MIB)
        elif choice < 8:
            self.vm.call("vm.memory.set", balloon_bytes=self.dice.randrange(0, BALLOON_MIB) * MIB)
        elif choice < 9:
            self.vm.call("vm.pause")
            self.vm.call("vm.resume")
        elif self.hog:
            self.hog.change()
        self.actions += 1
        self.most_taken = max(self.most_taken, self.vm.call("vm.memory")["taken_bytes"])

    def counted(self):
        """Processors that have answered since the round began."""
        return self.vm.output[self.vm.seen:].count(b"ok count")

    def read_console(self):
        try:
            self.vm.expect("nothing says this", patience_s=0.02)
        except AssertionError:
            pass

    def round(self):
        for cpu in COUNTERS:
            way = self.dice.choice(["", " random", " random 64K %d" % self.dice.randrange(1, 1000)])
            self.vm.type("on %d count %d%s" % (cpu, self.counts, way))
        while self.counted() < len(COUNTERS):
            assert b"error" not in self.vm.output[self.vm.seen:], self.vm.output[-500:]
            self.act()
            self.read_console()
        if self.hog:
            self.hog.let_go()
        self.vm.type("join")
        self.vm.expect("ok join", patience_s=PATIENCE_S)
        self.vm.call("vm.memory.limit", limit_bytes=RAM_MIB // 2 * MIB)  # or shuffled reads take minutes
        self.vm.ask("tally", patience_s=PATIENCE_S)
        self.vm.ask("verify random 2M %d" % self.dice.randrange(1, 1000), patience_s=PATIENCE_S)

    def fill(self, seed):
        self.vm.ask("report", patience_s=PATIENCE_S)  # else free memory is on its way through the queue
        self.vm.ask("fill %dM %d" % (WORK_MIB, seed), patience_s=PATIENCE_S)

    def reset(self):
        """In the middle of it all; nothing of the old guest may be left, in RAM or in swap."""
        for cpu in COUNTERS:
            self.vm.type("on %d count 1000 random" % cpu)
        self.act()
        self.vm.call("vm.reset")
        ready = self.vm.expect(r"ready cpus=(\d+)", patience_s=PATIENCE_S)
        assert int(ready.group(1)) == len(COUNTERS) + 1, "a processor did not come back: %s" % ready.group(0)
        assert self.vm.call("vm.memory")["swap"]["used_bytes"] < WORK_MIB * MIB // 4
        self.fill(self.dice.randrange(1, 1000))
        self.vm.ask("verify", patience_s=PATIENCE_S)

    def run(self):
        self.vm.rpc  # else its own sentence is the error
        self.vm.expect("ready ", patience_s=PATIENCE_S)
        self.fill(1)
        end = time.monotonic() + self.seconds
        rounds = 0
        while rounds == 0 or time.monotonic() < end:
            self.round()
            rounds += 1
            swap = self.vm.call("vm.memory")["swap"]
            print("round %d: %d things done, %d MiB out, %d MiB in, %d aborts, %d refaults, balloon up to "
                  "%d MiB" % (rounds, self.actions, swap["out_bytes"] // MIB, swap["in_bytes"] // MIB,
                              swap["aborts"], swap["refaults"], self.most_taken // MIB), flush=True)
        assert swap["out_bytes"] > WORK_MIB * MIB // 4, "hardly anything went to swap: %r" % swap
        assert swap["in_bytes"] > 0 and swap["write_errors"] == 0 and swap["read_errors"] == 0, swap
        for _ in range(RESETS):
            self.reset()
        self.vm.call("vm.kill")
        self.vm.wait()


def main():
    pages, seconds, counts = (sys.argv[1:] + ["6", "12"][len(sys.argv) - 2:])[:3]
    seed = int(os.environ.get("NEAP_SEED", "20240229"), 0)
    print("seed: NEAP_SEED=%d" % seed, flush=True)
    if pages == "2M":
        subprocess.run(["mount", "-t", "hugetlbfs", "-o", "size=%dM,pagesize=2M" % POOL_MIB, "none", POOL],
                       check=True)
    with tempfile.TemporaryDirectory(dir=os.path.abspath(os.environ.get("NEAP_TEST_DIR", "."))) as directory:
        stress = Stress(pages, float(seconds), int(counts), random.Random(seed), directory)
        try:
            stress.run()
        finally:
            stress.vm.close()
    print("passed: every total is exact")


if __name__ == "__main__":
    neapvm.need_kvm()
    if sys.argv[1] == "2M":
        neapvm.need_huge_pages(POOL_MIB // 2)
        neapvm.need_mounts_of_our_own("for a hugetlbfs mount of its own")
    main()
