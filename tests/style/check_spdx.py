#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every source file says its licence on its first line (its second, after #! or a @echo)."""
import tree

TAG = "SPDX-License-Identifier: BSD-2-Clause-Patent"
KINDS = (".c", ".h", ".def", ".S", ".ld", ".lds", ".py", ".sh", "meson.build", "Makefile")


def complaints():
    for path in tree.files(*KINDS):
        lines = tree.read(path).split("\n")[:2]
        first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
        if TAG not in first:
            yield f"{path}:1: {TAG} is missing"


tree.report(list(complaints()), "files without their licence")
