# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A host to install packages on: systemd as process 1 of name spaces of its own, on this machine's files, of
which it changes a copy.

    booted.inside_name_spaces()          # starts this program again, where mounts are its own
    with booted.Host() as host:
        host.boot()
        host.run("dpkg", "-i", "/packages/neap.deb")
        host.run("neap", "ps", user="alice")
        host.power_off()                 # what was written stays for the next boot

It has this machine's kernel, /dev/kvm and huge pages, a network of its own with nothing but loopback, and none of
this machine's services. Missing: udev (a container has none), so modes of devices are set by host.apply_udev_rules().

Needs root, overlayfs and a cgroup2 hierarchy; without them: exit status 77. When the program ends, so does all of it.
Sources: systemd's "The Container Interface" (CONTAINER_INTERFACE.md); overlayfs.rst; cgroup_namespaces(7).
"""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

MARK = "NEAP_TEST_TOP"
SYSTEMD = "/lib/systemd/systemd"
PATIENCE_S = 60
NAME = "neap-test"
DEVICES = {"null": "1 3", "zero": "1 5", "full": "1 7", "random": "1 8", "urandom": "1 9", "tty": "5 0",
           "net/tun": "10 200"}
HOST_DEVICES = ("kvm", "userfaultfd")  # where this machine has them
NODE_MODE = "600"  # as udev finds them

# What systemd expects to find when it is process 1 of a container, and then systemd.
BEGIN = """
set -e
cd "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys # they are this machine's
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount --bind "$2" dev
mkdir -p .old
pivot_root . .old
exec chroot . sh -ec 'umount -l /.old; ip link set lo up 2>/dev/null || true
	exec env -i container=neap-test PATH=/usr/sbin:/usr/bin:/sbin:/bin "$0" systemd.unit=multi-user.target' "$3"
