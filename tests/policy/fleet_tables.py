#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""fleet_tables.py [--write] - the tables and charts of docs/POLICY.md are what neap sim makes.

A table stands below a line <!-- neap sim --fleet NAME -->. With --write the page and the charts are
made anew, which belongs to any change of the policy; look at what changed before you commit it.
NEAP is the program.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE, CHARTS = os.path.join(ROOT, "docs/POLICY.md"), os.path.join(ROOT, "docs/charts")
TABLE = re.compile(r"<!-- neap sim --fleet (\w+) -->\n((?:\|.*\n)+)")
ROW = re.compile(r"(static|proxmox-style|mom-style|neap) ")
HEAD = ("| Rule | Granted | Of demand | Below P50 | P99 | Worst | All | Moved | Turns per VM and hour "
        "| VMs that fit | Gain |\n|---|" + "---:|" * 10 + "\n")


def neap(*words):
    return subprocess.run([os.environ["NEAP"], "sim", *words], check=True, capture_output=True, text=True).stdout


def table(fleet):
    rows = [re.split(r"  +", line.strip()) for line in neap("--fleet", fleet).split("\n") if ROW.match(line)]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def make_charts(folder):
    trace = os.path.join(folder, "trace.csv")
    neap("--fleet", "staggered", "--brief", "--chart", os.path.join(folder, "policy-staggered.svg"))
    neap("--fleet", "example", "--brief", "--trace", trace)
    neap(trace, "--chart", os.path.join(folder, "policy-one-vm.svg"))
    os.unlink(trace)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def main():
    page = read(PAGE)
    fleets = [match.group(1) for match in TABLE.finditer(page)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        made = dict(zip(fleets, pool.map(table, fleets)))
    if "--write" in sys.argv:
        page = TABLE.sub(lambda match: f"<!-- neap sim --fleet {match.group(1)} -->\n{made[match.group(1)]}", page)
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(page)
        make_charts(CHARTS)
        return 0
    wrong = [f"docs/POLICY.md: the table of fleet {match.group(1)} is now\n{made[match.group(1)]}"
             for match in TABLE.finditer(page) if match.group(2) != made[match.group(1)]]
    with tempfile.TemporaryDirectory(prefix="neap-charts-") as folder:
        make_charts(folder)
        wrong += [f"docs/charts/{name}: is not what neap sim draws now" for name in sorted(os.listdir(folder))
                  if read(os.path.join(folder, name)) != read(os.path.join(CHARTS, name))]
    print("\n".join(wrong) or f"{len(fleets)} tables and {len(os.listdir(CHARTS))} charts are what neap sim makes")
    if wrong:
        print("to make them anew: NEAP=build/neap python3 tests/policy/fleet_tables.py --write")
    return 1 if wrong or len(fleets) < 4 else 0


sys.exit(main())
