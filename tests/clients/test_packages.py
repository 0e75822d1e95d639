#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""test_packages.py BUILD - the Debian packages build from this tree, lintian finds nothing to complain of, every file of an
installation is in exactly one of them, and what is in them works."""
import collections
import os
import re
import subprocess
import sys
import tempfile

import debs

PACKAGES = {"neap", "neapd", "python3-neap"}


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-4000:]}"
    return done.stdout


def files_of(package):
    """Paths, without documents that every package has."""
    lines = [line.split(maxsplit=5) for line in run("dpkg-deb", "-c", package).splitlines()]
    return [line[5].lstrip(".") for line in lines if line[0].startswith("-") and
            not re.search(r"/(changelog\.gz|copyright)$", line[5])]


def lintian_finds_nothing(folder):
    changes = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".changes")]
    root = ["--allow-root"] if os.geteuid() == 0 else []
    said = run("lintian", *root, "--fail-on", "error,warning", "--tag-display-limit", "0", *changes)
    assert not re.search("^[EW]:", said, re.M), said


def every_file_is_in_one_package(packages):
    where = collections.Counter(path for deb in packages.values() for path in files_of(deb))
    assert max(where.values()) == 1, where.most_common(3)
    for path in ("/usr/bin/neap", "/usr/bin/neapd", "/lib/systemd/system/neapd.service", "/etc/neap/neapd.json",
                 "/usr/lib/python3/dist-packages/neap/client.py", "/usr/share/man/man8/neapd.8.gz"):
        assert where[path] == 1, path
    return len(where)


def what_is_in_them_runs(packages):
    with tempfile.TemporaryDirectory(prefix="neap-deb-") as top:
        for deb in packages.values():
            run("dpkg-deb", "-x", deb, top)
        for program in ("neap", "neapd"):
            assert run(os.path.join(top, "usr/bin", program), "--version").startswith(program + " ")


def main():
    debs.need_tools("lintian")
    packages = debs.packages(sys.argv[1])
    assert packages.keys() == PACKAGES, packages
    lintian_finds_nothing(debs.built(sys.argv[1]))
    count = every_file_is_in_one_package(packages)
    what_is_in_them_runs(packages)
    print(f"{len(packages)} packages, {count} files")


main()
