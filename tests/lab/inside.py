# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The lab's checks, run inside the lab host: stock Debian guests under neap on emulated hardware KVM.

inside.py BUILD_DIR CACHE_DIR ARGS     ARGS: words joined by commas, e.g. "quick"

Guests on 2 MiB pages are one lane and guests on 4 KiB pages another; the lanes run side by side,
the guests in a lane one after the other, so that the pool moves only for one reason at a time.
Each finished check is one line: LAB and a JSON object with what, expected, seen, ok, seconds.
"""
import fcntl
import glob
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import threading
import time

MIB = 1 << 20
TRIPLE_FAULT = 6  # the exit status of neap when its guest had one
PATIENCE_S = 180  # for one thing of a guest; emulation on a busy machine is slow
STRESS_PATIENCE_S = 280  # less than run waits for a word
BUILD, CACHE, ARGS = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
NEAP = os.path.join(BUILD, "neap")
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
output_lock = threading.Lock()


class Failed(Exception):
    """A check cannot go on; the text is what was seen."""


class Lost(Failed):
    """The guest is dead or silent. See run_job."""


def tell(**fields):
    with output_lock:
        print("LAB " + json.dumps(fields), flush=True)


def check(what, expected, seen, ok, seconds):
    tell(what=what, expected=expected, seen=str(seen), ok=bool(ok), seconds=round(seconds, 1))


def read(path):
    with open(path, encoding="ascii", errors="replace") as f:
        return f.read()


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def pool_free_mib():
    return 2 * int(read("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"))


def eventually(condition, seconds=PATIENCE_S, step=0.25):
    """The condition's first true value, or its last one."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


class Guest:
    """One `neap run` in the foreground, its console in `lines`."""

    count = 0

    def __init__(self, kernel, cpus=1, memory="256M", pages="2M", lab="button", append="", flags=()):
        Guest.count += 1
        self.name = f"lab{Guest.count}"
        self.lines, self.news = [], threading.Condition()
        self.start = time.monotonic()
        if "mode=" not in memory and "startup=" not in memory:
            memory += ",mode=off"  # jobs count what they moved themselves
        command = [NEAP, "run", "--name", self.name, "--cpus", str(cpus), "--memory", memory,
                   "--pages", pages, "--kernel", kernel, "--initrd", INITRD,
                   "--cmdline", f"console=ttyS0 quiet lab={lab} {append}", *flags]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._collect, daemon=True)
        self.reader.start()

    def _collect(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append((time.monotonic(), line.decode(errors="replace").strip()))
                self.news.notify_all()
        with self.news:
            self.lines.append((time.monotonic(), None))
            self.news.notify_all()

    def wait(self, pattern, after=0, seconds=PATIENCE_S):
        """(match, index of the next line, time of the line) for the first line that matches."""
        end = time.monotonic() + seconds
        with self.news:
            while True:
                for index in range(after, len(self.lines)):
                    at, line = self.lines[index]
                    found = line is not None and re.search(pattern, line)
                    if found:
                        return found, index + 1, at
                    if line is None:
                        raise self.gone(f"ended before '{pattern}'")
                if not self.news.wait(end - time.monotonic()):
                    raise Lost(f"no '{pattern}' within {seconds} s: {self.tail()}")

    def tail(self, count=4):
        return " / ".join(line for _, line in self.lines[-count:] if line)

    def gone(self, what):
        """The error to raise when the VM's process ended against expectation."""
        code = self.process.wait()
        return (Lost if code == TRIPLE_FAULT else Failed)(f"{what}, exit status {code}: {self.tail(40)}")

    def neap(self, *args):
        done = subprocess.run([NEAP, *args], capture_output=True, text=True, check=False)
        if done.returncode:
            what = f"neap {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}"
            raise Failed(what) if self.process.poll() is None else self.gone(what)
        return done.stdout

    def info(self):
        return json.loads(self.neap("info", self.name, "--json"))

    def memory(self):
        info = self.info()
        return info.get("memory", info)

    def shell(self, command):
        """Run one line in a lab=shell guest, typed on its serial port; its output lines."""
        first = len(self.lines)
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        _, end, _ = self.wait(r"LAB done", after=first)
        return [line for _, line in self.lines[first:end - 1] if line]

    def exit_code(self, seconds=PATIENCE_S):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"still runs after {seconds} s: {self.tail()}") from None

    def kvm_counter(self, name):
        """Of this VM alone: KVM's debugfs has a directory PID-FD for each."""
        found = glob.glob(f"/sys/kernel/debug/kvm/{self.process.pid}-*/{name}")
        return int(read(found[0])) if found else -1

    def pss_kib(self):
        """What the process holds besides guest RAM (2 MiB pages do not count in Pss)."""
        rollup = read(f"/proc/{self.process.pid}/smaps_rollup")
        return {name: int(kib) for name, kib in re.findall(r"^(Pss|Pss_Anon|Pss_File): +(\d+)", rollup, re.M)}

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def guarded(what, expected, function):
    """Run a check; whatever stops it is a failed check, and the lane goes on."""
    start = time.monotonic()
    try:
        function()
    except Exception as problem:  # pylint: disable=broad-except
        check(what, expected, f"{type(problem).__name__}: {problem}", False, time.monotonic() - start)


