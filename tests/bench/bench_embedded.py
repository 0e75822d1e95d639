#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What neap costs around the embedded guest: bench_embedded.py startup|pss|balloon|exits [IMAGE].

startup  process start to the guest's first byte on standard output, neap and QEMU microvm with the
         same IMAGE, in alternation on 4 KiB pages; wall time, and CPU time of all threads by then.
pss      proportional set size of the process without guest RAM (the sum of Pss in
         /proc/PID/smaps over every mapping but the guest's memfd), guest idle; and QEMU's.
balloon  2 MiB pages, all of them touched before: returned per asked, and speed as the guest sees
         it, from hearing of the target to the last answer; inflate_io is the speed by the CPU
         time of neap's I/O thread alone, which a busy machine does not change.
exits    what an operation costs the guest in ring 3, by its TSC; medians.

Prints "name value unit" (tests/tools/bench_table.py); medians unless named otherwise. Times on a
busy machine compare only within one run.
"""
import glob
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from neapvm import Vm, need_huge_pages, need_kvm, neap_path, skip  # noqa: E402

QEMU = "qemu-system-x86_64"
STARTS = int(os.environ.get("NEAP_BENCH_STARTS", "21"))
ROUNDS = 5
RAM_MIB = 256
BALLOON_MIB = 192
MIB = 1 << 20


def report(name, value, unit):
    print("%s %.6g %s" % (name, value, unit), flush=True)


def qemu_command(image):
    """As neap has it: one CPU, a serial port on stdio; what this machine's KVM refuses is left out."""
    return [QEMU, "-M", "microvm,memory-backend=ram", "-accel", "kvm", "-cpu", "host,-arch-capabilities",
            "-object", "memory-backend-memfd,id=ram,size=%dM" % RAM_MIB, "-m", str(RAM_MIB),
            "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
            "-kernel", image]


def neap_command(pages="4K"):
    return [neap_path(), "run", "--memory", "%dM" % RAM_MIB, "--pages", pages]


def need_qemu():
    if not shutil.which(QEMU):
        skip("%s is not installed" % QEMU)


def spawn(command):
    runtime = tempfile.mkdtemp(prefix="neap-bench-")
    process = subprocess.Popen(command, env=dict(os.environ, XDG_RUNTIME_DIR=runtime),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    return process, runtime


def end(process, runtime):
    process.kill()
    process.communicate()
    shutil.rmtree(runtime, ignore_errors=True)


def cpu_ms(pid, thread=None):
    """CPU time so far, of all threads or those of that name; schedstat's first field is exact, in ns."""
    total_ns = 0
    for folder in glob.glob("/proc/%d/task/*" % pid):
        with open(folder + "/schedstat") as schedstat, open(folder + "/comm") as comm:
            if thread in (None, comm.read().strip()):
                total_ns += int(schedstat.read().split()[0])
    return total_ns / 1e6


def time_to_first_byte(command):
    start = time.monotonic_ns()
    process, runtime = spawn(command)
    first = os.read(process.stdout.fileno(), 1)
    wall_ms = (time.monotonic_ns() - start) / 1e6
    cpu = cpu_ms(process.pid)
    end(process, runtime)
    if first != b"n":
        raise AssertionError("%s: the guest did not start" % command[0])
    return wall_ms, cpu


def bench_startup(image):
    need_qemu()
    commands = {"neap": neap_command(), "qemu": qemu_command(image)}
    samples = {name: [] for name in commands}
    for command in commands.values():
        time_to_first_byte(command)  # warm-up: page cache
    for _ in range(STARTS):
        for name, command in commands.items():
            samples[name].append(time_to_first_byte(command))
    wall = {name: [sample[0] for sample in rows] for name, rows in samples.items()}
    cpu = {name: [sample[1] for sample in rows] for name, rows in samples.items()}
    for name in commands:
        report("first_byte_%s" % name, statistics.median(wall[name]), "ms")
        report("first_byte_%s_least" % name, min(wall[name]), "ms")
        report("first_byte_%s_cpu" % name, statistics.median(cpu[name]), "ms")
    report("first_byte_qemu_per_neap", statistics.median(wall["qemu"]) /
           statistics.median(wall["neap"]), "x")
    report("first_byte_cpu_qemu_per_neap", statistics.median(cpu["qemu"]) /
           statistics.median(cpu["neap"]), "x")


def pss_kib(pid):
    """(without guest RAM, guest RAM): the latter are the mappings of the memfd behind it."""
    guest, other, is_guest = 0, 0, False
    with open("/proc/%d/smaps" % pid) as file:
        for line in file:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                is_guest = "memfd:neap-ram" in line or "memfd:memory-backend" in line
            elif line.startswith("Pss:"):
                kib = int(line.split()[1])
                guest, other = (guest + kib, other) if is_guest else (guest, other + kib)
    return other, guest


def idle_pss(command):
    process, runtime = spawn(command)
    seen = b""
    while b"ready cpus=" not in seen:
        data = os.read(process.stdout.fileno(), 4096)
        if not data:
            raise AssertionError("%s: the guest did not start" % command[0])
        seen += data
    sizes = pss_kib(process.pid)
    end(process, runtime)
    return sizes


def bench_pss(image):
    without, guest = zip(*[idle_pss(neap_command()) for _ in range(ROUNDS)])
    report("pss_neap_without_guest_ram", statistics.median(without) / 1024, "MiB")
    report("pss_neap_guest_ram", statistics.median(guest) / 1024, "MiB")
    if shutil.which(QEMU):
        without, guest = zip(*[idle_pss(qemu_command(image)) for _ in range(ROUNDS)])
        report("pss_qemu_without_guest_ram", statistics.median(without) / 1024, "MiB")


def move(vm, size_bytes):
    vm.call("vm.memory.set", balloon_bytes=size_bytes)
    match = vm.expect(r"event balloon target_pages=%d given_pages=%d ns=(\d+)\r" %
                      ((size_bytes >> 12,) * 2))
    return size_bytes or BALLOON_MIB * MIB, int(match.group(1))


def gib_per_s(moves):
    return statistics.median(size / MIB / 1024 / (ns / 1e9) for size, ns in moves)


def balloon_style(style, fragmented):
    with Vm(["--memory", "%dM" % RAM_MIB, "--pages", "2M",
             "--cmdline", "balloon=%s report_delay=3600000" % style]) as vm:
        vm.expect("ready")
        inflate, deflate, returned, io = [], [], [], []
        for _ in range(ROUNDS + 1):
            vm.ask("fill 240M")  # the frames must be there to be given back
            vm.ask("free %dM %s" % (200, "scattered" if fragmented else "blocks"))
            if not fragmented:
                vm.ask("free 40M blocks")
            before_ms = cpu_ms(vm.process.pid, "io")
            inflate.append(move(vm, BALLOON_MIB * MIB))
            io.append((BALLOON_MIB * MIB, (cpu_ms(vm.process.pid, "io") - before_ms) * 1e6))
            memory = vm.call("vm.memory")
            returned.append(memory["returned_bytes"] / memory["taken_bytes"])
            vm.ask("verify")
            deflate.append(move(vm, 0))
            if fragmented:
                vm.ask("free 40M blocks")
        name = style + ("_fragmented" if fragmented else "")
        report("balloon_%s_returned_per_asked" % name, 100 * statistics.median(returned[1:]), "%")
        report("balloon_%s_inflate" % name, gib_per_s(inflate[1:]), "GiB/s")
        report("balloon_%s_inflate_io" % name, gib_per_s(io[1:]), "GiB/s")
        report("balloon_%s_deflate" % name, gib_per_s(deflate[1:]), "GiB/s")


def bench_balloon(_image):
    need_huge_pages(RAM_MIB // 2)
    command = neap_command("2M")
    time_to_first_byte(command)
    report("first_byte_neap_2m", statistics.median(time_to_first_byte(command)[0]
                                                   for _ in range(STARTS)), "ms")
    for style, fragmented in (("blocks", False), ("pages", False), ("scattered", False),
                              ("auto", True)):
        balloon_style(style, fragmented)


def bench_exits(_image):
    with Vm(["--memory", "%dM" % RAM_MIB, "--pages", "4K"]) as vm:
        vm.expect("ready")
        for what in ("mmio", "pio", "kick", "irq", "roundtrip", "halt"):
            vm.ask("bench %s 100" % what)
            report("guest_%s" % what, int(vm.ask("bench %s 2000" % what)["median_ns"]) / 1000, "us")


if __name__ == "__main__":
    need_kvm()
    globals()["bench_" + sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else None)
