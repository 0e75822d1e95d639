#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""test_made.py OPENRPC - clients/python/neap/methods.py is what the generator makes of the daemon's tables,
and the packages have the version of the whole."""
import os
import re
import subprocess
import sys

CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "clients", "python")

made = subprocess.run([sys.executable, os.path.join(CLIENT, "generate.py"), sys.argv[1]], stdout=subprocess.PIPE,
                      check=True).stdout.decode()
with open(os.path.join(CLIENT, "neap", "methods.py"), encoding="utf-8") as file:
    if file.read() != made:
        sys.exit("clients/python/neap/methods.py is not what its generator makes; run in the tree:\n"
                 f"clients/python/generate.py {os.path.relpath(sys.argv[1])} >methods.py && "
                 "mv methods.py clients/python/neap/")
assert "class Methods" in made and "def vm_start_many(" in made


def version(path, pattern):
    with open(os.path.join(CLIENT, "..", "..", path), encoding="utf-8") as text:
        return re.search(pattern, text.read(), re.M).group(1)


wanted = version("meson.build", r"^  version: '(.*)',")
assert version("clients/python/pyproject.toml", r'^version = "(.*)"') == wanted, "pyproject.toml"
assert version("debian/changelog", r"\A\S+ \((.*)\)") == wanted, "debian/changelog"