# Boots. Each ends in another way, so that every end is seen on some combination.

def at_userspace(guest, what, cpus, memory_mib):
    found, after, at = guest.wait(r"LAB userspace (\d+) cpus (\d+) kB at (\d+) ms")
    devices, after, _ = guest.wait(r"LAB devices ?(.*)", after)
    complaints, after, _ = guest.wait(r"LAB complaints (\d+)", after)
    seen_mib = int(found[2]) // 1024
    seen_devices = len(devices[1].split())
    # A kernel keeps some for itself: its image, 1/64 for struct page, initrd.
    ok = int(found[1]) == cpus and memory_mib * 0.97 - 60 < seen_mib <= memory_mib and \
        seen_devices == 3 and complaints[1] == "0"
    check(f"{what}: boots to userspace", f"{cpus} CPU, about {memory_mib} MiB, 3 devices, 0 complaints",
          f"{found[1]} CPU, {seen_mib} MiB, {seen_devices} devices, {complaints[1]} complaints; "
          f"{int(found[3]) / 1000:.1f} s by the guest's clock", ok,
          at - guest.start)
    return after


def ends_with(what, guest, since, code):
    seen = guest.exit_code()
    if seen == TRIPLE_FAULT and code != TRIPLE_FAULT:
        raise guest.gone("ended")
    check(what, f"exit status {code}", f"exit status {seen}", seen == code, time.monotonic() - since)


def boots_again(what, guest, after, since):
    _, _, at = guest.wait("LAB userspace", after)
    check(what, "userspace a second time", "userspace a second time", True, at - since)
    guest.neap("kill", guest.name)
    ends_with("  then neap kill", guest, at, 7)


def end_poweroff(guest, _after, since):
    ends_with("  then poweroff in the guest", guest, since, 0)


def end_button(guest, after, _since):
    guest.wait("waiting for the power button", after)
    since = time.monotonic()
    guest.neap("stop", guest.name)
    guest.wait("power button pressed", after)
    ends_with("  then neap stop: power button", guest, since, 0)


def end_reboot(guest, after, since):
    boots_again("  then reboot in the guest", guest, after, since)


def end_reboot_stop(guest, _after, since):
    ends_with("  then reboot with --on-reset stop", guest, since, 0)


def end_panic(guest, after, since):
    boots_again("  then panic (panic=1)", guest, after, since)


def end_triple_fault(guest, _after, since):
    ends_with("  then triple fault", guest, since, TRIPLE_FAULT)


def end_triple_fault_restart(guest, after, since):
    boots_again("  then triple fault with --on-crash restart", guest, after, since)


def end_reset(guest, after, _since):
    _, after, since = guest.wait("waiting for the power button", after)
    guest.neap("reset", guest.name)
    boots_again("  then neap reset", guest, after, since)


# name: (scenario of guest-init, more of the kernel's command line, flags, what to do)
ENDS = {
    "poweroff": ("poweroff", "", (), end_poweroff),
    "button": ("button", "", (), end_button),
    "reboot": ("reboot", "", (), end_reboot),
    "reboot-stop": ("reboot", "", ("--on-reset", "stop"), end_reboot_stop),
    "panic": ("panic", "panic=1", (), end_panic),
    "triple": ("reboot", "reboot=t", (), end_triple_fault),
    "triple-restart": ("reboot", "reboot=t", ("--on-crash", "restart"), end_triple_fault_restart),
    "reset": ("button", "", (), end_reset),
}


