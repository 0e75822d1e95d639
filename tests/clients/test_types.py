#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""mypy --strict finds nothing in the client, its generator and its examples; and finds what is wrong."""
import os
import shutil
import subprocess
import sys
import tempfile

CLIENT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "clients", "python"))

WRONG = '''
import neap
def stop_all(host: neap.Host) -> int:
    return host.vm_stop_many("all")[0].value().state
'''


def mypy(cache, *paths):
    return subprocess.run(["mypy", "--strict", "--no-error-summary", "--cache-dir", cache, *paths], cwd=CLIENT,
                          stdout=subprocess.PIPE, text=True, env={**os.environ, "MYPYPATH": CLIENT}, check=False)


if not shutil.which("mypy"):
    print("skipped: mypy is not installed (tools/setup test)")
    sys.exit(77)
with tempfile.TemporaryDirectory(prefix="neap-types-") as directory:
    examples = [os.path.join("examples", name) for name in sorted(os.listdir(os.path.join(CLIENT, "examples")))
                if name.endswith(".py")]
    done = mypy(directory, "neap", "generate.py", *examples)
    assert done.returncode == 0, done.stdout
    wrong = os.path.join(directory, "wrong.py")
    with open(wrong, "w", encoding="utf-8") as file:
        file.write(WRONG)
    done = mypy(directory, wrong)
    assert done.returncode == 1 and 'got "str", expected "int"' in done.stdout, done.stdout
