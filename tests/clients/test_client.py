#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The Python client against a daemon that answers late, wrongly, in pieces, or not at all."""
import os
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "clients", "python"))
sys.path.insert(0, HERE)

import neap  # noqa: E402
import neap.client  # noqa: E402
from fake_host import FakeHost  # noqa: E402

INFO = {"name": "web", "uuid": "u", "state": "running", "reason": "", "config": {}, "host": {}, "pid": 7, "cpus": 3}


def fails(kind, function):
    try:
        function()
    except kind as error:
        return error
    raise AssertionError("no %s" % kind.__name__)


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


def an_answer_is_an_object_with_types():
    def script(daemon):
        request = daemon.read()
        assert (request["method"], request["params"]) == ("vm.info", {"vm": "web"}), request
        daemon.answer(request, INFO)

    with FakeHost(script) as fake, neap.Host(fake.path) as host:
        info = host.vm_info("web")
        assert (info.name, info.state, info.pid) == ("web", "running", 7)
        assert info.raw["cpus"] == 3  # what the table does not list is there too


def an_answer_that_lacks_a_member_says_which():
    def script(daemon):
        daemon.answer(daemon.read(), {"name": "web"})

    with FakeHost(script) as fake, neap.Host(fake.path) as host:
        assert "no member uuid" in str(fails(neap.Error, lambda: host.vm_info("web")))


def an_error_has_a_class_a_code_and_a_hint():
    def script(daemon):
        daemon.fail(daemon.read(), 8, "2 GiB wanted, 1 GiB free", "wait")
        daemon.fail(daemon.read(), 4242, "of a later version")

    with FakeHost(script) as fake, neap.Host(fake.path) as host:
        error = fails(neap.NoMemoryError, lambda: host.vm_start("web"))
        assert (error.code, str(error), error.hint) == (8, "2 GiB wanted, 1 GiB free", "wait")
        error = fails(neap.Error, lambda: host.vm_start("web"))
        assert type(error) is neap.Error and error.code == 4242


def a_selector_has_an_outcome_per_vm():
    def script(daemon):
        request = daemon.read()
        assert request["params"] == {"selector": "tier=web", "minimum_bytes": 5}, request
        daemon.answer(request, {"results": [
            {"vm": "a", "result": {"asked_bytes": 0, "mode": "auto", "mode_before": "auto", "minimum_bytes": 5,
                                   "buffer_percent": 20, "weight": 1}},
            {"vm": "b", "error": {"code": 9, "message": "silent", "data": {"hint": "kill it"}}}]})

    with FakeHost(script) as fake, neap.Host(fake.path) as host:
        a, b = host.vm_memory_set_many("tier=web", minimum_bytes=5)
        assert a.vm == "a" and a.error is None and a.value().minimum_bytes == 5
        assert b.vm == "b" and b.result is None and isinstance(b.error, neap.SilentError)
        assert fails(neap.SilentError, b.value).hint == "kill it"


def a_message_may_come_byte_by_byte_and_two_at_once():
    def script(daemon):
        request = daemon.read()
        for byte in b'{"jsonrpc":"2.0","id":%d,"result":{"a":"\xc3\xa4"}}\n' % request["id"]:
            daemon.send_bytes(bytes([byte]))
        first, second = daemon.read(), None
        daemon.send_bytes(b'{"jsonrpc":"2.0","method":"event","params":{}}\n{"jsonrpc":"2.0","id":%d,"result":2}\n' %
                          first["id"])
        assert second is None

    with FakeHost(script) as fake, neap.Host(fake.path) as host:
        assert host.call("any.thing") == {"a": "\u00e4"}
        assert host.call("any.thing") == 2


def a_call_that_reads_is_made_again():
    requests = []

    def vanish(daemon):
        requests.append(daemon.read())

    def script(daemon):
        requests.append(daemon.read())
        daemon.answer(requests[-1], INFO)

    with FakeHost(vanish, vanish, script) as fake, neap.Host(fake.path) as host:
        assert host.vm_info("web").name == "web"
        assert [request["method"] for request in requests] == ["vm.info"] * 3


def a_call_with_a_key_is_made_again_with_the_same_key():
    keys = []

    def vanish(daemon):
        keys.append(daemon.read()["params"]["idempotency_key"])

    def script(daemon):
        request = daemon.read()
        keys.append(request["params"]["idempotency_key"])
        daemon.answer(request, {"name": "web", "uuid": "u"})

    with FakeHost(vanish, script) as fake, neap.Host(fake.path) as host:
        assert host.vm_create({"name": "web"}).name == "web"
        assert len(set(keys)) == 1 and len(keys) == 2 and keys[0]

    keys.clear()
    with FakeHost(script) as fake, neap.Host(fake.path) as host:
        host.vm_create({"name": "web"}, idempotency_key="mine")
        assert keys == ["mine"]


