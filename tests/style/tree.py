#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""tree.py EXTENSION... - the project's own files with these extensions, one a line.

Also the module the checks share: where the tree is, which files are its own, how a check reports.
"""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("src", "tests", "tools", "guest-drivers", "clients")


def files(*extensions, folders=FOLDERS):
    """Paths relative to ROOT, sorted."""
    found = []
    for folder in folders:
        for parent, below, names in os.walk(os.path.join(ROOT, folder)):
            below[:] = [name for name in below if not name.startswith((".", "__"))]
            found += [os.path.relpath(os.path.join(parent, name), ROOT)
                      for name in names if name.endswith(extensions)]
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def report(complaints, what):
    """Print "file:line: complaint" for each; end the program with 1 if there are any."""
    for complaint in complaints:
        print(complaint)
    if complaints:
        print(f"{len(complaints)} {what}")
    sys.exit(1 if complaints else 0)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


if __name__ == "__main__":
    print("\n".join(os.path.join(ROOT, path) for path in files(*sys.argv[1:])))
