#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every verb of a running VM answers as rpc.discover says it does, and so do its events.

The machine's handlers are written by hand; the document is made from api/verbs.def. This test calls
each verb once, on the embedded guest, and holds each answer against the document: every member that
must be there is, none is there that the document does not know, and each has its type.
"""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import neapvm  # noqa: E402

MIB = 2 ** 20
UNSUPPORTED = 2
TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}

# What to call, in this order; vm.kill ends it.
CALLS = [
    ("rpc.discover", {}),
    ("events.subscribe", {}),
    ("vm.info", {}),
    ("vm.memory", {}),
    ("vm.usage", {}),
    ("vm.memory.set", {"balloon_bytes": 8 * MIB}),
    ("vm.memory.set", {"target_bytes": 64 * MIB}),
    ("vm.memory.set", {"minimum_bytes": 32 * MIB, "buffer_percent": 30, "weight": 500, "mode": "auto"}),
    ("vm.memory.grant", {"grant_bytes": 64 * MIB}),
    ("vm.memory.grant", {}),
    ("vm.memory.why", {}),
    ("vm.memory.trace", {}),
    ("vm.memory.limit", {"limit_bytes": 32 * MIB}),
    ("vm.memory.limit", {"limit_bytes": 0}),
    ("vm.pause", {}),
    ("vm.info", {}),
    ("vm.resume", {}),
    ("vm.reset", {}),
    ("vm.pause", {}),
    ("vm.stop", {}),  # while paused, so that the guest cannot obey before the rest
    ("vm.console", {}),
    ("vm.kill", {}),
]

complaints = []


def check_type(where, value, wanted):
    kind = TYPES[wanted]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        complaints.append(f"{where} is {value!r}, and should be of type {wanted}")


def check_answer(method, answer):
    """@method is its object in the document."""
    name, schema = method["name"], method["result"]["schema"]
    for member in schema["required"]:
        if member not in answer:
            complaints.append(f"{name}: the result has no {member}")
    if name == "rpc.discover":
        return  # its other members are the standard's
    for member, value in answer.items():
        if member not in schema["properties"]:
            complaints.append(f"{name}: the result has {member}, which verbs.def does not know")
        else:
            check_type(f"{name}: {member}", value, schema["properties"][member]["type"])


def check_event(event, kinds):
    if event["kind"] not in kinds:
        complaints.append(f"event {event['kind']}: events.def does not know it")
        return
    said = kinds[event["kind"]]
    if " " in said.replace(", ", ","):  # in words
        return
    wanted = set(re.split(r", ", said))
    if set(event["data"]) != wanted:
        complaints.append(f"event {event['kind']} has {sorted(event['data'])}, not {sorted(wanted)}")


def main():
    neapvm.need_kvm()
    with neapvm.Vm(["--pages", "4K", "--memory", "64M", "--balloon", "stats_period=1"]) as vm:
        document = vm.call("rpc.discover")
        methods = {method["name"]: method for method in document["methods"]}
        kinds = {event["kind"]: event["data"] for event in document["x-events"]}
        vm.expect("ready")
        while "rule" not in vm.call("vm.memory")["policy"]:
            pass  # the policy's first decision may be some milliseconds later
        for name, params in CALLS:
            rpc = neapvm.Rpc(vm.socket_path()) if name == "vm.console" else vm.rpc
            try:
                check_answer(methods[name], rpc.call(name, **params))
            except neapvm.RpcError as refusal:
                if name != "vm.memory.limit" or refusal.code != UNSUPPORTED:  # without swap
                    raise
        vm.wait()
        seen = [event["kind"] for event in vm.rpc.events]
        for event in vm.rpc.events:
            check_event(event, kinds)
    complaints.extend(f"{name}: this test does not call it" for name in methods.keys() - dict(CALLS).keys())
    if "vm.state" not in seen:
        complaints.append(f"no vm.state event came with pause and resume, only {seen}")
    print("\n".join(complaints) or f"{len(CALLS)} calls and {len(seen)} events agree with the document")
    sys.exit(1 if complaints else 0)


main()
