#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""embed_fleets.py FILE... - the fleets of configs/fleets as a table for fleet_spec.c."""
import os
import sys

print("/* made by embed_fleets.py */\nstatic const struct {\n\tconst char *name, *text;\n} builtin_fleets[] = {")
for path in sys.argv[1:]:
    with open(path, encoding="ascii") as file:
        lines = [line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"') for line in file]
    print(f'\t{{ "{os.path.splitext(os.path.basename(path))[0]}",')
    print("\n".join(f'\t  "{line}\\n"' for line in lines) + " },")
print("};")