def a_call_that_changes_is_not_made_twice():
    methods = []

    def vanish(daemon):
        methods.append(daemon.read()["method"])

    def script(daemon):
        request = daemon.read()
        daemon.answer(request, INFO)

    with FakeHost(vanish, script) as fake, neap.Host(fake.path) as host:
        fails(neap.ConnectionLost, lambda: host.vm_kill("web"))
        assert methods == ["vm.kill"]
        assert host.vm_info("web").pid == 7  # on a new connection


def a_call_that_the_daemon_cannot_have_had_is_made():
    methods = []

    def leave(daemon):
        daemon.answer(daemon.read(), INFO)

    def script(daemon):
        request = daemon.read()
        methods.append(request["method"])
        daemon.answer(request, {"state": "stopped"})

    with FakeHost(leave, script) as fake, neap.Host(fake.path) as host:
        host.vm_info("web")
        while fake.served < 1:
            time.sleep(0.001)
        assert host.vm_kill("web").state == "stopped"
        assert methods == ["vm.kill"]


def patience_ends():
    def vanish(daemon):
        daemon.read()

    with FakeHost(vanish) as fake:
        host = neap.Host(fake.path, patience_s=0.3)
        fails(neap.ConnectionLost, lambda: host.vm_kill("web"))
        fake.thread.join()
        fake.listener.close()
        os.unlink(fake.path)
        started = time.monotonic()
        fails(OSError, lambda: host.vm_info("web"))
        assert 0.2 < time.monotonic() - started < 5
        fails(OSError, lambda: neap.Host(fake.path))  # never there: no patience


def a_daemon_that_is_only_just_started_again_is_waited_for():
    def script(daemon):
        daemon.answer(daemon.read(), INFO)

    def subscribe(daemon):
        daemon.answer(daemon.read(), {"seq": 5, "oldest": 0, "missed": 0})
        daemon.event(6)

    with FakeHost(script, subscribe) as fake:
        other = fake.path + ".other"
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(other)  # as a daemon that was killed leaves it
        with neap.Host(other) as host:
            threading.Timer(0.1, os.replace, (fake.path, other)).start()
            assert host.vm_info("web").name == "web"
        with FakePath(other).events() as events:
            assert events.next(5).seq == 6
        dead.close()


def a_daemon_that_does_not_answer_is_left_at_the_deadline():
    def silent(daemon):
        assert daemon.read()["params"]["deadline_ms"] == 50
        assert daemon.read() is None

    def script(daemon):
        daemon.answer(daemon.read(), INFO)

    neap.client.GRACE_S = 0.05
    with FakeHost(silent, script) as fake, neap.Host(fake.path) as host:
        fails(TimeoutError, lambda: host.vm_info("web", deadline_ms=50))
        assert host.vm_info("web").name == "web"  # the late answer cannot be taken for this one's


def a_batch_keeps_its_order_and_the_limits():
    sizes = []

    def script(daemon):
        for _ in range(3):
            batch = daemon.read()
            sizes.append(len(batch))
            daemon.send([{"jsonrpc": "2.0", "id": request["id"], "error": {"code": 5, "message": "none"}}
                         if request["params"]["vm"] == "vm-70" else
                         {"jsonrpc": "2.0", "id": request["id"], "result": {**INFO, "name": request["params"]["vm"]}}
                         for request in reversed(batch)])

    with FakeHost(script) as fake, neap.Host(fake.path) as host:
        outcomes = host.batch([neap.Calls.vm_info("vm-%d" % number) for number in range(150)])
        assert sizes == [64, 64, 22]
        assert [outcome.vm for outcome in outcomes] == ["vm-%d" % number for number in range(150)]
        assert isinstance(outcomes[70].error, neap.NoVmError)
        assert all(outcome.value().name == outcome.vm for outcome in outcomes if outcome.vm != "vm-70")


def a_batch_of_large_calls_is_split_by_bytes():
    def script(daemon):
        for _ in range(4):
            message = daemon.read()
            assert len(str(message)) < 1 << 20
            for request in message if isinstance(message, list) else [message]:
                daemon.answer(request, {"name": "n", "uuid": "u"})

    big = {"boot": {"cmdline": "x" * 200000}}
    parts = neap.client.split([neap.Calls.vm_create(big) for _ in range(4)])
    assert [len(part) for part in parts] == [1, 1, 1, 1]
    with FakeHost(script) as fake, neap.Host(fake.path) as host:
        assert len(host.batch([neap.Calls.vm_create(big) for _ in range(4)])) == 4


