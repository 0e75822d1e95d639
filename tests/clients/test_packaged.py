#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""test_packaged.py BUILD - the packages on a host whose process 1 is systemd (tests/lib/booted.py): from their
installation, over restarts, an upgrade and a boot, to a purge. Each step finds the host as the one before left it.
"""
import contextlib
import json
import os
import re
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import booted  # noqa: E402
import debs  # noqa: E402
import neapvm  # noqa: E402

SOCKETS = ("neapd.sock", "neapd-ro.sock", "metrics.sock")
VMS = {"web": ["--pages", "4K", "--memory", "128M", "--label", "tier=web", "--autostart", "--cmdline", 'run="fill 64M"'],
       "db": ["--pages", "2M", "--memory", "64M", "--autostart", "--restart", "always"],
       "mounted": ["--hugetlbfs", "/srv/huge", "--memory", "64M"],
       "swaps": ["--pages", "4K", "--memory", "128M,limit=64M", "--swap", "/srv/swap", "--cmdline", 'run="fill 96M"']}
RUN = "/run/neapd/"
HUGE_PAGES = 96


def until(condition, what, host):
    deadline = time.monotonic() + booted.PATIENCE_S
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not come\n{host.journal()}"
        time.sleep(0.1)


def vms(host):
    return {vm["name"]: vm for vm in json.loads(host.run("neap", "ps", "--json"))}


def running(host):
    return {name: vm["pid"] for name, vm in vms(host).items() if vm["state"] == "running"}


def is_alive(host, pid):
    return host.attempt("kill", "-0", str(pid)).returncode == 0


def mode(host, path):
    return host.run("stat", "-c", "%U:%G %a", path).strip()


def install(host):
    return host.run("sh", "-c", "dpkg -i /packages/*.deb 2>&1")


def scrape(host, user=None):
    return host.attempt("python3", "-c", "import socket; s = socket.socket(socket.AF_UNIX); "
                        f"s.settimeout(20); s.connect('{RUN}metrics.sock'); "
                        "s.sendall(b'GET /metrics HTTP/1.0\\r\\n\\r\\n'); print(s.recv(99))", user=user)


# --- the story -------------------------------------------------------------------------------------


def installing_makes_the_user_the_directories_and_the_sockets(host):
    said = install(host)
    assert not re.search(r"[Ff]ailed|[Ee]rror|Could not", said), said
    assert "neap" in host.run("id", "-nG", "neap").split() and "kvm" in host.run("id", "-nG", "neap").split()
    assert mode(host, "/run/neapd") == "neap:neap 755" and mode(host, "/run/neapd/neap") == "neap:neap 700"
    assert mode(host, "/var/lib/neap") == "neap:neap 700"
    for name in SOCKETS:
        assert mode(host, RUN + name) == "root:neap 660", name
    host.apply_udev_rules("/lib/udev/rules.d/60-neap.rules")
    host.run("chgrp", "kvm", "/dev/kvm")  # as Debian's own rules do it
    host.run("chmod", "660", "/dev/kvm")
    host.run("useradd", "--create-home", "--groups", "neap", "alice")
    host.run("useradd", "--create-home", "bob")
    assert host.show("neapd.service", "ActiveState") == "active"
    assert host.show("neapd.service", "StatusText") == "0 VMs run"


def the_first_who_connects_starts_the_daemon(host):
    for how, connect in (("neapd.sock", lambda: host.run("neap", "host")), ("metrics.sock", lambda: scrape(host))):
        host.run("systemctl", "stop", "neapd.service")
        assert host.show("neapd.service", "ActiveState") == "inactive", how
        connect()
        assert host.show("neapd.service", "ActiveState") == "active", how
    assert "200 OK" in scrape(host).stdout


def members_of_the_group_may_and_others_may_not(host):
    assert "neapd " in host.run("neap", "host", user="alice")
    assert "200 OK" in scrape(host, "alice").stdout
    refused = host.attempt("neap", "host", user="bob")
    assert refused.returncode == 1 and "join the group neap" in refused.stderr, refused
    for name in SOCKETS[:2]:
        refused = host.attempt("neap", "ps", "--host", RUN + name, user="bob")
        assert refused.returncode == 1 and "you may not" in refused.stderr, refused
    assert "PermissionError" in scrape(host, "bob").stderr


def allow_swap_and_a_mount(host):
    """Directories for them. Where this machine has less locked memory than the unit allows, a right to lock instead."""
    host.run("install", "-d", "-o", "neap", "-g", "neap", "-m", "700", "/srv/swap")
    host.run("mkdir", "/srv/huge")
    host.run("mount", "-t", "hugetlbfs", "-o", "uid=neap,gid=neap,mode=700,pagesize=2M,size=96M", "huge", "/srv/huge")
    host.write("/etc/systemd/system/neapd.service.d/paths.conf", "[Service]\nReadWritePaths=/srv/swap /srv/huge\n")
    wanted = int(host.show("neapd.service", "LimitMEMLOCK"))
    given = int(re.search(r"Max locked memory +(\d+)", host.run("cat", "/proc/self/limits")).group(1))
    if given < wanted:
        print(f"   locked memory: {given >> 20} MiB here, {wanted >> 20} MiB in the unit: CAP_IPC_LOCK instead")
        host.write("/etc/systemd/system/neapd.service.d/lock.conf",
                   "[Service]\nAmbientCapabilities=CAP_IPC_LOCK\nCapabilityBoundingSet=CAP_IPC_LOCK\n")
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "restart", "neapd")


def vms_run_in_the_sandbox_on_huge_pages_and_with_swap(host):
    allow_swap_and_a_mount(host)
    for name, flags in VMS.items():
        if name in ("db", "mounted") and neapvm.free_huge_pages() < HUGE_PAGES // 2:
            print(f"   no VM {name} on 2 MiB pages: fewer than {HUGE_PAGES // 2} are free")
            continue
        host.run("neap", "create", "--name", name, *flags, user="alice")
        host.run("neap", "start", "--wait", name, user="alice")

    def has_swapped():
        usage = json.loads(host.run("neap", "info", "swaps", "--json"))["memory"]
        return usage["frames"]["swapped"] > 16 << 20
    until(has_swapped, "a VM that swaps", host)
    locked = int(re.search(r"^VmLck:\s+(\d+) kB", host.run("cat", f"/proc/{running(host)['swaps']}/status"), re.M).group(1))
    print(f"   a VM that swaps locks {locked >> 10} MiB")
    assert 0 < locked << 10 < int(host.show("neapd.service", "LimitMEMLOCK")), locked
    web = running(host)["web"]
    status = host.run("cat", f"/proc/{web}/status")
    assert re.search(r"^NoNewPrivs:\t1$", status, re.M) and re.search(r"^Seccomp:\t2$", status, re.M), status
    assert re.search(r"^CapEff:\t0+(4000)?$", status, re.M), status  # CAP_IPC_LOCK at most
    assert re.search(r"^Uid:\t(\d+)\t\1", status, re.M) and "\nUid:\t0\t" not in status, status
    told = json.loads(host.run("neap", "info", "web", "--json"))
    assert told["info"]["pager"] is True, told.keys()
    until(lambda: host.show("neapd.service", "StatusText") == f"{len(running(host))} VMs run", "the unit's status", host)


def vms_outlive_the_daemon_however_it_ends(host):
    before = running(host)
    assert len(before) >= 2, before
    main_pid = host.show("neapd.service", "MainPID")
    host.run("systemctl", "restart", "neapd")
    assert running(host) == before and host.show("neapd.service", "MainPID") != main_pid
    host.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", "neapd")
    until(lambda: host.show("neapd.service", "NRestarts") == "1", "a new daemon", host)
    assert running(host) == before
    host.run("systemctl", "stop", "neapd.service", *("neapd" + each + ".socket" for each in ("", "-ro", "-metrics")))
    assert all(is_alive(host, pid) for pid in before.values())
    said = host.attempt("neap", "ps").stderr
    assert "neapd does not answer at /run/neapd/neapd.sock" in said, said
    host.run("systemctl", "start", "neapd.service")
    assert running(host) == before
    assert "200 OK" in scrape(host).stdout


def a_wrong_file_is_said_once_and_put_right(host):
    before, path = running(host), host.file("/etc/neap/neapd.json")
    with open(path, encoding="utf-8") as file:
        right = file.read()
    host.write("/etc/neap/neapd.json", right.replace('"socket"', '"sockets"'))
    assert host.attempt("systemctl", "restart", "neapd").returncode != 0
    assert host.show("neapd.service", "ActiveState") == "failed"  # and not about to be tried again
    said = host.run("journalctl", "--no-pager", "-o", "cat", "-u", "neapd")
    assert said.count('unknown key "sockets"; did you mean socket?') == 1, said
    assert all(is_alive(host, pid) for pid in before.values())
    host.write("/etc/neap/neapd.json", right)
    host.run("systemctl", "restart", "neapd")
    assert running(host) == before


def the_journal_says_what_happened(host):
    said = host.run("journalctl", "--no-pager", "-o", "cat", "-u", "neapd")
    assert re.search(r"^vm: web: runs, process \d+$", said, re.M), said
    assert re.search(r"^vm: web: found running, process \d+$", said, re.M), said
    warnings = host.run("journalctl", "--no-pager", "-o", "cat", "-p", "warning", "_COMM=neapd")
    assert "vm: web" not in warnings, warnings


def a_vm_of_a_unit_of_its_own_is_found_and_stopped(host):
    host.write("/etc/neap/solo.json", json.dumps({"memory": {"maximum": "64M", "pages": "4K"}}))
    host.run("systemctl", "start", "neap@solo")
    pid = int(host.show("neap@solo.service", "MainPID"))
    until(lambda: running(host).get("solo") == pid, "the VM of a unit", host)
    host.run("systemctl", "stop", "neap@solo")
    assert host.show("neap@solo.service", "Result") == "success" and "solo" not in running(host)
    assert "event power-button" in host.run("journalctl", "--no-pager", "-u", "neap@solo")


def an_upgrade_leaves_vms_and_sockets_alone(host):
    before, daemon = running(host), host.show("neapd.service", "MainPID")
    sockets = [host.run("stat", "-c", "%i", RUN + name) for name in SOCKETS]
    said = install(host)
    assert not re.search(r"[Ff]ailed|[Ee]rror|Could not", said), said
    assert running(host) == before and host.show("neapd.service", "MainPID") != daemon
    assert [host.run("stat", "-c", "%i", RUN + name) for name in SOCKETS] == sockets
    assert "refusing" not in host.run("journalctl", "--no-pager", "-u", "neapd*")


def guests_power_off_with_their_host_and_come_back_with_it(host):
    before = running(host)
    host.power_off()
    with open(host.file("/var/lib/neap/logs/web.log"), encoding="utf-8") as file:
        assert file.read().rstrip().endswith("vm: stopped: the guest powered off")
    host.boot()
    expected = {name for name in before if "--autostart" in VMS[name]}
    until(lambda: running(host).keys() == expected, "the VMs of autostart", host)
    assert "restart_in" not in host.journal("-u", "neapd")


def removing_them_powers_vms_off_and_a_purge_leaves_nothing(host):
    os.remove(host.file("/etc/neap/solo.json"))
    pids = running(host).values()
    host.run("dpkg", "--remove", "neapd")
    assert not any(is_alive(host, pid) for pid in pids)
    assert "web.json" in host.run("ls", "/var/lib/neap/vms").split()  # to install it again is to go on
    said = host.run("sh", "-c", "dpkg --purge neapd neap python3-neap 2>&1")
    assert not re.search(r"[Ff]ailed|[Ee]rror|not empty", said), said
    for path in ("/etc/neap", "/run/neapd", "/var/lib/neap"):
        assert not host.attempt("ls", "-d", path).stdout, host.attempt("ls", "-lR", path).stdout
    assert not host.attempt("systemctl", "list-unit-files", "--no-legend", "neap*").stdout.strip()
    assert not host.run("find", "/etc/systemd", "-name", "neap*", "-not", "-path", "*.d*").strip()


STORY = (installing_makes_the_user_the_directories_and_the_sockets, the_first_who_connects_starts_the_daemon,
         members_of_the_group_may_and_others_may_not, vms_run_in_the_sandbox_on_huge_pages_and_with_swap,
         vms_outlive_the_daemon_however_it_ends, a_wrong_file_is_said_once_and_put_right, the_journal_says_what_happened,
         a_vm_of_a_unit_of_its_own_is_found_and_stopped, an_upgrade_leaves_vms_and_sockets_alone,
         guests_power_off_with_their_host_and_come_back_with_it,
         removing_them_powers_vms_off_and_a_purge_leaves_nothing)


def main():
    debs.need_tools()
    neapvm.need_kvm()
    packages = debs.packages(sys.argv[1]).values()
    booted.inside_name_spaces(os.path.join(HERE, "..", "tools", "with-hugepages"), str(HUGE_PAGES))
    with booted.Host() as host:
        os.mkdir(host.file("/packages"))
        for package in packages:
            shutil.copy(package, host.file("/packages"))
        print(f"booted in {host.boot():.1f} s", flush=True)
        for step in STORY:
            began = time.monotonic()
            step(host)
            print(f"ok {time.monotonic() - began:5.1f} s  {step.__name__.replace('_', ' ')}", flush=True)


main()
