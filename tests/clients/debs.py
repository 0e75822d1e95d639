# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The Debian packages of this tree, built once for all tests that want them: debs.built(BUILD).

They lie in BUILD/packages and are built again when a file has changed that goes into them. Compilers do not
optimise for it, which is most of their work; all else is as `make deb` does it.
"""
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
SOURCES = ("clients", "configs", "debian", "docs", "guest-drivers", "src", "tools", "meson.build", "meson_options.txt")


def skip(reason):
    print("skipped: " + reason, flush=True)
    sys.exit(77)


def need_tools(*more):
    for tool in ("dpkg-buildpackage", "dh", *more):
        if not shutil.which(tool):
            skip(f"{tool} is not installed (tools/setup test)")
    lacks = subprocess.run(["dpkg-checkbuilddeps"], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    if lacks.returncode:
        skip(lacks.stderr.strip() + " (tools/setup test)")


def digest():
    """Of names, sizes and times of what goes into the packages."""
    state = hashlib.sha256()
    for source in SOURCES:
        path = os.path.join(ROOT, source)
        found = [path] if os.path.isfile(path) else []
        found += [os.path.join(parent, name) for parent, _, names in os.walk(path) for name in names]
        for each in sorted(found):
            if "__pycache__" not in each:
                info = os.stat(each)
                state.update(f"{each} {info.st_size} {info.st_mtime_ns}\n".encode())
    return state.hexdigest()


def build_them(top):
    # The machine is for the tests beside it: one job, and only when nobody else wants to.
    done = subprocess.run(["nice", os.path.join(ROOT, "tools", "deb"), top], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False,
                          env={**os.environ, "JOBS": "1", "DEB_BUILD_OPTIONS": "noopt"})
    assert done.returncode == 0, done.stdout[-4000:]


def built(build):
    """The directory with the .deb and .changes files."""
    top = os.path.join(build, "packages")
    os.makedirs(top, exist_ok=True)
    with open(os.path.join(top, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, now = os.path.join(top, "digest"), digest()
        if not os.path.exists(stamp) or open(stamp, encoding="utf-8").read() != now:
            build_them(top)
            with open(stamp, "w", encoding="utf-8") as file:
                file.write(now)
    return os.path.join(top, "deb")


def packages(build):
    """{package: its file}"""
    folder = built(build)
    return {name.split("_")[0]: os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".deb")}
