#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Metrics and the page of a real daemon with real VMs: that neapd serves them, where it says.

What they say and whom they withstand is test_metrics.py's and test_page.py's.
"""
import os
import shutil
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fakehost  # noqa: E402
import neapd  # noqa: E402
import neapvm  # noqa: E402

MIB = 2 ** 20


def is_open(path):
    """It comes a moment after the daemon's other sockets, and is closed to all until it has its mode."""
    return os.path.exists(path) and stat.S_IMODE(os.stat(path).st_mode) == 0o600


def connect_unix(daemon):
    path = os.path.join(daemon.runtime, "metrics.sock")
    neapd.until(lambda: is_open(path), what="metrics.sock")
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(neapd.PATIENCE_S)
    sock.connect(path)
    return sock


def get(sock, path):
    with sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return fakehost.Answer(fakehost.read_all(sock))


def value(text, name, **labels):
    """Of the sample that has these labels, or None."""
    for line in text.splitlines():
        if line.startswith((name + " ", name + "{")) and all(f'{key}="{each}"' in line for key, each in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    return None


def test_prometheus_finds_the_vms_of_a_daemon():
    port = fakehost.free_port()
    with neapd.Daemon(flags=["--metrics-port", str(port)]) as daemon:
        daemon.run("one", labels={"role": "web"})
        daemon.create("two")

        def told():
            text = get(connect_unix(daemon), "/metrics").text
            return text if value(text, "neap_vm_memory_assigned_bytes", vm="one") else None
        text = neapd.until(told, what="the first numbers of a VM")
        assert value(text, "neap_vm_memory_maximum_bytes", vm="one") == 64 * MIB
        assert value(text, "neap_vm_up", vm="one") == 1 and value(text, "neap_vm_up", vm="two") == 0
        assert value(text, "neap_vm_label", vm="one", key="role", value="web") == 1
        assert value(text, "neap_pool_vms", pool="4K") == 1 and value(text, "neap_vms", state="stopped") == 1
        assert value(text, "neap_daemon_resident_bytes") > MIB and value(text, "neap_daemon_events_total") > 0
        if shutil.which("promtool"):
            subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=True)
        with socket.create_connection(("127.0.0.1", port), timeout=neapd.PATIENCE_S) as sock:
            assert get(sock, "/").headers["content-type"].startswith("text/html")


def test_the_page_of_a_daemon_hears_of_its_vms():
    with neapd.Daemon() as daemon, fakehost.Follower(connect_unix(daemon), None) as page:
        daemon.run("one")
        names, kinds = set(), set()
        deadline = time.monotonic() + neapd.PATIENCE_S
        while "one" not in names and time.monotonic() < deadline:
            for kind, data in page.until_now()[0]:
                names.add(data.get("info", {}).get("name"))
                kinds.add(data.get("kind") if kind == "note" else None)
        assert "one" in names and "vm.started" in kinds, (names, kinds)
        daemon.call("vm.kill", vm="one")
        while "vm.ended" not in kinds and time.monotonic() < deadline:
            kinds |= {data["kind"] for kind, data in page.until_now()[0] if kind == "note"}
        assert "vm.ended" in kinds


def test_a_port_that_another_has_stops_nothing_and_is_tried_again():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with neapd.Daemon(flags=["--metrics-port", str(port)]) as daemon:
            assert daemon.call("vm.list")["vms"] == []
            assert value(get(connect_unix(daemon), "/metrics").text, "neap_daemon_uptime_seconds") is not None
            unix, local = daemon.call("host.info")["metrics"]
            assert unix == {"at": os.path.join(daemon.runtime, "metrics.sock")}, unix
            assert local == {"at": f"127.0.0.1:{port}", "error": "another program has that port"}, local
            assert daemon.said().count(f"127.0.0.1:{port}") == 1, daemon.said()
            taken.close()
            neapd.until(lambda: not any("error" in door for door in daemon.call("host.info")["metrics"]),
                        what="the port that is free again")
            with socket.create_connection(("127.0.0.1", port), timeout=neapd.PATIENCE_S) as sock:
                assert get(sock, "/metrics").status == 200


def main():
    neapvm.need_kvm()
    for name, test in [(name, test) for name, test in globals().items() if name.startswith("test_")]:
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        started = time.monotonic()
        test()
        print(f"ok {time.monotonic() - started:5.2f} s  {name[5:].replace('_', ' ')}", flush=True)


main()