def boot(form, cpus, memory_mib, pages, end):
    lab, append, flags, finish = ENDS[end]
    what = f"{form}, {cpus} vCPU, {memory_mib} MiB, {pages} pages"
    guest = Guest(KERNELS[form], cpus, f"{memory_mib}M", pages, lab, append, flags)
    try:
        after = at_userspace(guest, what, cpus, memory_mib)
        finish(guest, after, time.monotonic())
    finally:
        guest.close()


RESETS, LOST_MAX = 15, 2


def resets(pages):
    """One guest, reset again and again, and a new one where it was lost (run_job): shows how often it is."""
    since, done, losses = time.monotonic(), 0, []
    while done < RESETS and len(losses) <= LOST_MAX:
        guest = Guest(KERNELS["ELF"], pages=pages)
        try:
            _, after, _ = guest.wait("waiting for the power button")
            while done < RESETS:
                guest.neap("reset", guest.name)
                _, after, _ = guest.wait("waiting for the power button", after)
                done += 1
        except Lost as loss:
            losses.append(f"; after {done}: {loss}")
        finally:
            guest.close()
    check(f"{RESETS} resets of a stock guest, {pages} pages", f"userspace each time, at most {LOST_MAX} guests lost",
          f"{done} times userspace, {len(losses)} lost" + "".join(losses), len(losses) <= LOST_MAX,
          time.monotonic() - since)


# Memory

def ready_shell(**kwargs):
    guest = Guest(KERNELS["ELF"], lab="shell", **kwargs)
    try:
        guest.wait("LAB ready")
    except Failed:
        guest.close()
        raise
    return guest


def balloon_settled(guest, asked_mib):
    memory = guest.memory()
    return memory if memory["taken_bytes"] == memory["asked_bytes"] == asked_mib * MIB else None


