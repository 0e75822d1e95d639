#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The Debian packages build from this tree, lintian finds nothing to complain of, every file of an
installation is in exactly one of them, and what is in them works."""
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PACKAGES = {"neap", "neapd", "python3-neap"}


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-4000:]}"
    return done.stdout


def files_of(package):
    """Paths, without documents that every package has."""
    lines = [line.split(maxsplit=5) for line in run("dpkg-deb", "-c", package).splitlines()]
    return [line[5].lstrip(".") for line in lines if line[0].startswith("-") and
            not re.search(r"/(changelog\.gz|copyright)$", line[5])]


def main():
    for tool in ("dpkg-buildpackage", "dh", "lintian"):
        if not shutil.which(tool):
            skip(f"{tool} is not installed (tools/setup test)")
    lacks = subprocess.run(["dpkg-checkbuilddeps"], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    if lacks.returncode:
        skip(lacks.stderr.strip() + " (tools/setup test)")
    with tempfile.TemporaryDirectory(prefix="neap-deb-") as top:
        # The machine is for the tests beside it: one job, and only when nobody else wants to.
        run("nice", os.path.join(ROOT, "tools", "deb"), top, env={**os.environ, "JOBS": "1"})
        folder = os.path.join(top, "deb")
        debs = {name.split("_")[0]: os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".deb")}
        assert debs.keys() == PACKAGES, debs
        changes = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".changes")]
        root = ["--allow-root"] if os.geteuid() == 0 else []
        said = run("lintian", *root, "--fail-on", "error,warning", "--tag-display-limit", "0", *changes)
        assert not re.search("^[EW]:", said, re.M), said
        where = collections.Counter(path for deb in debs.values() for path in files_of(deb))
        assert max(where.values()) == 1, where.most_common(3)
        for path in ("/usr/bin/neap", "/usr/bin/neapd", "/lib/systemd/system/neapd.service", "/etc/neap/neapd.json",
                     "/usr/lib/python3/dist-packages/neap/client.py", "/usr/share/man/man8/neapd.8.gz"):
            assert where[path] == 1, path
        for deb in debs.values():
            run("dpkg-deb", "-x", deb, os.path.join(top, "root"))
        for program in ("neap", "neapd"):
            assert run(os.path.join(top, "root/usr/bin", program), "--version").startswith(program + " ")
        print(f"{len(debs)} packages, {len(where)} files")


main()
