#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every header of src/ compiles alone, and twice."""
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import tree


def compile_alone(path):
    name = os.path.relpath(path, "src")
    command = sys.argv[1:] + ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                              "-fsyntax-only", "-I", os.path.join(tree.ROOT, "src"), "-x", "c", "-"]
    text = f'#include "{name}"\n#include "{name}"\ntypedef int not_empty;\n'
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    return f"{path}: does not compile alone:\n{done.stderr}" if done.returncode else None


with ThreadPoolExecutor(os.cpu_count()) as pool:
    wrong = [text for text in pool.map(compile_alone, tree.files(".h", folders=("src",))) if text]
tree.report(wrong, "headers that lean on another")
