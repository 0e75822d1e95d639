#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How fast memory follows demand, and what a governor that never rests costs: bench_governor.py reaction|disturbance.

reaction      A guest starts small and fills memory in steps, at times that have nothing to do with
              the policy's. A step it has room for (`step`) is timed from its first byte to the
              raised target, and to the end of the balloon's move: the pages can be used. A step
              larger than all it has (`starved`), in a guest that may not help itself from the balloon,
              is timed from the moment it finds no memory until all of it is filled.
disturbance   One processor of a guest reads its whole working set, over and over, as STREAM does,
              every byte compared in ring 3; another serves the balloon. In turns of TURN_S the policy
              is left alone (its mode is manual) and made to move memory all the time (the buffer
              swings between 20 and 500 %), which also shows what a tick costs of its thread's CPU. The cost is the median of the pairs' ratios. It waits for
              the end of the boot grace first: before, nothing is taken.

Prints "name value unit". 4 KiB pages: the pool of the host is somebody's.
"""
import os
import random
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from neapvm import PATIENCE_S, Vm, need_kvm  # noqa: E402

MIB, PAGE_BYTES = 1 << 20, 4096
BOOT_GRACE_S, DEAD_BAND_MIB = 45, 16  # of the policy
SEED = int(os.environ.get("NEAP_SEED", "20261122"))


def percentiles(name, samples, unit="ms"):
    samples = sorted(samples)
    for percent in (50, 99):
        print("governor_%s_p%d %.4g %s" % (name, percent, samples[min(len(samples) - 1, len(samples) * percent // 100)],
                                           unit), flush=True)


# --- reaction ------------------------------------------------------------------------------------

RAM_MIB, STARTUP_MIB, FIRST_MIB, STEP_MIB, VMS = 1024, 256, 220, 32, 2  # above the floor of such a guest
ABSORBED_S = 3


def until(vm, holds):
    """The memory for which it holds, and how long that took in ms."""
    start = time.monotonic()
    while True:
        memory = vm.call("vm.memory")
        if holds(memory):
            return memory, (time.monotonic() - start) * 1000
        assert time.monotonic() < start + PATIENCE_S, memory
        time.sleep(0.002)


def settled(memory):
    return memory["asked_bytes"] == memory["taken_bytes"]


def step(vm, dice, targets, usables):
    vm.ask("idle %d" % dice.randrange(800, 1800))
    before, _ = until(vm, settled)
    start = time.monotonic()
    vm.type("fill %dM" % STEP_MIB)
    memory, took_ms = until(vm, lambda memory: memory["asked_bytes"] < before["asked_bytes"] or
                            (has_enough(memory) and time.monotonic() > start + ABSORBED_S))
    if memory["asked_bytes"] < before["asked_bytes"]:
        targets.append(took_ms)
        usables.append(took_ms + until(vm, settled)[1])
    vm.expect(r"ok fill")


def has_enough(memory):
    """What the policy gave before, for a stall, say, left room for this step: nothing to be done."""
    return memory["policy"]["want_bytes"] < memory["policy"]["assigned_bytes"] + DEAD_BAND_MIB * MIB


def starve(vm, dice, waits):
    """The guest asks for 48 MiB more than it has, and tries again every 10 ms."""
    vm.ask("idle %d" % dice.randrange(800, 1800))
    stat = vm.ask("stat")
    left, start = int(stat["free"]) + 48 * MIB, time.monotonic()
    if int(stat["balloon"]) < 64 * MIB:
        return
    while left >= PAGE_BYTES:
        vm.type("fill %d" % left)
        answer = vm.expect(r"(ok|error) fill bytes=(\d+)\D")
        if left == int(stat["free"]) + 48 * MIB:
            start = time.monotonic()
        left -= int(answer.group(2))
        time.sleep(0.01 if left >= PAGE_BYTES else 0)
        assert time.monotonic() < start + PATIENCE_S, left
    waits.append((time.monotonic() - start) * 1000)


def reaction():
    dice = random.Random(SEED)
    targets, usables, waits = [], [], []
    for starved in [False] * VMS + [True] * VMS:
        with Vm(["--memory", "%dM,startup=%dM,pages=4K" % (RAM_MIB, STARTUP_MIB),
                 "--balloon", "deflate_on_oom=%s" % ("off" if starved else "on")]) as vm:
            vm.expect("ready")
            until(vm, lambda memory: memory["taken_bytes"] > 0 and settled(memory))
            vm.ask("fill %dM" % FIRST_MIB)
            for _ in range(5 if starved else 14):
                starve(vm, dice, waits) if starved else step(vm, dice, targets, usables)
    print("# seed %d, %d steps, %d times starved" % (SEED, len(targets), len(waits)))
    percentiles("step_to_target", targets)
    percentiles("step_to_usable", usables)
    percentiles("starved", waits)


# --- disturbance ---------------------------------------------------------------------------------

WORK_MIB, TURN_S, PAIRS, SWING_S = 128, 1.0, int(os.environ.get("NEAP_BENCH_ROUNDS", "20")), 0.25


def passes(vm, is_moving):
    """ns of each pass over the working set in one turn."""
    vm.call("vm.memory.set", mode="auto" if is_moving else "manual")
    end, swing, wide, times = time.monotonic() + TURN_S, 0, False, []
    while time.monotonic() < end:
        if is_moving and time.monotonic() > swing:
            swing, wide = time.monotonic() + SWING_S, not wide
            vm.call("vm.memory.set", buffer_percent=500 if wide else 20)
        vm.type("on 1 verify")
        answer = vm.expect(r"ok verify pages=(\d+) bad_pages=0 bad_bytes=0 ns=(\d+)[^\r\n]*cpu=1")
        assert int(answer.group(1)) == WORK_MIB * 256, answer.group(0)
        times.append(int(answer.group(2)))
    return times


def moved_mib(vm):
    policy = vm.call("vm.memory")["policy"]
    return (policy["added_bytes"] + policy["removed_bytes"]) / MIB


def disturbance():
    with Vm(["--cpus", "2", "--memory", "%dM,pages=4K,buffer=20" % RAM_MIB, "--balloon",
             "free_page_reporting=off"]) as vm:
        started = time.monotonic()
        vm.expect("ready")
        vm.ask("fill %dM" % WORK_MIB)
        time.sleep(max(0, started + BOOT_GRACE_S + 5 - time.monotonic()))
        ratios, speeds = [], {True: [], False: []}
        before = moved_mib(vm)
        for pair in range(PAIRS + 1):
            median = {}
            for is_moving in ((True, False) if pair % 2 else (False, True)):
                times = passes(vm, is_moving)
                median[is_moving] = statistics.median(times)
            if pair > 0:  # the first is dropped
                ratios.append(median[True] / median[False])
                for is_moving, ns in median.items():
                    speeds[is_moving].append(WORK_MIB * 1000 / (ns / 1e6))
        print("governor_moved %.4g MiB/s" % ((moved_mib(vm) - before) / ((PAIRS + 1) * TURN_S)))
        policy = vm.call("vm.memory")["policy"]
        print("governor_tick_mean %.3g us" % policy["tick_us_mean"])
        print("governor_tick_worst %.3g us" % policy["tick_us_worst"])
        print("governor_read_at_rest %.5g MiB/s" % statistics.median(speeds[False]))
        print("governor_read_while_moving %.5g MiB/s" % statistics.median(speeds[True]))
        low, middle, high = (100 * (ratio - 1) for ratio in statistics.quantiles(ratios, n=4))
        print("# half of the %d pairs lie between %.2g and %.2g %%" % (PAIRS, low, high))
        print("governor_loss %.3g %%" % middle)


def main():
    need_kvm()
    {"reaction": reaction, "disturbance": disturbance}[sys.argv[1]]()


main()
