#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""clang-format has nothing to change (`make format` applies it)."""
import os
import shutil
import subprocess
import sys

import tree

if not shutil.which("clang-format"):
    tree.skip("clang-format is not installed (tools/setup test)")
paths = [os.path.join(tree.ROOT, path) for path in tree.files(".c", ".h")]
done = subprocess.run(["clang-format", "--dry-run", "-Werror", *paths], capture_output=True, text=True)
print(done.stderr)
sys.exit(done.returncode)
