#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""check_docs.py DOCS NEAP - what is written about neap agrees with the program NEAP.

DOCS is where the build made the manual, and neapd lies beside NEAP. Checked: man finds nothing to warn
about; docs/api.md and host-api.md in the tree are what the build made, and so are the states of a block in
docs/MEMORY.md; every command and flag of the program's help is in neap(1), those of neapd's in neapd(8), and
every key of vm.json in vm.json(5); README.md and docs/*.md use only commands and flags that exist, and name
only files that exist.
"""
import os
import re
import shutil
import subprocess
import sys

import tree

DOCS, NEAP = sys.argv[1:]
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
PAGES = ("neap.1", "neap-top.1", "neap-host.1", "neap-why.1", "neap-sim.1", "neap-policy.7", "neap-api.7", "neapd.8", "neapd.json.5", "vm.json.5")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def page(name):
    """A manual page as plain text on very long lines, so that no word is broken."""
    env = dict(os.environ, MANWIDTH="2000", LC_ALL="C.UTF-8", MAN_KEEP_FORMATTING="", PAGER="cat")
    done = subprocess.run(["man", "--warnings", "-E", "ascii", "-P", "cat", "-l", f"{DOCS}/{name}"],
                          capture_output=True, text=True, env=env, check=False)
    return done.stdout, done.stderr


def commands():
    """{command: text of its help}, from the program."""
    summary = run(NEAP, "help").stdout
    names = re.findall(r"^  ([a-z]+)\b", summary, re.M)
    return {name: run(NEAP, "help", name).stdout for name in names}


def complaints_about_man_pages(helps):
    texts = {}
    for name in PAGES:
        texts[name], warnings = page(name)
        for line in warnings.splitlines():
            yield f"docs/{name}.in: man: {line}"
    for flag in flags_of_daemon():
        if flag not in texts["neapd.8"] and flag != "--help":
            yield f"docs/neapd.8.in: {flag} is missing"
    for command, text in helps.items():
        if f"neap {command}" not in texts["neap.1"]:
            yield f"docs/neap.1.in: the command {command} is missing"
        for flag in sorted(set(FLAG.findall(text))):
            if flag not in texts["neap.1"]:
                yield f"docs/neap.1.in: {flag} of neap {command} is missing"


def complaints_about_api():
    for page in ("api.md", "host-api.md"):
        with open(f"{DOCS}/{page}", encoding="utf-8") as made:
            if made.read() != tree.read(f"docs/{page}"):
                yield f"docs/{page}:1: is not what the build makes: cp {os.path.relpath(DOCS)}/{page} docs/"


def complaints_about_parts():
    for part, page in (("blocks.md", "docs/MEMORY.md"), ("fleet.md", "docs/POLICY.md"),
                       ("rules.md", "docs/POLICY.md"), ("constants.md", "docs/POLICY.md"),
                       ("record.md", "docs/POLICY.md")):
        with open(f"{DOCS}/{part}", encoding="utf-8") as made:
            if made.read() not in tree.read(page):
                yield f"{page}: a table is not what the build makes: put {os.path.relpath(DOCS)}/{part} there"


def flags_of_daemon():
    return set(FLAG.findall(run(os.path.join(os.path.dirname(NEAP), "neapd"), "--help").stdout))


def complaints_about_daemon(path, lines):
    """Lines that call neapd, in code, use its flags."""
    flags = flags_of_daemon() | {"--version"}
    for number, line in enumerate(lines, 1):
        for call in re.findall(r"(?:^|[$`;|]\s*|sudo |build/)neapd\b([^`|;]*)", line):
            for flag in FLAG.findall(call):
                if flag not in flags:
                    yield f"{path}:{number}: neapd has no flag {flag}"


def known_flags(helps):
    flags = {flag for text in helps.values() for flag in FLAG.findall(text)}
    return flags | {f"--no-{flag[2:]}" for flag in flags} | {"--help", "--version"}


def complaints_about_prose(path, helps):
    """Lines that call neap, in code, use its commands and flags; links lead to files."""
    flags = known_flags(helps)
    lines = tree.read(path).splitlines()
    for number, line in enumerate(lines, 1):
        answer = lines[number] if number < len(lines) else ""
        for call in re.findall(r"(?:^|[$`;|]\s*|sudo |build/)neap ([a-z]+)\b([^`|;]*)", line):
            if call[0] not in helps and not re.match(r"    |```", line) is None:
                yield f"{path}:{number}: neap has no command {call[0]}"
            for flag in FLAG.findall(call[1]):
                if flag not in flags and f'no flag "{flag[2:]}"' not in answer:
                    yield f"{path}:{number}: neap has no flag {flag}"
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", line):
            if not os.path.exists(os.path.join(tree.ROOT, os.path.dirname(path), target)):
                yield f"{path}:{number}: {target} does not exist"
        for target in re.findall(r"`((?:src|tests|docs|configs|tools|guest-drivers)/[\w./-]+)`", line):
            if "NAME" not in target and not os.path.exists(os.path.join(tree.ROOT, target)):
                yield f"{path}:{number}: {target} does not exist"


def complaints_about_rooms():
    """docs/ARCHITECTURE.md has the table of rooms exactly as src/meson.build has it."""
    path = "docs/ARCHITECTURE.md"
    if not os.path.exists(os.path.join(tree.ROOT, path)):
        return
    rows = re.search(r"^room_table = \[\n(.*?)^\]", tree.read("src/meson.build"), re.M | re.S).group(1)
    wanted = {name: set(re.findall(r"'(\w+)'", below))
              for name, below in re.findall(r"^  \['(\w+)',\s*\[([^\]]*)\]", rows, re.M)}
    said = {name: set(re.findall(r"\w+", below.replace("nothing", "")))
            for name, below in re.findall(r"^\| `src/(\w+)` \|[^|]*\| ([^|]*) \|", tree.read(path), re.M)}
    for name in sorted(wanted.keys() | said.keys()):
        if wanted.get(name) != said.get(name):
            yield f"{path}: {name} may include {wanted.get(name)}, but the table says {said.get(name)}"


def main():
    if not shutil.which("man"):
        tree.skip("man is not installed (tools/setup test)")
    helps = commands()
    found = list(complaints_about_man_pages(helps)) + list(complaints_about_api())
    found += list(complaints_about_parts()) + list(complaints_about_rooms())
    prose = ["README.md"] + [f"docs/{name}" for name in sorted(os.listdir(f"{tree.ROOT}/docs"))
                             if name.endswith(".md")]
    for path in prose:
        found += list(complaints_about_prose(path, helps))
        found += list(complaints_about_daemon(path, tree.read(path).splitlines()))
    tree.report(found, "places where the manual and the program differ")


main()
