#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Bytes, pages, frames and time are converted only in base/units.h.

1 << 20 is a bit, unless it gives a number of bytes, pages or time its value. Another shift or
factor that looks like a conversion but is none (a field of some register) says so with a comment
on its line or the line above: /* units: why */.
"""
import re

import tree

CONVERSION = re.compile(
    r"(<<|>>)\s*(10|12|20|21|30|40)\b"
    r"|[*/%]\s*\(?(UINT64_C\()?(1024|4096|2097152|1048576|1073741824)\b"
    r"|\b(1024|4096|2097152|1048576)[uUlL]*\s*\*"
    r"|\b(UINT64_C\()?(1000000|1000000000)[uUlL]*\b")
BIT = re.compile(r"\b1[uUlL]*\s*<<\s*\d+|UINT(8|16|32|64)_C\(1\)\s*<<\s*\d+")
QUANTITY = re.compile(r"_(BYTES|PAGES|FRAMES|KIB|MIB|GIB|NS|US|MS)\b|_(bytes|pages|frames|kib|mib|gib|ns|us|ms)\b")
HOME = "src/base/units."
ALLOWED = "/* units:"


def without_comments_and_text(line):
    return re.sub(r'"(\\.|[^"\\])*"|/\*.*?\*/|^\s*/?\*.*', "", line)


def conversion_in(line):
    line = without_comments_and_text(line)
    if not QUANTITY.search(line):
        line = BIT.sub("", line)
    return CONVERSION.search(line)


def complaints():
    for path in tree.files(".c", ".h", folders=("src",)):
        if path.startswith(HOME):
            continue
        before = ""
        for number, line in enumerate(tree.read(path).split("\n"), 1):
            found = conversion_in(line)
            if found and ALLOWED not in line and ALLOWED not in before:
                yield f"{path}:{number}: '{found.group(0)}': convert with base/units.h"
            before = line


tree.report(list(complaints()), "conversions outside base/units.h")
