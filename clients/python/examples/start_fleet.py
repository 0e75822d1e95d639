#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Start a fleet of VMs from one template, and wait until all of them run.

    start_fleet.py template.json --count 50 --label fleet=demo

The VMs are called demo-01 and so on, after the label's value. Started twice it does nothing twice: what
exists with the same configuration is kept, what runs goes on. --end takes the fleet down again.
Exit status: 0 all run (or are gone), 1 not all, or not at all.
"""
import argparse
import hashlib
import json
import sys
import time
from typing import Any, Dict, List

import neap


def configurations(template: Dict[str, Any], prefix: str, count: int) -> List[Dict[str, Any]]:
    digits = len(str(count))
    return [{**template, "name": "%s-%0*d" % (prefix, digits, number)} for number in range(1, count + 1)]


def key_of(config: Dict[str, Any]) -> str:
    """The same for the same VM, so that a second run of this script is known again."""
    return "start_fleet/" + hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def create(host: neap.Host, configs: List[Dict[str, Any]], labels: Dict[str, str]) -> int:
    """How many could not be created."""
    failed = 0
    for config, outcome in zip(configs, host.batch([
            neap.Calls.vm_create(config, labels=labels, idempotency_key=key_of(config)) for config in configs])):
        if outcome.error:
            print("%s: %s" % (config["name"], outcome.error), file=sys.stderr)
            failed += 1
    return failed


def start(host: neap.Host, selector: str) -> int:
    """Start all that do not run, one after the other where memory is short; how many do not run in the end."""
    began = time.monotonic()
    with host.events(["vm.started", "vm.waits", "vm.ended"]) as events:
        outcomes = host.vm_start_many(selector + ",state=stopped", wait=True)
        waited = set()
        while (event := events.next(0)) is not None:
            if event.kind == "vm.waits":
                waited.add(event.vm)
    for outcome in outcomes:
        if outcome.error:
            print("%s: %s" % (outcome.vm, outcome.error), file=sys.stderr)
    vms = host.vm_list(selector=selector).vms
    running = [vm for vm in vms if vm["state"] == "running"]
    print("%d of %d VMs run; %d were started in %.2f s, %d waited for memory" %
          (len(running), len(vms), sum(not outcome.error for outcome in outcomes), time.monotonic() - began, len(waited)))
    return len(vms) - len(running)


def end(host: neap.Host, selector: str) -> int:
    """Kill and forget them: for fleets whose guests have nothing to lose."""
    with host.events(["vm.ended"]) as events:
        killed = {outcome.vm for outcome in host.vm_kill_many(selector + ",state!=stopped") if not outcome.error}
        while killed:
            event = events.next(30)
            if event is None:
                break
            killed.discard(event.vm)
    outcomes = host.vm_delete_many(selector)
    for outcome in outcomes:
        if outcome.error:
            print("%s: %s" % (outcome.vm, outcome.error), file=sys.stderr)
    print("%d VMs are gone" % sum(not outcome.error for outcome in outcomes))
    return sum(outcome.error is not None for outcome in outcomes)


def main() -> int:
    parser = argparse.ArgumentParser(description="Start a fleet of VMs from one template.")
    parser.add_argument("template", help="a file as in vm.json(5), without a name")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--label", default="fleet=demo", help="KEY=VALUE that all of them get")
    parser.add_argument("--end", action="store_true", help="kill and forget the fleet instead")
    options = parser.parse_args()
    label, _, value = options.label.partition("=")
    with neap.Host() as host:
        if options.end:
            return min(end(host, options.label), 1)
        with open(options.template, encoding="utf-8") as file:
            configs = configurations(json.load(file), value, options.count)
        failed = create(host, configs, {label: value})
        return 1 if start(host, options.label) + failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (neap.Error, OSError) as error:
        sys.exit("start_fleet: %s" % error)