def inflate(guest, total_mib, balloon_mib, reserved):
    """Ask for @balloon_mib; with all memory reserved before, the pool must rise by the same."""
    since, free_before = time.monotonic(), pool_free_mib()
    guest.neap("set", guest.name, f"memory={total_mib - balloon_mib}M")
    memory = eventually(lambda: balloon_settled(guest, balloon_mib)) or guest.memory()
    seconds = time.monotonic() - since
    pool_mib = pool_free_mib() - free_before
    asked, taken, returned = (memory[key + "_bytes"] // MIB for key in ("asked", "taken", "returned"))
    ok = taken == balloon_mib and returned >= 0.95 * balloon_mib
    if reserved:
        ok = ok and pool_mib >= 0.95 * balloon_mib
    check(f"balloon of {balloon_mib} MiB: the pool rises", "at least 95 % returned, pool the same",
          f"asked {asked}, taken {taken}, returned {returned} ({100 * returned / balloon_mib:.1f} %), "
          f"pool {pool_mib:+} MiB", ok, seconds)


def balloon():
    total_mib, balloon_mib = 1536, 1024
    # No sampler: KVM's mappings are counted below.
    guest = ready_shell(memory=f"{total_mib}M,sample_blocks=0", flags=("--reserve", "on", "--balloon",
                                                       "on,free_page_reporting=off,stats_period=1"))
    try:
        since = time.monotonic()
        memory = eventually(lambda: (lambda m: m if m.get("statistics") else None)(guest.memory())) or {}
        claims = memory.get("statistics") or {}
        total = int(guest.shell("grep MemTotal /proc/meminfo")[-1].split()[1]) * 1024
        check("statistics arrive", f"10 numbers, total_bytes {total}",
              f"{len([k for k in claims if k != 'age_ns'])} numbers, total_bytes {claims.get('total_bytes')}",
              claims.get("total_bytes") == total, time.monotonic() - since)
        before = guest.kvm_counter("pages_2m"), guest.kvm_counter("pages_4k")
        inflate(guest, total_mib, balloon_mib, reserved=True)
        during = guest.kvm_counter("pages_2m"), guest.kvm_counter("pages_4k")
        since = time.monotonic()
        guest.neap("set", guest.name, f"memory={total_mib}M")
        memory = eventually(lambda: balloon_settled(guest, 0)) or guest.memory()
        check("deflation to nothing", "asked 0, taken 0, returned 0",
              "asked {asked_bytes}, taken {taken_bytes}, returned {returned_bytes}".format(**memory),
              memory["taken_bytes"] == memory["returned_bytes"] == 0, time.monotonic() - since)
        since = time.monotonic()
        written = guest.shell("dd if=/dev/zero of=/tmp/filled bs=1M count=400 2>&1 | tail -1")[-1]
        frames = {state: size // MIB for state, size in guest.memory()["frames"].items() if size}
        after = guest.kvm_counter("pages_2m"), guest.kvm_counter("pages_4k")
        check("KVM maps the guest by 2 MiB before, during and after",
              "2 MiB mappings > 0, 4 KiB few, more after a fill of 400 MiB",
              f"2M/4K: {before[0]}/{before[1]}, {during[0]}/{during[1]}, {after[0]}/{after[1]}; "
              f"MiB by state: {frames}; {written}",
              min(before[0], during[0]) > 0 and after[0] >= 200 and max(before[1], during[1], after[1]) < 16,
              time.monotonic() - since)
        since = time.monotonic()
        eventually(lambda: guest.pss_kib()["Pss"] <= 3072, 10)
        pss = guest.pss_kib()
        check("the process without guest RAM", "at most 3072 KiB PSS",
              f"{pss['Pss']} KiB PSS ({pss['Pss_Anon']} its own, {pss['Pss_File']} of files)",
              pss["Pss"] <= 3072, time.monotonic() - since)
        guest.neap("kill", guest.name)
        guest.exit_code()
    finally:
        guest.close()


def reporting():
    fill_mib = 600
    guest = ready_shell(memory="1G", flags=("--balloon", "on,free_page_reporting=on"))
    try:
        lowest = pool_free_mib()
        guest.shell(f"dd if=/dev/zero of=/tmp/filled bs=1M count={fill_mib} 2>/dev/null")
        filled = pool_free_mib()
        since = time.monotonic()
        guest.shell("rm /tmp/filled")
        eventually(lambda: pool_free_mib() - filled >= 0.9 * fill_mib, 40)
        risen = pool_free_mib() - filled
        memory = guest.memory()
        check(f"free page reporting, {fill_mib} MiB freed in the guest, no target",
              "pool rises by at least 90 % of it",
              f"pool {filled - lowest:+} MiB by filling, then {risen:+} MiB; asked "
              f"{memory['asked_bytes']}, reported {memory['reported_total_bytes'] // MIB} MiB",
              risen >= 0.9 * fill_mib and memory["asked_bytes"] == 0, time.monotonic() - since)
        guest.neap("kill", guest.name)
        guest.exit_code()
    finally:
        guest.close()


def small_pages():
    """The balloon on 4 KiB frames: RAM resident on the host shrinks by what was taken."""
    guest = ready_shell(memory="512M", pages="4K", flags=("--reserve", "on", "--balloon",
                                                          "on,free_page_reporting=off"))
    try:
        since, before = time.monotonic(), guest.memory()["resident_bytes"]
        guest.neap("set", guest.name, "memory=384M")
        memory = eventually(lambda: balloon_settled(guest, 128)) or guest.memory()
        shrunk = (before - memory["resident_bytes"]) // MIB
        check("balloon of 128 MiB on 4 KiB pages", "128 MiB returned, resident down by it",
              f"taken {memory['taken_bytes'] // MIB}, returned {memory['returned_bytes'] // MIB}, "
              f"resident -{shrunk} MiB", memory["returned_bytes"] == 128 * MIB and shrunk >= 122,
              time.monotonic() - since)
        since = time.monotonic()
        numbers = guest.shell("head -c 8 /dev/hwrng | od -An -tx1")
        check("virtio-rng", "8 bytes", numbers[-1], re.fullmatch(r"( ?[0-9a-f]{2}){8}", numbers[-1]),
              time.monotonic() - since)
        since = time.monotonic()
        first = len(guest.lines)
        guest.shell("echo hello through virtio >/dev/hvc0")
        guest.wait("hello through virtio", first, 10)
        check("virtio-console", "its line on the terminal", "its line on the terminal", True,
              time.monotonic() - since)
        guest.neap("kill", guest.name)
        guest.exit_code()
    finally:
        guest.close()


# Dynamic memory

HUNGRY = (  # as a build does: many short-lived allocations, files that come and go, and a peak
    "dd if=/dev/zero of=/dev/null bs=300M count=1",
    "dd if=/dev/zero of=/tmp/objects bs=1M count=250",
    "dd if=/dev/zero of=/dev/null bs=700M count=1 && md5sum </tmp/objects",
    "rm /tmp/objects; dd if=/dev/zero of=/dev/null bs=500M count=1",
)


class Stretch:
    """For how long at most something held without a break."""

    def __init__(self):
        self.longest, self.since = 0.0, None

    def look(self, holds, now):
        self.since = (self.since or now) if holds else None
        self.longest = max(self.longest, now - self.since if holds else 0)


class PolicyWatch(threading.Thread):
    """How long the guest's wish stood above its target at a stretch, how long it was in need and got
    nothing, and the most it had."""

    def __init__(self, guest):
        super().__init__(daemon=True)
        self.guest, self.over = guest, threading.Event()
        self.wish, self.need, self.most, self.looks = Stretch(), Stretch(), 0, 0

    def run(self):
        had = 0
        while not self.over.wait(0.1):
            policy, now = self.guest.memory()["policy"], time.monotonic()
            self.looks += 1
            self.most = max(self.most, policy["assigned_bytes"])
            self.wish.look(policy["want_bytes"] > policy["target_bytes"] + 32 * MIB, now)  # its dead band
            self.need.look(policy["status"] == "Warning" and policy["assigned_bytes"] <= had, now)
            had = policy["assigned_bytes"]


def has_handed_over(guest, least_mib):
    memory = guest.memory()
    return memory if memory["taken_bytes"] >= least_mib * MIB else None


def has_only_what_it_needs(guest, pool_before_mib):
    policy, used_mib = guest.memory()["policy"], pool_before_mib - pool_free_mib()
    allowed_mib = 1.05 * policy["want_bytes"] / MIB
    return max(used_mib, policy["assigned_bytes"] / MIB) <= allowed_mib and used_mib


def dynamic():
    """A stock guest with 512 MiB of its 2 GiB, and a job that needs more for a while."""
    before = pool_free_mib()
    guest = ready_shell(cpus=2, memory="2G,startup=512M")
    watch = PolicyWatch(guest)
    try:
        since = time.monotonic()
        memory = eventually(lambda: has_handed_over(guest, 1536)) or guest.memory()
        check("a guest of 2 GiB starts with 512 MiB", "1536 MiB taken, or more after a long boot",
              f"asked {memory['asked_bytes'] // MIB}, taken {memory['taken_bytes'] // MIB} MiB",
              memory["taken_bytes"] >= 1536 * MIB, time.monotonic() - since)
        since = time.monotonic()
        watch.start()
        ends = [guest.shell(line + "; echo ended $?")[-1] for line in HUNGRY]
        watch.over.set()
        watch.join()
        killed = guest.shell("dmesg | grep -ciE 'out of memory|oom-kill'")[-1]
        check("  a job of up to 950 MiB",
              "done, nothing killed, memory beyond the start; from wish to target 1 s, from need to more 2 s",
              f"{', '.join(ends)}; {killed} kills, "
              f"{watch.most // MIB} MiB at most, {watch.wish.longest:.1f} s at most from wish to target, "
              f"{watch.need.longest:.1f} s in need without more, in {watch.looks} looks",
              set(ends) == {"ended 0"} and killed == "0" and watch.most >= 900 * MIB and
              watch.wish.longest <= 1.2 and watch.need.longest <= 2, time.monotonic() - since)
        since, peak, most = time.monotonic(), before - pool_free_mib(), watch.most
        less = eventually(lambda: guest.memory()["policy"]["assigned_bytes"] < 0.9 * most, 200, 2)
        check("  afterwards it gives back", "nine tenths of its most, once what hurt is long enough ago", less, less,
              time.monotonic() - since)
        since = time.monotonic()
        used = eventually(lambda: has_only_what_it_needs(guest, before), 250, 2)
        memory = guest.memory()
        policy = memory["policy"]
        check("  until it has what it needs", "the host has all but what demand and buffer allow, within 5 %",
              f"{peak} MiB of the pool used at the end, {used or before - pool_free_mib()} now; allowed "
              f"{policy['want_bytes'] // MIB} (demand {policy['demand_bytes'] // MIB}), assigned "
              f"{policy['assigned_bytes'] // MIB}, {policy['rule']}", used, time.monotonic() - since)
        guest.neap("kill", guest.name)
        guest.exit_code()
    finally:
        watch.over.set()
        guest.close()


# Swap

DISK = "/tmp/disk"  # host-init: an ext4 of the lab host's own
TOTAL_MIB, KEPT_MIB, PARTS, MOVES = 256, 24, 2, 8


class Mover(threading.Thread):
    """Moves the limit and the balloon of a guest about until it is stopped."""

    def __init__(self, guest):
        super().__init__()
        self.guest, self.random = guest, random.Random(20261122)
        self.moves, self.problem, self.over = 0, None, threading.Event()

    def run(self):
        try:
            while not self.over.wait(self.random.uniform(0, 1)):
                self.guest.neap("set", self.guest.name, self.random.choice(
                    (f"memory.limit={self.random.randrange(64, TOTAL_MIB, 2)}M", "memory.limit=72M",
                     f"memory={self.random.randrange(TOTAL_MIB - 64, TOTAL_MIB + 1, 2)}M")))
                self.moves += 1
        except Failed as problem:
            self.problem = problem

    def stop(self):
        self.over.set()
        self.join()
        if self.problem:
            raise self.problem


def enough_swapped(swap):
    return min(swap.get("out_bytes", 0), swap.get("in_bytes", 0)) >= KEPT_MIB * MIB


def checksums(pages):
    """Files in a stock guest's tmpfs, of which only the guest and their checksums know what they hold."""
    guest = ready_shell(cpus=2, memory=f"{TOTAL_MIB}M,sample_period=1,sample_blocks=8", pages=pages,
                        flags=("--swap", DISK))
    mover = Mover(guest)
    try:
        since = time.monotonic()
        mover.start()
        sums = [guest.shell(f"head -c {KEPT_MIB}M /dev/urandom | tee /tmp/kept{i} | sha256sum")[-1]
                for i in range(PARTS)]
        good, read, swap = 0, 0, {}
        while not (mover.problem or (mover.moves >= MOVES and enough_swapped(swap)) or
                   time.monotonic() > since + PATIENCE_S):
            good += all(guest.shell(f"sha256sum </tmp/kept{i}")[-1] == sums[i] for i in range(PARTS))
            read += 1
            memory = guest.memory()
            swap = memory["swap"]
        mover.stop()
        check(f"{PARTS} files of {KEPT_MIB} MiB in tmpfs, {pages} pages, while the limit and the balloon move",
              f"all checksums right, at least {KEPT_MIB} MiB swapped out and back",
              f"{good} of {read} times right, {mover.moves} moves, {swap['out_bytes'] // MIB} MiB out, "
              f"{swap['in_bytes'] // MIB} back, {swap['aborts']} aborts, "
              f"{memory['sampler']['periods']} samples, {memory['stall_us'] // 1000} ms of waiting",
              good == read and enough_swapped(swap) and memory["sampler"]["periods"] > 0, time.monotonic() - since)
        guest.neap("kill", guest.name)
        guest.exit_code()
    finally:
        mover.over.set()
        guest.close()


# The embedded guest: its ring 0 and interrupts on KVM that is not page-table KVM.

EMBEDDED_STATUS = 64 + 7  # neap's exit code for the guest's own status 7


def embedded():
    since = time.monotonic()
    script = "fill 64M 3; on 1 fill 32M 5; join; idle 100; bench irq 50; verify; exit 7"
    done = subprocess.run([NEAP, "run", "--cpus", "2", "--memory", "256M", "--pages", "2M", "--balloon",
                           "on,size=128M", "--cmdline", f'run="{script}"'], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=PATIENCE_S, check=False)
    console = done.stdout.decode(errors="replace")
    verified = re.search(r"ok verify pages=24576 bad_pages=0", console)
    ballooned = re.search(r"event balloon target_pages=32768 given_pages=32768", console)
    check("embedded guest, 2 vCPUs, 2M pages", "96 MiB verified, 128 MiB ballooned, its own status",
          f"exit {done.returncode}, {'verified' if verified else 'not verified'}, "
          f"{'ballooned' if ballooned else 'not ballooned'}" +
          ("" if verified else ": " + console[-300:]),
          verified and ballooned and done.returncode == EMBEDDED_STATUS, time.monotonic() - since)


def program(what, expected, *command, seconds=PATIENCE_S, **environment):
    """A program that judges itself: exit status 0, its last line as what was seen."""
    since = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          cwd="/tmp", timeout=seconds, env=dict(os.environ, **environment))
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()] or [""]
    seen = lines[-1].strip() if done.returncode == 0 else f"exit status {done.returncode}: " + " / ".join(lines[-6:])
    check(what, expected, seen, done.returncode == 0, time.monotonic() - since)


