#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A guest whose working set is 1.5 times the host memory it may have: neap's swap, and the kernel's.

bench_swap.py IMAGE. The same embedded guest runs alternately

qemu  under QEMU microvm on 4 KiB pages, in a memory cgroup of LIMIT (and QEMU_EXTRA for QEMU
      itself), with a swap file of the kernel's own, made for the bench and removed after it
neap  on 2 MiB pages from a hugetlbfs mount of LIMIT, with neap's swap (--swap) on the same disk

and fills its working set; under QEMU the limit comes down after that, because the kernel's answer to
a guest that fills faster than the disk is to kill it. Then it reads all of it, every byte checked,
upwards and in shuffled 2 MiB blocks, and writes to TOUCH of it in shuffled 4 KiB pages. Times are
the guest's own (TSC). The first pair is dropped.

Prints "name value unit": medians over the rounds; *_qemu_per_neap are medians of the pairs' ratios.
Needs root, a memory cgroup of version 1, and a disk under NEAP_BENCH_DIR or the build directory.
"""
import ctypes
import errno
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from neapvm import Console, Vm, need_huge_pages, need_kvm, neap_path, skip  # noqa: E402

QEMU = "qemu-system-x86_64"
MIB = 1 << 20
ROUNDS = int(os.environ.get("NEAP_BENCH_ROUNDS", "3"))
LIMIT_MIB = int(os.environ.get("NEAP_BENCH_LIMIT_MIB", "128"))
WORK_MIB = LIMIT_MIB * 3 // 2
RAM_MIB = WORK_MIB + 32
QEMU_EXTRA_MIB = 32
LIMIT_STEP_MIB = 16
PATIENCE_S = 120
CGROUPS = "/sys/fs/cgroup/memory"
PR_SET_THP_DISABLE = 41
TOUCH_MIB = 8
PHASES = {"upwards": "verify", "shuffled_blocks": "verify random 2M %d",
          "shuffled_pages": "touch %dM random 4K %%d" % TOUCH_MIB}
POOL = "/mnt"  # in our own mount namespace
INSIDE = "NEAP_BENCH_INSIDE"

# Ends when our pipe to it does, whatever ended us, and takes everything back. A process that dies
# may still stand in the way: it tries again.
JANITOR = """
cat >/dev/null
patiently() {
	for try in $(seq 100); do
		"$@" 2>/dev/null && return
		sleep 0.1
	done
	"$@" || echo "bench_swap: left behind: $*" >&2
}
for pid in $(cat "$1/cgroup.procs"); do kill -KILL "$pid"; done
patiently rmdir "$1"
! grep -qF "$2 " /proc/swaps || patiently swapoff "$2"
rm -f "$2"
"""


class KernelSwap:
    """A memory cgroup with a limit, and a swap file of its own."""

    def __init__(self, folder, swap_mib):
        self.cgroup = os.path.join(CGROUPS, "neap-bench-%d" % os.getpid())
        self.file = os.path.join(folder, "neap-bench-%d.swap" % os.getpid())
        self.swap_mib = swap_mib

    def __enter__(self):
        self.janitor = subprocess.Popen(["sh", "-c", JANITOR, "janitor", self.cgroup, self.file],
                                        stdin=subprocess.PIPE, start_new_session=True)
        os.mkdir(self.cgroup)
        with open(os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)) as file:
            os.posix_fallocate(file.fileno(), 0, self.swap_mib * MIB)
        subprocess.run(["mkswap", self.file], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["swapon", self.file], check=True)
        return self

    def __exit__(self, *_):
        self.janitor.communicate()

    def write(self, name, value):
        with open(os.path.join(self.cgroup, name), "w", encoding="ascii") as file:
            file.write(str(value))

    def limit(self, mib):
        """In steps, and again: the kernel gives up when it cannot push out enough at once."""
        with open(os.path.join(self.cgroup, "memory.usage_in_bytes"), encoding="ascii") as file:
            now_mib = int(file.read()) // MIB
        deadline = time.monotonic() + PATIENCE_S
        while now_mib > mib:
            try:
                self.write("memory.limit_in_bytes", max(now_mib - LIMIT_STEP_MIB, mib) * MIB)
                now_mib -= LIMIT_STEP_MIB
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise

    def enter(self):
        """In the child, before exec."""
        self.write("cgroup.procs", os.getpid())
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_THP_DISABLE)")


class Qemu(Console):
    def __init__(self, image, swap):
        super().__init__(subprocess.Popen(
            [QEMU, "-M", "microvm", "-accel", "kvm", "-cpu", "host,-arch-capabilities",
             "-m", str(RAM_MIB), "-nodefaults", "-no-user-config", "-display", "none",
             "-serial", "stdio", "-kernel", image],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=swap.enter))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def phases(guest, seed):
    """What each one took, in seconds."""
    return {name: int(guest.ask(words % seed if "%" in words else words, PATIENCE_S)["ns"]) / 1e9
            for name, words in PHASES.items()}


def fill(guest):
    guest.expect("ready", PATIENCE_S)
    guest.ask("fill %dM" % WORK_MIB, PATIENCE_S)


def run_qemu(image, folder, seed):
    with KernelSwap(folder, 2 * WORK_MIB) as swap, Qemu(image, swap) as guest:
        fill(guest)
        swap.limit(LIMIT_MIB + QEMU_EXTRA_MIB)
        return phases(guest, seed)


def run_neap(folder, seed):
    flags = ["--memory", "%dM,mode=off" % RAM_MIB, "--hugetlbfs", POOL, "--swap", folder]
    with Vm(flags) as guest:
        fill(guest)
        return phases(guest, seed)


def need_machine(folder):
    need_kvm()
    for program in (QEMU, "mkswap", "swapon"):
        if not shutil.which(program):
            skip("%s is not installed" % program)
    if os.geteuid() != 0:
        skip("needs root for a cgroup, a swap file and a mount")
    if not os.path.exists(os.path.join(CGROUPS, "memory.limit_in_bytes")):
        skip("needs the memory controller of cgroup version 1")
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], stdout=subprocess.PIPE, check=True, text=True)
    if kind.stdout.strip() in ("tmpfs", "ramfs", "overlayfs"):
        skip("%s is on %s: set NEAP_BENCH_DIR to a directory on a disk" % (folder, kind.stdout.strip()))


def mount_pool():
    """Comes back in a mount namespace of our own, with LIMIT of huge pages at POOL."""
    need_huge_pages(LIMIT_MIB // 2)
    if os.environ.get(INSIDE) != "1":
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
    subprocess.run(["mount", "-t", "hugetlbfs", "-o", "size=%dM,pagesize=2M" % LIMIT_MIB, "none", POOL],
                   check=True)


def report(pairs):
    for phase in PHASES:
        for who in ("qemu", "neap"):
            print("swap_%s_%s %.6g s" % (phase, who, statistics.median(pair[who][phase] for pair in pairs)))
        ratio = statistics.median(pair["qemu"][phase] / pair["neap"][phase] for pair in pairs)
        print("swap_%s_qemu_per_neap %.4g x" % (phase, ratio), flush=True)


def main(image):
    folder = os.environ.get("NEAP_BENCH_DIR") or os.path.dirname(os.path.abspath(neap_path()))
    need_machine(folder)
    mount_pool()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report([{"qemu": run_qemu(image, folder, seed), "neap": run_neap(folder, seed)}
            for seed in range(ROUNDS + 1)][1:])


if __name__ == "__main__":
    main(sys.argv[1])
