#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Functions of at most 80 lines, files of at most 600 (tests 800), headers of at most 250.

A function that is one table, or one switch that only routes, may be longer when the comment
above it says so: size: why. What a generator made has no limit; it says so on its first lines.
"""
import re

import tree

MAX_FUNCTION_LINES = 80
MAX_LINES = {".c": 600, ".h": 250, ".py": 600}
MAX_TEST_LINES = 800  # a list of sentences, read one at a time


def functions(lines):
    """(name, first line, number of lines, comment before) of each function, by its braces at column 0."""
    for start, line in enumerate(lines):
        if line != "{":
            continue
        end = next((i for i in range(start, len(lines)) if lines[i].startswith("}")), len(lines))
        first = start - 1
        while first > 0 and lines[first - 1].strip() and not lines[first - 1].endswith(("}", ";", "*/")):
            first -= 1
        name = re.search(r"(\w+)\(", " ".join(lines[first:start]))
        comment = "\n".join(lines[max(0, first - 6):first])
        yield name.group(1) if name else "?", first + 1, end - start + 1, comment


def complaints():
    for path in tree.files(*MAX_LINES):
        lines = tree.read(path).split("\n")
        most = MAX_TEST_LINES if path.startswith("tests/") else MAX_LINES[path[path.rindex("."):]]
        if len(lines) > most and not any(line.startswith("Made by ") for line in lines[:5]):
            yield f"{path}: {len(lines)} lines; the limit is {most}: is it two files?"
        if not path.endswith(".c"):
            continue
        for name, first, count, comment in functions(lines):
            if count > MAX_FUNCTION_LINES and "size:" not in comment:
                yield f"{path}:{first}: {name}() has {count} lines; the limit is {MAX_FUNCTION_LINES}"


tree.report(list(complaints()), "over the limit")