def demo():
    program("neap demo on hardware KVM", "exit status 0", NEAP, "demo", "--short", "--pages", "2M")


def memory_stress(pages):
    """No guest: the memory engine alone, on a stock kernel's userfaultfd."""
    for way in ((), ("--direct",)):
        program(f"stress {' '.join(way + ('--pages', pages))} on this kernel", "exit status 0",
                os.path.join(BUILD, "tests/stress/stress"), *way, "--pages", pages, "--seconds", "5", "--dir", DISK)


def vm_stress(pages):
    """The embedded guest counts in all of its memory while the host takes it, gives it, and resets it."""
    program(f"vm_stress {pages} on hardware KVM", "exit status 0", sys.executable,
            os.path.join(TREE, "tests/stress/vm_stress.py"), pages, "1", "2", seconds=STRESS_PATIENCE_S,
            NEAP=NEAP, NEAP_TEST_DIR=DISK, NEAP_TEST_PATIENCE_S="100")


def kvm_suite():
    for test in sorted(glob.glob(os.path.join(BUILD, "tests/kvm/test-kvm-*"))):
        if os.path.isfile(test):
            name = os.path.basename(test)
            guarded(f"{name} on hardware KVM", "exit status 0",
                    lambda test=test, name=name: program(f"{name} on hardware KVM", "exit status 0", test))


