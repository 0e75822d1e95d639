#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What VMs cost that do nothing: bench_idle.py 4K|2M IMAGE.

One VM at a time, of RAM_MIB: alone, with half of it in the balloon, with swap as well; on 4 KiB
pages also a QEMU microvm with the same IMAGE, and FLEET VMs of one neapd. Its guest idles. After
SETTLE_S each thread's CPU time and its sleeps are counted for SPAN_S: what is left when a start is
over, and what a host of hundreds pays for each. QEMU has no policy, so asks its guest for nothing.

Prints "name value unit": CPU in % of one processor, wake-ups per second, of all threads and of
each; for many VMs the mean of one. vCPU threads stand apart (`monitor` is all but them): they do
the guest's work, and where the guest's kernel is emulated that is slow.
"""
import glob
import os
import re
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench_embedded  # noqa: E402
import bench_fleet  # noqa: E402
from neapd import Daemon  # noqa: E402
from neapvm import Vm, need_kvm  # noqa: E402

RAM_MIB = 64
SETTLE_S = float(os.environ.get("NEAP_BENCH_SETTLE_S", "3"))
SPAN_S = float(os.environ.get("NEAP_BENCH_SPAN_S", "10"))
FLEET = int(os.environ.get("NEAP_BENCH_FLEET", "50"))


def thread_name(comm):
    """Of QEMU's threads the first word; all vCPUs are one."""
    if re.match(r"vcpu\d+$|CPU \d+/KVM$", comm):
        return "vcpu"
    return comm.split("/")[0].replace(" ", "_")


def look(pids):
    """name: [CPU time in s, how often it went to sleep or was preempted], summed over @pids."""
    seen = {}
    for pid in pids:
        for task in glob.glob("/proc/%d/task/*" % pid):
            with open(task + "/comm") as comm, open(task + "/schedstat") as schedstat, \
                    open(task + "/status") as status:
                row = seen.setdefault(thread_name(comm.read().strip()), [0, 0])
                row[0] += int(schedstat.read().split()[0]) / 1e9
                row[1] += sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)
    return seen


def measure(name, pids):
    time.sleep(SETTLE_S)  # what is measured is what is left then
    before, begun = look(pids), time.monotonic()
    time.sleep(SPAN_S)
    after, span = look(pids), (time.monotonic() - begun) * len(pids)
    rows = {thread: [(after[thread][i] - before.get(thread, [0, 0])[i]) / span for i in (0, 1)]
            for thread in after}
    rows["monitor"] = [sum(row[i] for thread, row in rows.items() if thread != "vcpu") for i in (0, 1)]
    rows["all"] = [rows["monitor"][i] + rows.get("vcpu", [0, 0])[i] for i in (0, 1)]
    for thread, row in sorted(rows.items()):
        if row[1] > 0 or thread in ("all", "monitor"):
            print("idle_%s_cpu_%s %.4g %%" % (name, thread, 100 * row[0]))
            print("idle_%s_wakes_%s %.4g /s" % (name, thread, row[1]), flush=True)
    return rows["all"]


def one(name, *flags):
    with Vm(["--memory", *flags]) as vm:
        vm.expect("ready")
        return measure(name, [vm.process.pid])


def qemu(image):
    command = bench_embedded.qemu_command(image)
    command[command.index("-m") + 1] = str(RAM_MIB)
    command += ["-name", "idle,debug-threads=on"]  # so that its vCPU can be told from the rest
    process, runtime = bench_embedded.spawn(
        [re.sub(r"size=\d+M", "size=%dM" % RAM_MIB, word) for word in command])
    try:
        seen = b""
        while b"ready cpus=" not in seen:
            seen += os.read(process.stdout.fileno(), 4096) or sys.exit("QEMU's guest did not start")
        return measure("qemu", [process.pid])
    finally:
        bench_embedded.end(process, runtime)


def fleet():
    with Daemon() as daemon:
        pids = [daemon.call("vm.run", config=bench_fleet.small_vm("i%d" % i, "4K"))["pid"] for i in range(FLEET)]
        measure("of_%d" % FLEET, pids)
        measure("neapd_of_%d" % FLEET, [daemon.process.pid])


def main():
    need_kvm()
    pages, image = sys.argv[1:]
    name, ram = "neap_" + pages.lower(), "%dM,pages=%s" % (RAM_MIB, pages)
    alone = one(name, ram)
    one(name + "_ballooned", "%s,startup=%dM" % (ram, RAM_MIB * 3 // 4))
    one(name + "_swap", ram, "--swap", "/var/tmp")
    if pages != "4K":
        return
    if shutil.which(bench_embedded.QEMU):
        other = qemu(image)
        print("idle_neap_per_qemu_wakes %.3g x" % (alone[1] / other[1] if other[1] else float("inf")))
        print("idle_neap_per_qemu_cpu %.3g x" % (alone[0] / other[0] if other[0] else float("inf")))
    fleet()


if __name__ == "__main__":
    main()