"""


def skip(reason):
    print("skipped: " + reason, flush=True)
    sys.exit(77)


def need():
    if os.geteuid() != 0:
        skip("only root can make name spaces to boot in")
    for tool in ("unshare", "nsenter", "pivot_root", "setpriv"):
        if not shutil.which(tool):
            skip(tool + " is not installed (util-linux)")
    if not os.path.exists(SYSTEMD):
        skip("systemd is not installed (tools/setup test)")


def inside_name_spaces(*through):
    """Returns in a process whose mounts nobody else sees, started @through a command; its directory is gone when
    it has ended."""
    if MARK in os.environ:
        return
    need()
    top = tempfile.mkdtemp(prefix="nb-", dir="/tmp")
    try:
        done = subprocess.run([*through, "unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv],
                              env={**os.environ, MARK: top}, check=False)
    finally:
        os.rmdir(top)
    sys.exit(done.returncode)


def mount(*words):
    done = subprocess.run(["mount", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        skip(f"mount {' '.join(words)}: {done.stdout.strip()}")


class Host:
    def __init__(self):
        self.top = os.environ[MARK]
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", self.top)
        for name in ("upper", "work", "root", "dev", "cgroup"):
            os.mkdir(self.path(name))
        mount("-t", "cgroup2", "cgroup2", self.path("cgroup"))
        mount("-t", "overlay", "-o", f"lowerdir=/,upperdir={self.path('upper')},workdir={self.path('work')}", "overlay",
              self.path("root"))
        self.cgroup = self.path("cgroup", f"neap-booted-{os.getpid()}")
        self.process = self.init = None
        self._make_devices()
        self._forget_services()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()  # its child goes with it, and all the name space
            self.process.wait()
        self._remove_cgroup()

    def path(self, *parts):
        return os.path.join(self.top, *parts)

    def file(self, path):
        """That of the host, seen from here, whether it runs or not; not below what it mounts itself."""
        return self.path("root", path.lstrip("/"))

    def write(self, path, text):
        os.makedirs(os.path.dirname(self.file(path)), exist_ok=True)
        with open(self.file(path), "w", encoding="utf-8") as file:
            file.write(text)

    # --- before it runs ---

    def _make_devices(self):
        dev = self.path("dev")
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", dev)
        for name in ("pts", "shm", "net", "hugepages"):
            os.mkdir(os.path.join(dev, name))
        mount("-t", "devpts", "-o", "newinstance,ptmxmode=666", "devpts", os.path.join(dev, "pts"))
        mount("-t", "tmpfs", "tmpfs", os.path.join(dev, "shm"))
        os.symlink("pts/ptmx", os.path.join(dev, "ptmx"))
        nodes = {name: (numbers, "666") for name, numbers in DEVICES.items()}
        for name in HOST_DEVICES:
            if os.path.exists("/dev/" + name):
                number = os.stat("/dev/" + name).st_rdev
                nodes[name] = (f"{os.major(number)} {os.minor(number)}", NODE_MODE)
        for name, (numbers, mode) in nodes.items():
            subprocess.run(["mknod", "-m", mode, os.path.join(dev, name), "c", *numbers.split()], check=True)

    def _forget_services(self):
        """This machine's: what is enabled here, what is no systemd unit, and whoever forbids to start any."""
        shutil.rmtree(self.file("/etc/systemd/system"), ignore_errors=True)
        self.write("/etc/systemd/system/.keep", "")
        self.write("/etc/hostname", NAME + "\n")
        self.write("/etc/fstab", "")
        os.makedirs(self.file("/etc/systemd/system-generators"), exist_ok=True)
        os.symlink("/dev/null", self.file("/etc/systemd/system-generators/systemd-sysv-generator"))
        # The second: that each package makes the list of all manual pages anew, for half a minute.
        for path in ("/usr/sbin/policy-rc.d", "/var/lib/man-db/auto-update"):
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.file(path))

    def _remove_cgroup(self):
        deadline = time.monotonic() + PATIENCE_S
        while self._has_processes() and time.monotonic() < deadline:
            time.sleep(0.02)  # they are killed, and not gone yet
        for folder, _, _ in os.walk(self.cgroup, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def _has_processes(self):
        try:
            with open(os.path.join(self.cgroup, "cgroup.events"), encoding="ascii") as file:
                return "populated 1" in file.read()
        except FileNotFoundError:
            return False

    # --- while it runs ---

    def boot(self):
        """Until systemd has started what it is to start; seconds that took."""
        began = time.monotonic()
        os.makedirs(self.cgroup, exist_ok=True)
        self.process = subprocess.Popen(
            ["sh", "-c", 'echo $$ >"$0"/cgroup.procs; exec "$@"', self.cgroup, "unshare", "--cgroup", "--pid", "--uts",
             "--ipc", "--net", "--mount", "--fork", "--kill-child", "sh", "-c", BEGIN, "sh", self.path("root"),
             self.path("dev"), SYSTEMD], stdin=subprocess.DEVNULL)
        while not self._is_up():
            if self.process.poll() is not None:
                skip("systemd does not start in name spaces here")
            assert time.monotonic() < began + PATIENCE_S, self.journal()
            time.sleep(0.05)
        return time.monotonic() - began

    def _is_up(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            children = file.read().split()
        if not children:
            return False
        self.init = children[0]
        state = self.attempt("systemctl", "is-system-running").stdout.strip()
        return state in ("running", "degraded")

    def power_off(self):
        self.attempt("systemctl", "poweroff", "--no-block")
        self.process.wait(PATIENCE_S)
        self.process = self.init = None

    def enter(self, *words, user=None):
        """The words of a command that does @words there."""
        if user:
            words = ("setpriv", "--reuid", user, "--regid", user, "--init-groups", "--", *words)
        return ["nsenter", "--target", self.init, "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "env", "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
                "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0", *words]

    def attempt(self, *words, user=None, text=None):
        return subprocess.run(self.enter(*words, user=user), input=text, stdin=None if text else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False)

    def run(self, *words, user=None, text=None):
        done = self.attempt(*words, user=user, text=text)
        assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}: {done.stderr}{done.stdout}\n{self.journal()}"
        return done.stdout

    def show(self, unit, what):
        return self.run("systemctl", "show", "--value", "-p", what, unit).strip()

    def journal(self, *words):
        return self.attempt("journalctl", "--no-pager", "-o", "short", "-n", "25", *words).stdout

    def apply_udev_rules(self, path):
        """GROUP and MODE of the rules for one device each, as udev gives them."""
        with open(self.file(path), encoding="utf-8") as file:
            for name, group, mode in re.findall(r'^KERNEL=="(\w+)", GROUP="(\w+)", MODE="(\d+)"', file.read(), re.M):
                if os.path.exists(self.path("dev", name)):
                    self.run("chgrp", group, "/dev/" + name)
                    self.run("chmod", mode, "/dev/" + name)
