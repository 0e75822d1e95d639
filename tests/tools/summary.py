#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""summary.py [--failed] LOG... - "N passed, N failed, N skipped", after each failure and each skip by name.

LOG is meson's testlog.json: one JSON object a line. A cmocka program counts by its cases and the
lab by its checks, any other program as one. A skip is never silent: its reason is the program's line "... skipped: ...".
Exit status 1 when anything failed, or when a log is missing or empty.
"""
import json
import re
import sys

CASE = re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] (\S+?):?$", re.M)
CHECK = re.compile(r"^(ok|FAILED) +[\d.]+ s  ([^:]+): (.*)$", re.M)
LISTED = re.compile(r"^\[ +(PASSED|FAILED|SKIPPED) +\] \d+ test", re.M)
REASON = re.compile(r"^.*skipped: *(.+)$", re.M | re.I)
SAID_MAX = 400
GOOD = {"OK", "EXPECTEDFAIL"}


class Counts:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def add(self, entry):
        name, result = entry["name"], entry["result"]
        output = (entry.get("stdout") or "") + (entry.get("stderr") or "")
        reasons = REASON.findall(output)
        cases = cases_of(output)
        if result == "SKIP":
            self.skipped.append((name, reasons[-1] if reasons else "no reason given"))
            return
        failed_here = 0
        for verdict, case, detail in cases:
            if verdict in ("OK", "ok"):
                self.passed += 1
            elif verdict == "FAILED":
                failed_here += 1
                self.failed.append((f"{name}: {case}", detail))
            else:
                self.skipped.append((f"{name}: {case}", reasons[-1] if reasons else "no reason given"))
        if result in GOOD and not cases:
            self.passed += 1
        elif result not in GOOD and not failed_here:
            self.failed.append((name, f"{result.lower()}, {status_of(entry)}"))


def cases_of(output):
    """[(verdict, name, detail)]. cmocka's closing list repeats failures; a dict counts them once."""
    cmocka = {name: verdict for verdict, name in CASE.findall(LISTED.sub("", output))}
    return ([(verdict, name, "") for name, verdict in cmocka.items()]
            + [(verdict, name.strip(), detail) for verdict, name, detail in CHECK.findall(output)])


def status_of(entry):
    """How it ended, and what it said last, which is all that a log cut short may show."""
    said = [line.strip() for stream in ("stdout", "stderr") for line in (entry.get(stream) or "").splitlines()
            if line.strip()]
    return (f"exit status {entry['returncode']} after {entry.get('duration', 0):.1f} s" +
            (f"; it said last: {said[-1][:SAID_MAX]}" if said else ""))


def failed_names(path):
    """What to run again: the programs that failed, by the names that meson knows."""
    return [entry["name"].rsplit(" / ", 1)[-1] for entry in map(json.loads, open(path, encoding="utf-8"))
            if entry["result"] not in GOOD | {"SKIP"}]


def take_newest(entries, counts):
    """Of a program that was run again the last run counts; that it needed it is told."""
    newest = {}
    for entry in entries:
        before = newest.get(entry["name"])
        if before and entry["result"] in GOOD:
            print(f"unsteady: {entry['name']}: right only when run again; before: {status_of(before)}")
        newest[entry["name"]] = entry
    for entry in newest.values():
        counts.add(entry)


def main(paths):
    if paths[0] == "--failed":
        print(" ".join(failed_names(paths[1])))
        return 0
    counts, entries = Counts(), []
    for path in paths:
        try:
            lines = [line for line in open(path, encoding="utf-8", errors="replace") if line.strip()]
        except OSError as error:
            counts.failed.append((path, str(error)))
            continue
        if not lines:
            counts.failed.append((path, "no test reported anything"))
        entries.extend(map(json.loads, lines))
    take_newest(entries, counts)
    for name, reason in counts.skipped:
        print(f"skipped: {name}: {reason}")
    for name, reason in counts.failed:
        print(f"FAILED:  {name}" + (f": {reason}" if reason else ""))
    print(f"{counts.passed} passed, {len(counts.failed)} failed, {len(counts.skipped)} skipped")
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
