# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What `meson install` puts into an empty directory.

    with Installed(build) as installed:
        installed.files()          # {path below the prefix, or absolute: path on this disk}
"""
import json
import os
import shutil
import subprocess
import tempfile


class Installed:
    def __init__(self, build):
        self.build = build
        self.root = tempfile.mkdtemp(prefix="neap-installed-")

    def __enter__(self):
        done = subprocess.run(["meson", "install", "-C", self.build, "--no-rebuild", "--quiet"],
                              env={**os.environ, "DESTDIR": self.root}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, done.stdout
        options = subprocess.run(["meson", "introspect", self.build, "--buildoptions"], stdout=subprocess.PIPE,
                                 check=True).stdout
        self.prefix = {row["name"]: row["value"] for row in json.loads(options)}["prefix"]
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def path(self, below_prefix):
        return os.path.join(self.root, self.prefix.lstrip("/"), below_prefix)

    def files(self):
        top = self.path("")
        return {os.path.relpath(os.path.join(parent, name), top): os.path.join(parent, name)
                for parent, _, names in os.walk(self.root) for name in names}
