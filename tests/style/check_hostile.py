#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every row of docs/TESTING.md "Hostile input" has a test, and says which.

A test names its rows in its own name or in a comment: VQ01 or js03, or VQ22-25 or MM01_03 for a range.
check_hostile.py --write puts the files that name a row into the table's last column.
"""
import collections
import os
import re
import sys

import tree

DOC = "docs/TESTING.md"
IDS = re.compile(r"(?<![A-Za-z0-9])([A-Z]{2})(\d\d)(?:[-_](?:\1)?(\d\d))?(?!\d)")
ROW = re.compile(r"^\| ([A-Z]{2})(\d\d)(?:-(\d\d))? \|(.*)\|([^|]*)\|$")
RUNNERS = ("tests/lab/run",)


def rows_named(text, areas):
    for area, first, last in IDS.findall(text.upper()):
        if area in areas:
            yield from (f"{area}{number:02}" for number in range(int(first), int(last or first) + 1))


def tests_by_row(areas):
    """{row: names of the files whose text names it}"""
    found = collections.defaultdict(set)
    for path in tree.files(".c", ".h", ".py", folders=("tests",)) + list(RUNNERS):
        if path.startswith("tests/style/") or not os.path.exists(os.path.join(tree.ROOT, path)):
            continue
        for row in rows_named(tree.read(path), areas):
            found[row].add(path.removeprefix("tests/"))
    return found


def main():
    lines = tree.read(DOC).split("\n")
    rows = [(index, ROW.match(line)) for index, line in enumerate(lines)]
    rows = [(index, match) for index, match in rows if match]
    tests = tests_by_row({match.group(1) for _, match in rows})
    complaints, known = [], set()
    for index, match in rows:
        area, first, last, middle, written = match.groups()
        numbers = [f"{area}{number:02}" for number in range(int(first), int(last or first) + 1)]
        known.update(numbers)
        complaints += [f"{DOC}:{index + 1}: no test names {row}" for row in numbers if not tests[row]]
        files = set().union(*(tests[row] for row in numbers))
        for stale in set(written.strip().split(", ")) - files:
            complaints.append(f"{DOC}:{index + 1}: '{stale}' does not name it (check_hostile.py --write)")
        files = ", ".join(sorted(files))
        name = match.group(0).split("|")[1]
        lines[index] = f"|{name}|{middle}| {files} |"
    complaints += [f"{', '.join(sorted(tests[row]))}: {row} is no row of {DOC}"
                   for row in sorted(tests) if tests[row] and row not in known]
    if sys.argv[1:] == ["--write"]:
        with open(os.path.join(tree.ROOT, DOC), "w", encoding="utf-8") as out:
            out.write("\n".join(lines))
        return
    tree.report(complaints, "hostile rows against their tests")


main()