# Peers

def neap_boot_seconds():
    guest = Guest(KERNELS["bzImage"], lab="poweroff")
    try:
        _, _, at = guest.wait("LAB userspace")
        guest.exit_code()
        return at - guest.start
    finally:
        guest.close()


def qemu_boot_seconds():
    start = time.monotonic()
    command = ["qemu-system-x86_64", "-M", "microvm,rtc=on,memory-backend=ram", "-accel", "kvm", "-cpu", "host",
               "-m", "256", "-object", "memory-backend-memfd,id=ram,size=256M,hugetlb=on,hugetlbsize=2M",
               "-nodefaults", "-no-user-config", "-nographic", "-serial", "stdio", "-no-reboot",
               "-kernel", KERNELS["bzImage"], "-initrd", INITRD,
               "-append", "console=ttyS0 quiet lab=reboot reboot=t"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            if b"LAB userspace" in line:
                seconds = time.monotonic() - start
                process.kill()
                return seconds
    raise Failed("QEMU's guest did not reach userspace")


def peers():
    """The same guest on 2 MiB pages, in alternation; the shortest time of each counts.

    Single times differ by half on a busy machine, so only a clear loss is a failure.
    """
    since, ours, theirs = time.monotonic(), [], []
    for _ in range(3):
        ours.append(neap_boot_seconds())
        theirs.append(qemu_boot_seconds())
    ratio = min(ours) / min(theirs)
    check("process start to userspace beside QEMU microvm", "at most 1.25 times QEMU's",
          f"neap {min(ours):.2f} s, QEMU {min(theirs):.2f} s: ratio {ratio:.2f} (neap "
          f"{', '.join(f'{x:.1f}' for x in ours)}; QEMU {', '.join(f'{x:.1f}' for x in theirs)})",
          ratio <= 1.25, time.monotonic() - since)


def boot_job(form, cpus, memory_mib, pages, end):
    return f"boot-{form}-{cpus}-{memory_mib}-{pages}-{end}", lambda: boot(form, cpus, memory_mib, pages, end)


def lanes(quick):
    """Two lists of (name, function)."""
    if quick:
        return ([("embedded", embedded), boot_job("bzImage", 1, 256, "2M", "button"), ("balloon", balloon),
                 ("checksums-2M", lambda: checksums("2M"))],
                [boot_job("ELF", 2, 256, "4K", "reboot"), boot_job("bzImage", 2, 256, "4K", "triple")])
    # Half of the 16 combinations, chosen so that every three of the four choices meet in all ways.
    result = []
    ends = {"2M": iter("reboot triple-restart button poweroff".split()),
            "4K": iter("reset panic triple reboot-stop".split())}
    for odd, pages in enumerate(ends):
        result.append([boot_job(form, cpus, memory_mib, pages, next(ends[pages]))
                       for i, memory_mib in enumerate((256, 4096)) for j, cpus in enumerate((1, 2))
                       for k, form in enumerate(KERNELS) if (i + j + k + odd) % 2 == 0])
    result[0] += [("embedded", embedded), ("balloon", balloon), ("reporting", reporting), ("demo", demo),
                  ("dynamic", dynamic), ("resets-2M", lambda: resets("2M")),
                  ("checksums-2M", lambda: checksums("2M")), ("memory-stress-2M", lambda: memory_stress("2M")),
                  ("vm-stress-2M", lambda: vm_stress("2M"))]
    result[1] += [("small-pages", small_pages), ("kvm-suite", kvm_suite),
                  ("resets-4K", lambda: resets("4K")),
                  ("checksums-4K", lambda: checksums("4K")), ("memory-stress-4K", lambda: memory_stress("4K")),
                  ("vm-stress-4K", lambda: vm_stress("4K"))]
    return result


def run_job(name, job):
    """Run it, and once more, saying so, when its guest was lost.

    The emulator loses guests, neap's and QEMU's own: docs/TESTING.md, "Lost guests". What neap does
    wrong often is still a failure.
    """
    try:
        job()
    except Lost as loss:
        with output_lock:
            print(f"LAB lost {name}: {loss}", flush=True)
        job()


def run_lane(lane):
    only = [arg[len("only="):] for arg in ARGS if arg.startswith("only=")]
    for name, job in lane:
        if f"skip={name}" in ARGS or (only and not re.search(only[0], name)):
            continue
        guarded(name, "no surprise", lambda: run_job(name, job))
        with output_lock:
            print("LAB done", name, flush=True)


def main():
    plan = lanes("quick" in ARGS)
    threads = [threading.Thread(target=run_lane, args=(lane,)) for lane in plan]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if "quick" not in ARGS:
        run_lane([("peers", peers)])


def copy_in(name):
    """Into this host's memory, so that no guest waits for 9p."""
    target = os.path.join("/tmp", os.path.basename(name))
    shutil.copyfile(name, target)
    return target


def hold_kvm_open():
    """Two VMs that never run, for as long as the lab does.

    The kernel patches a breakpoint into its scheduler when the first VM appears and when the last goes
    (preempt notifiers, and KVM's keys for local APICs). QEMU's multi-threaded emulation now and then goes on
    running the breakpoint after it is gone: both processors hang in it. With these the patching happens
    once, while no other processor runs, and its undoing comes after all that counts (end).
    """
    others = glob.glob("/sys/devices/system/cpu/cpu[1-9]*/online")
    for other in others:
        write(other, "0")
    create_vm, create_vcpu, enable_cap, split_irqchip = 0xAE01, 0xAE41, 0x4068AEA3, 121
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    for with_irqchip in (False, True):
        vm = fcntl.ioctl(kvm, create_vm, 0)
        if with_irqchip:
            fcntl.ioctl(vm, enable_cap, struct.pack("<II4Q64x", split_irqchip, 0, 64, 0, 0, 0))
        fcntl.ioctl(vm, create_vcpu, 0)  # the descriptors live until this process ends
    for other in others:
        write(other, "1")


INITRD = copy_in(os.path.join(CACHE, "guest-initrd.cpio"))
KERNELS = {"bzImage": copy_in(glob.glob(os.path.join(CACHE, "guest/boot/vmlinuz-*"))[0]),
           "ELF": copy_in(os.path.join(CACHE, "vmlinux"))}

def end():
    """Tell it while the VMs of hold_kvm_open() are there: the last one's end may hang this host."""
    with output_lock:
        print("LAB end", flush=True)
    time.sleep(30)  # run takes the machine away; if run is gone, host-init turns it off


if __name__ == "__main__":
    hold_kvm_open()
    main()
    end()
