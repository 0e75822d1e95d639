#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""test_install.py BUILD - `meson install` with a DESTDIR is complete, and writes nowhere else."""
import os
import re
import stat
import subprocess
import sys

from installed import Installed

EXPECTED = """
bin/neap
bin/neapd
etc/neap/neapd.json
lib/PYTHON/neap/__init__.py
lib/PYTHON/neap/client.py
lib/PYTHON/neap/events.py
lib/PYTHON/neap/methods.py
lib/PYTHON/neap/py.typed
lib/PYTHON/neap/wire.py
lib/systemd/system/neap@.service
lib/systemd/system/neapd-guests.service
lib/systemd/system/neapd-metrics.socket
lib/systemd/system/neapd-ro.socket
lib/systemd/system/neapd.service
lib/systemd/system/neapd.socket
lib/sysusers.d/neap.conf
lib/tmpfiles.d/neap.conf
lib/udev/rules.d/60-neap.rules
share/bash-completion/completions/neap
share/doc/neap/LICENSE
share/doc/neap/examples/4k-pages.json
share/doc/neap/examples/dynamic.json
share/doc/neap/examples/embedded.json
share/doc/neap/examples/fleets/example.fleet
share/doc/neap/examples/fleets/mixed.fleet
share/doc/neap/examples/fleets/office.fleet
share/doc/neap/examples/fleets/simultaneous.fleet
share/doc/neap/examples/fleets/staggered.fleet
share/doc/neap/examples/fleets/thousands.fleet
share/doc/neap/examples/minimal.json
share/doc/neap/examples/overcommitted.json
share/doc/neap/examples/stock-debian.json
share/doc/neap/python/examples/rolling_minimum.py
share/doc/neap/python/examples/start_fleet.py
share/doc/neap/python/examples/template.json
share/doc/neap/python/examples/tide_svg.py
share/fish/vendor_completions.d/neap.fish
share/man/man1/neap-host.1
share/man/man1/neap-sim.1
share/man/man1/neap-top.1
share/man/man1/neap-why.1
share/man/man1/neap.1
share/man/man5/neapd.json.5
share/man/man5/vm.json.5
share/man/man7/neap-api.7
share/man/man7/neap-policy.7
share/man/man8/neapd.8
share/neap/host-openrpc.json
share/neap/vm-openrpc.json
share/zsh/site-functions/_neap
""".split()
PROGRAMS = ("bin/", "share/doc/neap/python/examples/")  # may be executed


def main():
    with Installed(sys.argv[1]) as installed:
        found = {re.sub(r"^lib(?:64)?/(python3[^/]*/(?:site|dist)-packages)/", "lib/PYTHON/", path): real
                 for path, real in installed.files().items()}
        missing, surplus = sorted(set(EXPECTED) - set(found)), sorted(set(found) - set(EXPECTED))
        assert not missing and not surplus, f"missing: {missing}; not expected: {surplus}"
        for path, real in found.items():
            mode = os.stat(real).st_mode
            assert os.path.getsize(real) > 0 or path.endswith("py.typed"), path
            assert not mode & (stat.S_IWGRP | stat.S_IWOTH), path
            assert not mode & 0o111 or path.startswith(PROGRAMS), path
        for program in ("neap", "neapd"):
            said = subprocess.run([installed.path("bin/" + program), "--version"], stdout=subprocess.PIPE, text=True,
                                  check=True).stdout
            assert re.match(program + r" \d+\.\d+\.\d+", said), said
        python = os.path.dirname(os.path.dirname(found["lib/PYTHON/neap/wire.py"]))
        subprocess.run([sys.executable, "-c", "import neap; neap.Host.vm_list"], check=True,
                       env={**os.environ, "PYTHONPATH": python, "PYTHONDONTWRITEBYTECODE": "1"})
        print(f"{len(found)} files")


main()
