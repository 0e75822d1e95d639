#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""/metrics of a host made of numbers (fake_host.c), and what its HTTP does with clients that mean harm.

Each test is a function whose name is the sentence it holds. The server's clock is told to jump where its
deadlines are meant, so nothing here waits for them. NEAP_SEED chooses other garbage.
"""
import os
import random
import re
import resource
import select
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time

import fakehost
from fakehost import FakeHost, read_all

MIB = 2 ** 20
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
SAMPLE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)+)\})? (\d+(?:\.\d+)?)$')
PEERS, FOLLOWERS = 96, 24  # metrics.h, "Limits"
SEED = int(os.environ.get("NEAP_SEED", "5"))
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def promtool(text):
    if not shutil.which("promtool"):
        print("   promtool is not installed (package prometheus): its check is left out")
        return
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def samples(text):
    """{name: {labels: value}}"""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line}"
        labels = match.group(2) or ""
        assert labels not in found.setdefault(match.group(1), {}), f"twice: {line}"
        found[match.group(1)][labels] = float(match.group(3))
    return found


def of_vm(found, name, vm):
    return [value for labels, value in found.get(name, {}).items() if f'vm="{vm}"' in labels]


# --- what it says ---------------------------------------------------------------------------------


def test_promtool_finds_nothing_to_say_about_the_text():
    with FakeHost() as host:
        answer = host.get("/metrics")
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        promtool(answer.text)
        assert samples(answer.text)["neap_vms"]['state="running"'] == 6


def test_every_number_that_a_vm_tells_has_its_metric():
    with open(os.path.join(ROOT, "src/api/usage.def"), encoding="utf-8") as file:
        rows = re.findall(r'^USAGE\((\w+), (\w+), "(\w+)"', file.read(), re.M)
    assert len(rows) > 20
    with FakeHost() as host:
        text = host.get("/metrics").text
    for field, kind, metric in rows:
        assert f"# TYPE neap_vm_{metric} {kind.lower()}\n" in text, metric
        assert not re.search(r"percent|microsec|_ms_|_us_", metric), f"{field}: {metric} has no base unit"
        assert metric.endswith("_total") == (kind == "COUNTER"), metric
    found = samples(text)
    assert 0.5 < of_vm(found, "neap_vm_memory_pressure_ratio", "web-1")[0] < 1.5
    assert of_vm(found, "neap_vm_memory_maximum_bytes", "db-1") == [8192 * MIB]


def test_the_manual_names_every_family_and_its_examples_are_right():
    with open(os.path.join(ROOT, "docs/METRICS.md"), encoding="utf-8") as file:
        manual = file.read()
    table = manual.split("<!-- families")[1].split("\n\n")[0]
    with FakeHost() as host:
        text = host.get("/metrics").text
    written, told = set(re.findall(r"`(neap_\w+)`", table)), set(re.findall(r"^# TYPE (\w+)", text, re.M))
    assert written == told, written ^ told
    for name in [name for name in os.listdir(os.path.join(ROOT, "docs")) if name.endswith(".md")]:
        with open(os.path.join(ROOT, "docs", name), encoding="utf-8") as file:
            said = set(re.findall(r"\bneap_(?:vm|vms|pool|daemon|build)\w*[a-z]\b", file.read()))
        assert said <= told, f"docs/{name}: {said - told}"
    if not shutil.which("promtool"):
        return
    with tempfile.TemporaryDirectory() as folder:
        for example, check in zip(re.findall(r"```yaml\n(.*?)```", manual, re.S), ("config", "rules"), strict=True):
            path = os.path.join(folder, check)
            with open(path, "w", encoding="utf-8") as file:
                file.write(example)
            done = subprocess.run(["promtool", "check", check, path], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


def test_a_client_that_asks_for_openmetrics_gets_it():
    with FakeHost() as host:
        answer = host.get("/metrics", Accept=OPENMETRICS)
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("\n# EOF\n")
    counters = re.findall(r"^# TYPE (\w+) counter$", answer.text, re.M)
    assert counters and not [name for name in counters if name.endswith("_total")]
    names = samples(answer.text).keys()
    assert "neap_vm_memory_faults" in counters and "neap_vm_memory_faults_total" in names


def test_a_vm_that_ended_is_down_and_has_no_numbers():
    with FakeHost() as host:
        host.tell("end 1")
        host.tell("state 2 silent")
        host.tell("forget 3")
        found = samples(host.get("/metrics").text)
    assert of_vm(found, "neap_vm_up", "db-1") == [0] and of_vm(found, "neap_vm_up", "web-1") == [1]
    assert of_vm(found, "neap_vm_up", "batch-1") == [0], "it has a process that does not answer"
    assert of_vm(found, "neap_vm_memory_demand_bytes", "db-1") == []
    assert not of_vm(found, "neap_vm_up", "cache-1")
    assert sum(of_vm(found, "neap_vm_state", "db-1")) == 1
    assert [labels for labels, value in found["neap_vm_state"].items() if value and "db-1" in labels][0].endswith(
        'state="stopped"')


def test_whatever_a_name_or_label_holds_is_escaped():
    with FakeHost() as host:
        host.tell('rename 0 a"b\\c{}=1')
        host.tell('label 1 tier we"b\\n\\')
        text = host.get("/metrics").text
        promtool(text)
        found = samples(text)
        assert [True for labels in found["neap_vm_up"] if 'vm="a\\"b\\\\c{}=1"' in labels]
        assert [True for labels in found["neap_vm_label"] if 'key="tier",value="we\\"b\\\\n\\\\"' in labels]


def test_a_thousand_vms_take_less_than_20_ms_and_memory_that_ends():
    with FakeHost(vms=1000) as host:
        microseconds, text_bytes = map(int, host.tell("render 10").split())
        print(f"   1,000 VMs: {microseconds} us, {text_bytes} bytes of text")
        before = host.rss()
        assert microseconds < (20000 if before else 200000), "sanitizers take their time"
        promtool(host.get("/metrics").text)
        before = host.rss()
        for _ in range(30):
            host.tell("jump 600")  # so that each is made anew
            assert host.get("/metrics").status == 200
        assert host.rss() - before < 16 * MIB


# --- who may ask ----------------------------------------------------------------------------------


def test_the_port_answers_only_to_a_local_name():
    with FakeHost() as host:
        for name in ("localhost", "LOCALHOST:9", "127.0.0.1", f"127.0.0.1:{host.port}", "[::1]:80"):
            assert host.get("/metrics", tcp=True, Host=name).status == 200, name
        for name in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "10.0.0.1"):
            for path in ("/", "/metrics", "/events"):
                assert host.get(path, tcp=True, Host=name).status in (400, 403), name
        assert host.ask(b"GET /metrics HTTP/1.0\r\n\r\n", tcp=True).status == 403
        assert host.ask(b"GET /metrics HTTP/1.0\r\n\r\n").status == 200, "the UNIX socket has its file's mode"


def test_a_page_of_another_site_cannot_follow():
    with FakeHost() as host:
        assert host.get("/events", tcp=True, Sec_Fetch_Site="cross-site").status == 403
        assert host.get("/events", tcp=True, Sec_Fetch_Site="same-site").status == 403
        assert "access-control-allow-origin" not in host.get("/metrics", tcp=True, Origin="http://x.example").headers


def test_answers_say_that_nothing_else_may_use_them():
    with FakeHost() as host:
        for path in ("/", "/metrics", "/nothing"):
            headers = host.get(path, tcp=True).headers
            assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "no-referrer" and headers["cache-control"] == "no-store"
            assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in host.get("/").headers["content-security-policy"]


def test_only_get_and_only_what_there_is():
    with FakeHost() as host:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "BREW"):
            answer = host.get("/metrics", method=method)
            assert answer.status == 405 and answer.headers["allow"] == "GET", method
        assert host.ask(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\nx").status == 405
        for path in ("/metrics/", "//", "/../etc/passwd", "/%2e%2e", "/events/x", "/favicon.ico"):
            assert host.get(path).status == 404, path


def test_a_port_that_another_has_is_said_once_and_had_when_it_is_free():
    with FakeHost() as host:
        with FakeHost(port=host.port) as second:
            assert f"metrics: not at 127.0.0.1:{host.port}, " in second.process.stderr.readline()
            assert second.get("/metrics").status == 200
            host.close()
            assert f"now at 127.0.0.1:{host.port}" in second.process.stderr.readline()
            assert second.get("/metrics", tcp=True).status == 200


def test_the_socket_is_its_owners_alone_and_goes_with_the_server():
    with tempfile.TemporaryDirectory(prefix="neap-metrics-") as directory, FakeHost(directory=directory) as host:
        assert stat.S_IMODE(os.stat(host.path).st_mode) == 0o600
        with FakeHost(directory=host.dir) as second:
            assert "another daemon has it" in second.process.stderr.readline()
            assert second.get("/metrics", tcp=True).status == 200
        assert host.get("/metrics").status == 200
        host.close()
        assert not os.path.exists(host.path)
        left = socket.socket(socket.AF_UNIX)
        left.bind(host.path)
        left.close()  # as a daemon leaves it that was killed
        with FakeHost(directory=host.dir) as third:
            assert third.get("/metrics").status == 200


# --- who means harm -------------------------------------------------------------------------------


def answers_at_once(host, tcp=False):
    started = time.monotonic()
    assert host.get("/metrics", tcp=tcp).status == 200
    took = time.monotonic() - started
    assert took < 2, f"it took {took:.1f} s"


def is_closed(sock):
    sock.settimeout(fakehost.PATIENCE_S)
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def test_clients_that_send_a_byte_now_and_then_are_dropped_and_hurt_nobody():
    with FakeHost() as host:
        slow = [host.connect(tcp=True) for _ in range(PEERS - 6)]
        for byte in b"GET /metrics HTT":
            for sock in slow:
                sock.sendall(bytes([byte]))
            answers_at_once(host, tcp=True)
        host.tell("jump 11000")
        assert all(is_closed(sock) for sock in slow)
        answers_at_once(host, tcp=True)
        for sock in slow:
            sock.close()


def test_a_thousand_connections_push_out_each_other_and_nobody_else():
    with FakeHost() as host:
        idle = []
        for number in range(1000):
            idle.append(host.connect(tcp=True))
            if number % 100 == 0:
                answers_at_once(host, tcp=True)
                answers_at_once(host)
        assert all(is_closed(sock) for sock in idle[:1000 - PEERS - 1])
        answers_at_once(host, tcp=True)
        for sock in idle:
            sock.close()
        answers_at_once(host, tcp=True)


def cpu_s(process):
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def test_without_a_descriptor_left_it_waits_and_does_not_spin():
    with FakeHost() as host:
        _, most = resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE)
        used = 1 + max(int(fd) for fd in os.listdir(f"/proc/{host.process.pid}/fd"))
        resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE, (used, most))
        with host.connect() as sock:
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            before = cpu_s(host.process)
            assert not select.select([sock], [], [], 0.6)[0], "it is answered without a descriptor"
            assert cpu_s(host.process) - before < 0.2
            resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE, (most, most))
            assert fakehost.Answer(read_all(sock)).status == 200


def test_a_head_without_end_is_refused():
    with FakeHost() as host:
        before = host.rss()
        for raw in (b"GET /" + b"a" * 10 * MIB, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"b" * 10 * MIB,
                    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"y: z\r\n" * MIB):
            assert host.ask(raw).status in (0, 400, 413, 414, 431)
            answers_at_once(host)
        assert host.rss() - before < 8 * MIB


def test_garbage_is_refused():
    print(f"   seed {SEED}")
    chance = random.Random(SEED)
    good = b"GET /metrics?a=%41&after=1 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    with FakeHost() as host:
        for _ in range(300):
            raw = bytearray(good)
            for _ in range(chance.randint(1, 8)):
                raw[chance.randrange(len(raw))] = chance.randrange(256)
            raw = bytes(raw) if chance.random() < 0.7 else chance.randbytes(chance.randint(1, 4000))
            with host.connect(tcp=chance.random() < 0.5) as sock:
                try:
                    sock.sendall(raw)
                    sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                sock.settimeout(1)
                answer = fakehost.Answer(read_all(sock, lambda: host.tell("jump 11000")))
                assert answer.status in (0, 200, 400, 403, 404, 405, 413, 431, 501, 505), answer.status
        answers_at_once(host)


def test_clients_that_do_not_read_cost_little_and_are_dropped():
    with FakeHost(vms=1000) as host:
        before = host.rss()
        deaf = []
        for _ in range(PEERS - 10):
            sock = host.connect()
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
            deaf.append(sock)
        answers_at_once(host)
        grown = host.rss() - before
        print(f"   {PEERS - 10} that do not read: {grown / MIB:.0f} MiB more")
        assert grown < 48 * MIB
        host.tell("jump 11000")
        for sock in deaf:
            read_all(sock)  # ends
            sock.close()
        answers_at_once(host)


def test_followers_have_a_number_of_places_and_leave_them():
    with FakeHost() as host:
        followers = [host.follow(tcp=True) for _ in range(FOLLOWERS)]
        assert all(follower.head.status == 200 for follower in followers)
        refused = host.get("/events", tcp=True)
        assert refused.status == 503 and refused.headers["retry-after"] == "10"
        with host.follow() as other:
            assert other.head.status == 200, "each socket has its own places"
        answers_at_once(host, tcp=True)
        followers.pop().sock.close()
        deadline = time.monotonic() + fakehost.PATIENCE_S
        while time.monotonic() < deadline:  # it is found gone with the next step
            with host.follow(tcp=True) as other:
                if other.head.status == 200:
                    break
        else:
            raise AssertionError("a place is not given back")
        for follower in followers:
            follower.sock.close()


def test_a_follower_that_does_not_read_is_dropped_and_the_others_are_told():
    with FakeHost(vms=200, steps=300) as host, host.follow() as live:
        deaf = host.connect()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        live.until_now()
        before = host.rss()
        for _ in range(4):
            host.tell("jump 8000")
            live.until_now()
        deaf.settimeout(fakehost.PATIENCE_S)
        assert len(read_all(deaf)) < 2 * MIB, "it was sent all to the end"
        assert host.rss() - before < 4 * MIB
        live.until_now()
        deaf.close()


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    for name, test in tests:
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        started = time.monotonic()
        test()
        print(f"ok {time.monotonic() - started:5.2f} s  {name[5:].replace('_', ' ')}", flush=True)


main()
