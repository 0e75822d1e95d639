#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Rooms include only what the table in src/meson.build lets them.

Also: the table names only rooms above itself (so there is no cycle), every room is in the table,
*_internal.h stays inside its room, outside libraries are included only where the table links
them, and no room's own meson.build links anything past the table.
"""
import ast
import os
import re

import tree

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
# Headers of outside libraries, and the meson variable that links them.
LIBRARIES = {"uv.h": "libuv", "jansson.h": "jansson", "uuid/uuid.h": "libuuid",
             "pthread.h": "threads", "lz4.h": "liblz4",
             "openssl/crypto.h": "libcrypto", "openssl/evp.h": "libcrypto", "dlfcn.h": "libdl",
             "ncurses.h": "ncursesw", "term.h": "ncursesw",
             "bare/image.h": "bare_guest_dep"}


def room_table():
    text = tree.read("src/meson.build")
    rows = re.search(r"^room_table = \[\n(.*?)^\]", text, re.M | re.S).group(1)
    rows = re.sub(r"#.*", "", rows)
    rows = re.sub(r"(?<=[\[ ,])([a-z_][a-z0-9_]*)(?=[\],])", r"'\1'", rows)  # library variables as words
    return {name: (below, libraries) for name, below, libraries in ast.literal_eval(f"[{rows}]")}


def check_table(table):
    seen = set()
    for room, (below, _) in table.items():
        for other in below:
            if other not in seen:
                yield f"src/meson.build: {room} includes {other}, which is not above it in the table"
        seen.add(room)
    for room in sorted(os.listdir(os.path.join(tree.ROOT, "src"))):
        if os.path.isdir(os.path.join(tree.ROOT, "src", room)) and room not in table:
            yield f"src/{room}: a room that is not in the table of src/meson.build"
    for room in table:
        path = f"src/{room}/meson.build"
        if os.path.exists(os.path.join(tree.ROOT, path)):
            for word in re.findall(r"link_with|dependency\(|dependencies", tree.read(path)):
                yield f"{path}: '{word}': what a room links is said in the table of src/meson.build"


def check_include(path, room, table, quoted, name):
    if not quoted or name in LIBRARIES:
        library = LIBRARIES.get(name)
        if library and library not in table[room][1]:
            return f"<{name}>: room {room} does not link {library}"
        return None
    other, _, base = name.partition("/")
    if not os.path.exists(os.path.join(tree.ROOT, "src", name)) or not base:
        return None if generated(path, name) else f'"{name}": write it as "room/file.h"'
    if other != room and other not in table[room][0]:
        return f'"{name}": room {room} may include {", ".join(table[room][0]) or "nothing"}'
    if other != room and "_internal." in base:
        return f'"{name}": an internal header of another room'
    return None


def generated(path, name):
    """A header that the build makes: some meson.build of the same room names it."""
    room = path.split("/")[1]
    build = f"src/{room}/meson.build"
    return (os.path.exists(os.path.join(tree.ROOT, build))
            and os.path.basename(name) in tree.read(build))


def complaints():
    table = room_table()
    yield from check_table(table)
    for path in tree.files(".c", ".h", ".def", folders=("src",)):
        parts = path.split("/")
        if len(parts) < 3 or parts[1] not in table:
            continue  # the programs may include every room
        text = tree.read(path)
        for match in INCLUDE.finditer(text):
            wrong = check_include(path, parts[1], table, match.group(1) == '"', match.group(2))
            if wrong:
                line = text.count("\n", 0, match.start()) + 1
                yield f"{path}:{line}: {wrong}"


tree.report(list(complaints()), "includes against the table of rooms (src/meson.build)")