def a_batch_that_breaks_tells_what_was_done():
    def script(daemon):
        batch = daemon.read()
        daemon.send([{"jsonrpc": "2.0", "id": request["id"], "result": {"state": "stopped"}} for request in batch])
        daemon.read()

    with FakeHost(script) as fake, neap.Host(fake.path) as host:
        calls = [neap.Calls.vm_kill("vm-%d" % number) for number in range(70)]
        error = fails(neap.ConnectionLost, lambda: host.batch(calls))
        assert len(error.done) == 64 and error.done[0].vm == "vm-0"


def the_console_is_the_descriptor_that_came():
    def script(daemon):
        request = daemon.read()
        assert request["params"] == {"vm": "web", "how": "fd"}
        mine, theirs = socket.socketpair()
        daemon.answer(request, {"how": "fd"}, [theirs.fileno()])
        theirs.close()
        assert mine.recv(100) == b"help\n"
        mine.sendall(b"ok help\n")
        mine.close()

    with FakeHost(script) as fake, neap.Host(fake.path) as host:
        with host.vm_console("web") as console:
            console.sendall(b"help\n")
            assert console.recv(100) == b"ok help\n"


def descriptors_that_nobody_asked_for_are_closed():
    def script(daemon):
        for _ in range(20):
            mine, theirs = socket.socketpair()
            daemon.answer(daemon.read(), INFO, [theirs.fileno(), theirs.fileno()])
            mine.close()
            theirs.close()

    with FakeHost(script) as fake:
        with neap.Host(fake.path) as host:
            for _ in range(20):
                host.vm_info("web")
            assert open_descriptors() < 30
        fake.thread.join()
        before = open_descriptors()
    assert open_descriptors() <= before


def events_go_on_where_the_connection_broke():
    subscriptions = []

    def first(daemon):
        request = daemon.read()
        subscriptions.append(request["params"])
        daemon.answer(request, {"seq": 10, "oldest": 1, "missed": 0})
        daemon.event(11)
        daemon.event(13, vm="db", pid=5)

    def refuse(daemon):
        daemon.read()

    def second(daemon):
        request = daemon.read()
        subscriptions.append(request["params"])
        daemon.event(13, vm="db")  # again: a daemon that does not count well
        daemon.answer(request, {"seq": 20, "oldest": 15, "missed": 1, "missed_is_bound": True})
        daemon.event(15)
        daemon.event(21)
        daemon.read()

    with FakeHost(first, refuse, second) as fake, neap.Host.events(FakePath(fake.path), ["vm.started"]) as events:
        seen = [events.next(10) for _ in range(4)]
        assert [event.seq for event in seen] == [11, 13, 15, 21]
        assert seen[1] == neap.Event(13, 130, "vm.started", {"pid": 5}, "db", "u-db")
        assert subscriptions == [{"kinds": ["vm.started"]}, {"kinds": ["vm.started"], "after": 13}]
        assert (events.missed, events.missed_is_bound, events.connections, events.seq) == (1, True, 2, 21)
        assert events.next(0.05) is None


class FakePath:
    """As much of a Host as events() needs: a Host would take the first connection."""

    def __init__(self, path):
        self.path = path
        self.patience_s = 5.0

    def events(self):
        return neap.Host.events(self)


def events_wait_until_a_daemon_is_there_again_or_patience_ends():
    def first(daemon):
        daemon.answer(daemon.read(), {"seq": 1, "oldest": 0, "missed": 0})

    with FakeHost(first) as fake:
        fake_host = FakePath(fake.path)
        fake_host.patience_s = 0.3
        events = neap.Host.events(fake_host, vms=["web"])
        fake.thread.join()
        fake.listener.close()
        os.unlink(fake.path)
        assert events.next(0.1) is None  # the caller's time ends first
        fails(OSError, events.next)
        events.close()


def the_socket_is_found_where_it_is():
    old = dict(os.environ)
    try:
        os.environ.pop("NEAP_HOST_SOCKET", None)
        with FakeHost() as fake:
            runtime = os.path.join(fake.directory, "run")
            os.makedirs(os.path.join(runtime, "neapd"))
            os.environ["XDG_RUNTIME_DIR"] = runtime
            assert neap.find_socket() == "/run/neapd/neapd.sock"
            own = os.path.join(runtime, "neapd", "neapd-ro.sock")
            with open(own, "w", encoding="utf-8"):
                assert neap.find_socket(read_only=True) == own
            os.environ["NEAP_HOST_SOCKET"] = "/a/b"
            assert neap.find_socket() == "/a/b"
    finally:
        os.environ.clear()
        os.environ.update(old)


def main():
    helpers = {"fails", "open_descriptors", "main"}
    for name, test in list(globals().items()):
        if isinstance(test, type(main)) and test.__module__ == __name__ and name not in helpers:
            started = time.monotonic()
            test()
            print(f"ok {time.monotonic() - started:5.2f} s  {name.replace('_', ' ')}", flush=True)


main()
