#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""bench_table.py LOG OUT - the figures of a `meson test --benchmark` run, as a table and as JSON.

Every bench program prints lines "name value unit"; other lines are its own explanations. A bench
that was skipped is shown with its reason.
"""
import json
import re
import sys

FIGURE = re.compile(r"^([a-z][a-z0-9_.]*) (-?\d+(?:\.\d+)?) (\S+)$", re.M)
REASON = re.compile(r"skipped: *(.+)$", re.M | re.I)


def main(log_path, out_path):
    figures, failed = [], False
    for line in open(log_path, encoding="utf-8", errors="replace"):
        entry = json.loads(line)
        output = (entry.get("stdout") or "") + (entry.get("stderr") or "")
        if entry["result"] == "SKIP":
            reason = REASON.search(output)
            print(f"{entry['name']}: skipped: {reason.group(1) if reason else 'no reason given'}")
        elif entry["result"] != "OK":
            failed = True
            print(f"{entry['name']}: {entry['result']}")
        figures += [{"bench": entry["name"], "name": name, "value": float(value), "unit": unit}
                    for name, value, unit in FIGURE.findall(entry.get("stdout") or "")]
    width = max((len(figure["name"]) for figure in figures), default=0)
    for figure in figures:
        print(f"{figure['name']:<{width}}  {figure['value']:>12g}  {figure['unit']}")
    with open(out_path, "w", encoding="utf-8") as out:
        json.dump(figures, out, indent=1)
        out.write("\n")
    return 1 if failed or not figures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
