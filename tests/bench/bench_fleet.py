#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a host of many VMs costs: bench_fleet.py start-4k IMAGE | start-2m IMAGE | steady.

start-*  From asking neapd to run 1, and 100, embedded guests of 64 MiB (one vm.run each, sent
         together) until the first byte of each guest's console has been read; beside as many QEMU
         microvms with the same IMAGE, started by a loop of the shell, each with its serial port in a
         file. Both guests have the same kernel command line, "quiet", as who starts many says to a
         kernel: each byte on a serial port is an exit. 100 on pages of 4 KiB are started without it, too
         (talking). Sockets of the one and files of the other lie in memory, as /run does. In alternation;
         medians, and the median of the pairs' ratios.
steady   200 guests that sit still: neapd's processor time and memory, and what a vm.list of all of
         them takes.

Prints "name value unit".
"""
import json
import mmap
import os
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from neapd import Daemon, until  # noqa: E402
from neapvm import PATIENCE_S, need_kvm, skip  # noqa: E402

QEMU = "qemu-system-x86_64"
IN_MEMORY = "/dev/shm"
RAM_MIB = 64
MANY = int(os.environ.get("NEAP_BENCH_FLEET", "100"))
ROUNDS = {1: 11, MANY: 3}
STEADY_VMS, STEADY_S, LISTS = 200, 20, 500
LOOK_S = 0.001
MAP_HUGETLB = 0x40000


def report(name, value, unit):
    print("%s %.4g %s" % (name, value, unit), flush=True)


# --- starting ------------------------------------------------------------------------------------

def request(number, method, **params):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


def small_vm(name, pages, cmdline=""):
    return {"name": name, "memory": {"maximum": "%dM" % RAM_MIB, "pages": pages}, "boot": {"cmdline": cmdline}}


class Consoles:
    """Waits for the first byte of each guest: asks each VM's own socket for its console."""

    def __init__(self):
        self.poller = select.epoll()
        self.open = {}

    def add(self, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        sock.sendall(request(1, "vm.console"))
        self.open[sock.fileno()] = [sock, b""]
        self.poller.register(sock.fileno(), select.EPOLLIN)

    def look(self, timeout):
        """How many guests have said their first byte by now, of those not counted before."""
        spoke = 0
        for fd, _ in self.poller.poll(timeout):
            entry = self.open[fd]
            got = entry[0].recv(4096)
            assert got, "a console closed before its guest said anything"
            entry[1] += got
            if b"\n" in entry[1] and entry[1].split(b"\n", 1)[1]:
                self.poller.unregister(fd)
                entry[0].close()
                del self.open[fd]
                spoke += 1
        return spoke


def start_neap(count, pages, cmdline):
    """Seconds from the first vm.run to the last guest's first byte."""
    with Daemon(runtime=IN_MEMORY) as daemon, socket.socket(socket.AF_UNIX) as sock:
        sock.connect(daemon.socket())
        consoles, buffer, spoke, answered = Consoles(), b"", 0, 0
        deadline = time.monotonic() + PATIENCE_S
        start = time.monotonic()
        sock.sendall(b"".join(request(i, "vm.run", config=small_vm("b%d" % i, pages, cmdline))
                              for i in range(count)))
        while spoke < count:
            assert time.monotonic() < deadline, "%d of %d guests spoke" % (spoke, count)
            if answered < count and select.select([sock], [], [], LOOK_S)[0]:
                buffer += sock.recv(1 << 16)
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    answer = json.loads(line)
                    assert "result" in answer, answer
                    consoles.add(os.path.join(daemon.top, "neap", answer["result"]["name"] + ".sock"))
                    answered += 1
            spoke += consoles.look(0 if answered < count else LOOK_S)
        took = time.monotonic() - start
    return took


def is_group(pid):
    """Is any process of that group there, dying or not? What they hold is not free before."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start_qemu(count, pages, image, cmdline):
    folder = tempfile.mkdtemp(prefix="neap-bench-", dir=IN_MEMORY)
    backend = "memory-backend-memfd,id=ram,size=%dM%s" % (RAM_MIB, ",hugetlb=on,hugetlbsize=2M" if pages == "2M" else "")
    loop = "for i in $(seq %d); do %s </dev/null >/dev/null 2>&1 & done; wait" % (count, " ".join(
        [QEMU, "-M", "microvm,memory-backend=ram", "-accel", "kvm", "-cpu", "host,-arch-capabilities",
         "-object", backend, "-m", str(RAM_MIB), "-nodefaults", "-no-user-config", "-display", "none",
         "-serial", "file:%s/$i" % folder, "-kernel", image, "-append", "'%s'" % cmdline]))
    start = time.monotonic()
    shell = subprocess.Popen(["sh", "-c", loop], start_new_session=True)
    left = {"%s/%d" % (folder, i + 1) for i in range(count)}
    while left:
        assert time.monotonic() < start + 4 * PATIENCE_S, "%d of %d QEMU guests are silent" % (len(left), count)
        left = {path for path in left if not (os.path.exists(path) and os.path.getsize(path))}
        time.sleep(LOOK_S)
    took = time.monotonic() - start
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    until(lambda: not is_group(shell.pid), what="the end of all QEMUs")
    shutil.rmtree(folder, ignore_errors=True)
    return took


def touch_free_huge_pages():
    """A host that is itself a VM gets a page from its own host when it is first touched, and that
    takes longer than all that is measured here: let neither side find one."""
    with open("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") as free:
        count = int(free.read())
    mmap.mmap(-1, count << 21, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB | mmap.MAP_POPULATE).close()


def compare(name, count, pages, image, cmdline):
    pairs = [(start_neap(count, pages, cmdline), start_qemu(count, pages, image, cmdline))
             for _ in range(ROUNDS[count])]
    name = "fleet_start_%d_%s%s" % (count, pages.lower(), name)
    report(name + "_neap", 1000 * statistics.median(neap for neap, _ in pairs), "ms")
    report(name + "_qemu", 1000 * statistics.median(qemu for _, qemu in pairs), "ms")
    report(name + "_qemu_per_neap", statistics.median(qemu / neap for neap, qemu in pairs), "x")


def start(pages, image):
    if not shutil.which(QEMU):
        skip("%s is not installed" % QEMU)
    if pages == "2M":
        touch_free_huge_pages()
    for count in ROUNDS:
        compare("", count, pages, image, "quiet")
    if pages == "4K":
        compare("_talking", MANY, pages, image, "")


# --- sitting still -------------------------------------------------------------------------------

def cpu_s(pid):
    with open("/proc/%d/schedstat" % pid) as schedstat:  # one thread: the first field is all of it, in ns
        return int(schedstat.read().split()[0]) / 1e9


def rss_mib(pid):
    with open("/proc/%d/status" % pid) as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def list_ms(daemon):
    """Until the last byte of the answer is here; reading JSON is the client's own affair."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(daemon.socket())
        begun, answer = time.monotonic(), b""
        sock.sendall(request(1, "vm.list"))
        while not answer.endswith(b"\n"):
            answer += sock.recv(1 << 20)
        took = 1000 * (time.monotonic() - begun)
        assert len(json.loads(answer)["result"]["vms"]) == STEADY_VMS
    return took


def steady():
    with Daemon(runtime=IN_MEMORY) as daemon:
        for i in range(STEADY_VMS):
            daemon.call("vm.run", config=small_vm("s%d" % i, "4K"))
        before, begun = cpu_s(daemon.process.pid), time.monotonic()
        select.select([], [], [], STEADY_S)  # what is measured is the time itself
        report("fleet_idle_cpu_200", 100 * (cpu_s(daemon.process.pid) - before) / (time.monotonic() - begun), "%")
        report("fleet_idle_rss_200", rss_mib(daemon.process.pid), "MiB")
        took = sorted(list_ms(daemon) for _ in range(LISTS))
        report("fleet_list_200_p50", took[LISTS // 2], "ms")
        report("fleet_list_200_p99", took[LISTS * 99 // 100], "ms")


def main():
    need_kvm()
    what = sys.argv[1]
    if what == "steady":
        steady()
    else:
        start({"start-4k": "4K", "start-2m": "2M"}[what], sys.argv[2])


if __name__ == "__main__":
    main()
