#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""test_units.py BUILD - systemd finds nothing wrong with the units, and the sandbox is as tight as is said.

Where systemd-analyze is missing, the files are only read: sections, and KEY=VALUE lines.
"""
import configparser
import os
import re
import shutil
import subprocess
import sys

from installed import Installed

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
UNITS = ("neapd.service", "neapd-guests.service", "neapd.socket", "neapd-ro.socket", "neapd-metrics.socket", "neap@.service")
NAMES = [unit.replace("@.", "@web.") for unit in UNITS]
EXPOSURE_MOST = 3.0


def read(installed, unit):
    """{section: {key: [values]}}"""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",), dict_type=Multi,
                                          empty_lines_in_values=False, interpolation=None)
    parser.optionxform = str
    parser.read(installed.path("lib/systemd/system/" + unit))
    return {name: dict(parser[name]) for name in parser.sections()}


class Multi(dict):
    """A key that stands twice has both values: systemd's way."""

    def __setitem__(self, key, value):
        if isinstance(value, list) and key in self:
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def analyze(installed, *words):
    env = {**os.environ, "MANPATH": installed.path("share/man"), "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    return subprocess.run(["systemd-analyze", f"--root={installed.root}", *words], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


def lend_targets(installed):
    """Units of systemd itself that ours name; what they do is not looked at."""
    folder = os.path.join(installed.root, "usr/lib/systemd/system")
    os.makedirs(folder, exist_ok=True)
    for name in ("sysinit", "basic", "shutdown", "sockets", "local-fs", "multi-user"):
        with open(os.path.join(folder, name + ".target"), "w", encoding="utf-8") as file:
            file.write("[Unit]\nDescription=of systemd\n")


def systemd_finds_nothing_wrong(installed):
    done = analyze(installed, "verify", "--man=" + ("yes" if shutil.which("man") else "no"), *NAMES)
    assert done.returncode == 0 and not done.stdout.strip(), done.stdout


def systemd_would_find_what_is_wrong(installed):
    path = installed.path("lib/systemd/system/neapd.service")
    with open(path, encoding="utf-8") as file:
        right = file.read()
    for wrong in (right.replace("KillMode=process", "KillMode=proces"), right.replace("/neapd --config", "/nepad --config")):
        with open(path, "w", encoding="utf-8") as file:
            file.write(wrong)
        assert analyze(installed, "verify", "--man=no", "neapd.service").stdout.strip()
    with open(path, "w", encoding="utf-8") as file:
        file.write(right)


def the_sandbox_is_tight(installed):
    for name in ("neapd.service", "neapd-guests.service", "neap@web.service"):
        done = analyze(installed, "security", "--no-pager", "--offline=yes", name)
        exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout).group(1))
        print(f"   {name}: exposure {exposure}, at most {EXPOSURE_MOST}")
        assert exposure < EXPOSURE_MOST, done.stdout


def vms_outlive_the_daemon(installed):
    service = read(installed, "neapd.service")["Service"]
    assert service["KillMode"] == "process" and service["OOMPolicy"] == "continue", service
    assert service["Type"] == "notify"
    # Directories that systemd would remove with the service.
    assert "RuntimeDirectory" not in service


def an_upgrade_stops_no_vm(installed):
    with open(os.path.join(ROOT, "debian", "rules"), encoding="utf-8") as file:
        rules = file.read()
    assert re.search(r"^kept = .* --no-stop-on-upgrade --no-restart-after-upgrade$", rules, re.M)
    assert re.search(r"^\t\$\(kept\) neapd-guests.service$", rules, re.M)
    assert "PartOf" not in read(installed, "neapd-guests.service")["Unit"]


def the_sockets_differ_in_what_they_allow(installed):
    change, look, numbers = (read(installed, f"neapd{unit}.socket")["Socket"] for unit in ("", "-ro", "-metrics"))
    assert (change["ListenStream"], change["FileDescriptorName"]) == ("/run/neapd/neapd.sock", "neapd")
    assert (look["ListenStream"], look["FileDescriptorName"]) == ("/run/neapd/neapd-ro.sock", "neapd-ro")
    assert (numbers["ListenStream"], numbers["FileDescriptorName"]) == ("/run/neapd/metrics.sock", "neapd-metrics")
    assert change["SocketMode"] == "0660" and look["Service"] == numbers["Service"] == "neapd.service"


def what_vms_need_is_in_every_sandbox(installed):
    for unit in ("neapd.service", "neap@.service"):
        service = read(installed, unit)["Service"]
        assert "/dev/userfaultfd rw" in service["DeviceAllow"] and service["User"] == "neap", unit
        assert "memfd_secret" in service["SystemCallFilter"]


def main():
    with Installed(sys.argv[1]) as installed:
        lend_targets(installed)
        has_systemd = shutil.which("systemd-analyze")
        tests = [vms_outlive_the_daemon, an_upgrade_stops_no_vm, the_sockets_differ_in_what_they_allow, what_vms_need_is_in_every_sandbox]
        if has_systemd:
            tests += [systemd_finds_nothing_wrong, systemd_would_find_what_is_wrong, the_sandbox_is_tight]
        for test in tests:
            test(installed)
            print("ok " + test.__name__.replace("_", " "), flush=True)
        if not has_systemd:
            print("not asked: systemd-analyze, which is not installed (tools/setup test)")


main()
