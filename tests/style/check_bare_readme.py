#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The embedded guest's README lists its commands as commands.def has them, word for word."""
import os
import re
import sys

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "guest-drivers", "bare")
ROW = re.compile(r'^COMMAND\((\w+), "([^"]*)", \w+,\s*"([^"]*)"\)', re.MULTILINE)


def read(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return file.read()


def main():
    wanted = ["| `%s` | %s |" % (" ".join([name, arguments]).strip().replace("|", "\\|"), text)
              for name, arguments, text in ROW.findall(read("commands.def"))]
    section = read("README.md").split("## Commands")[1].split("## ")[0]
    seen = [line for line in section.splitlines() if line.startswith("| `")]
    for line in wanted:
        if line not in seen:
            print("guest-drivers/bare/README.md: lacks the row: " + line)
    for line in seen:
        if line not in wanted:
            print("guest-drivers/bare/README.md: has a row that commands.def has not: " + line)
    return 0 if wanted and wanted == seen else 1


if __name__ == "__main__":
    sys.exit(main())
