#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Change the minimum of all VMs with a label, one after the other, and stop at the first that suffers.

    rolling_minimum.py tier=web 256M

After each change it looks on for --settle seconds. When the status of any VM of the selection becomes
Warning (its demand is not met), or one ends, the last change is taken back, and the others are left as
they are. Exit status: 0 all changed, 1 stopped, 2 not begun.
"""
import argparse
import sys
import time
from typing import Any, List, Optional

import neap

WARNING = 2  # of usage.status


def trouble(event: neap.Event) -> Optional[str]:
    if event.kind == "vm.ended":
        return "%s ended: %s" % (event.vm, event.data.get("reason"))
    if event.data.get("status") == "Warning":
        return "%s has Warning: it needs %s bytes and has %s" % (
            event.vm, event.data.get("demand_bytes"), event.data.get("assigned_bytes"))
    return None


def look_on(events: neap.Events, seconds: float) -> Optional[str]:
    """The first trouble within that time."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        event = events.next(left)
        found = trouble(event) if event else None
        if found:
            return found
    return None


def roll(host: neap.Host, names: List[str], minimum: str, settle_s: float) -> int:
    with host.events(["memory.status", "vm.ended"], vms=names) as events:
        for number, name in enumerate(names, 1):
            before: Any = host.vm_info(name).config.get("memory", {}).get("minimum", 0)
            done = host.vm_update(name, set={"memory.minimum": minimum})
            held = "at once" if "memory.minimum" in done.live else "at its next start"
            print("%s: minimum %s holds %s (%d of %d)" % (name, minimum, held, number, len(names)), flush=True)
            found = look_on(events, settle_s)
            if found:
                host.vm_update(name, set={"memory.minimum": before})
                print("stopped: %s; %s has its old minimum again, %d VMs were not touched" %
                      (found, name, len(names) - number))
                return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Change the minimum of many VMs, one after the other.")
    parser.add_argument("selector", help="such as tier=web")
    parser.add_argument("minimum", help="a size, such as 256M")
    parser.add_argument("--settle", type=float, default=10.0, metavar="SECONDS")
    options = parser.parse_args()
    with neap.Host() as host:
        try:
            vms = host.vm_list(selector=options.selector).vms
        except neap.InvalidParamsError as error:
            print("not begun: %s" % error)
            return 2
        suffering = [vm["name"] for vm in vms if vm.get("usage", {}).get("status") == WARNING]
        if suffering or not vms:
            print("not begun: " + ("in trouble already: " + ", ".join(suffering) if suffering else "no such VM"))
            return 2
        return roll(host, [vm["name"] for vm in vms], options.minimum, options.settle)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (neap.Error, OSError) as error:
        sys.exit("rolling_minimum: %s" % error)
