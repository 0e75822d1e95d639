#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""mutate.py [WORD...] - break the memory engine on purpose, and see which test notices.

Each mutation is one small lie in src/memory, made in a copy of the tree; the copy is built, and the
tests of blocks, races and stress run until one fails. Prints a row for docs/TESTING.md each; exits with
an error when one survives. With WORDs, only mutations whose name has one of them. Takes minutes.
"""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.join(HERE, "..", "..")

# what is broken: file, what stands there, what stands there instead
MUTATIONS = {
    "eviction does not unmap": (
        "block.c", "else if (state == FRAME_RESIDENT)\n\t\tresult = uffd_unmap("
        "ram, block_start(block), block_bytes(ram, block));\n\treturn finish(ram, block, result, FRAME_WRITING",
        "return finish(ram, block, result, FRAME_WRITING"),
    "eviction punches before it stores": (
        "block.c", "return finish(ram, block, result, FRAME_WRITING",
        "if (!result)\n\t\tresult = punch_block(ram, block) || fill_block(ram, block);\n"
        "\treturn finish(ram, block, result, FRAME_WRITING"),
    "a block may have two writers": (
        "block.c", "!(*ret_word & FRAME_WRITER) &&\n\t    ", ""),
    "a touch forgets that there is a writer": (
        "block.c", "FRAME_RESIDENT, word & FRAME_WRITER, ACTOR_PAGER", "FRAME_RESIDENT, 0, ACTOR_PAGER"),
    "eviction ends without looking at the state": (
        "block.c", "state == FRAME_WRITING && outcome != WRITE_FAILED && punch_block",
        "outcome != WRITE_FAILED && punch_block"),
    "a failed write is taken for a stored one": (
        "block.c", "state == FRAME_WRITING && outcome != WRITE_FAILED && punch_block",
        "state == FRAME_WRITING && punch_block"),
    "all zeros are swapped, not absent": (
        "block.c", "[WRITE_ZERO] = FRAME_ABSENT", "[WRITE_ZERO] = FRAME_SWAPPED"),
    "held blocks are evicted and sampled": (
        "block.c", "*ret_word & FRAME_WRITER) &&\n\t    frame_holds_of(*ret_word) == 0",
        "*ret_word & FRAME_WRITER)"),
    "prepared blocks are evicted": (
        "block.c", "if (word & FRAME_FRESH)\n\t\tresult = -EBUSY;\n\telse if", "if"),
    "the live map is off by one word": (
        "block.c", "& ~dead[i];", "& ~dead[(i + 1) % BLOCK_PAGE_WORDS];"),
    "dead pages are the live ones": ("block.c", "& ~dead[i];", "& (i < 6 ? UINT64_MAX : dead[i]);"),
    "reading back does not ask who wants it": (
        "block.c", "map = map || (word & FRAME_WANTED);", "(void)word;"),
    "a read that failed keeps its frame": (
        "block.c", "(void)punch_block(ram, block);\n\tframes_unlock(&ram->frames, block, FRAME_SWAPPED",
        "frames_unlock(&ram->frames, block, FRAME_SWAPPED"),
    "a block that is read back is mapped at a touch": (
        "block.c", "case FRAME_READING:\n\t\tframes_unlock(&ram->frames, block, FRAME_READING, "
        "FRAME_WANTED, ACTOR_PAGER);\n\t\treturn TOUCH_READING;", "case FRAME_READING:\n\t\t(void)fill_block(ram, block);"
        "\n\t\t(void)map_block(ram, block);\n\t\tframes_unlock(&ram->frames, block, FRAME_READING, "
        "FRAME_WANTED, ACTOR_PAGER);\n\t\treturn TOUCH_MAPPED;"),
    "a discard takes held blocks": (
        "block_discard.c", "!(word & FRAME_WRITER) &&\n\t       frame_holds_of(word) == 0", "!(word & FRAME_WRITER)"),
    "a discard takes blocks that are written": (
        "block_discard.c", "state != FRAME_WRITING && state != FRAME_READING && !(word & FRAME_WRITER)",
        "state != FRAME_READING"),
    "a discard leaves what is stored": ("block_discard.c", "\tengine_forget(ram, block);\n", ""),
    "a discarded page is thought to be there": (
        "block_discard.c", "\t\tknown_clear(&ram->known, bytes_to_pages(offset_bytes), bytes_to_pages(len_bytes));\n", ""),
    "a hold counts in the first block only": (
        "hold.c", "at = part_end(at, offset + len_bytes)) {", "at = offset + len_bytes) {"),
    "a hold does not wait for the block": ("hold.c", "return frame_state_of(word) == FRAME_RESIDENT &&", "return"),
    "a move loses a release of a hold": (
        "frames.c", "(old & WORD_HOLDS) | state_and_flags", "(before & WORD_HOLDS) | state_and_flags"),
    "what was read is dropped late, while others may be at it": (
        "swapper_out.c", "if (swapper->threads[i].busy_block == block)",
        "if (swapper->threads[i].busy_block == block && block == SWAPPER_NO_BLOCK)"),
    "a read that failed is taken for done": (
        "swapper_in.c", "if (result)\n\t\t\tno_data(swapper, job->block, result);", "if (result == 1)\n\t\t\t"
        "no_data(swapper, job->block, result);"),
    "a write that failed is taken for done": (
        "swapper_out.c", ": WRITE_FAILED);", ": WRITE_STORED);"),
    "bytes that are not those written are believed": (
        "swap_cipher.c", "(int)len, expected, out))\n\t\treturn -EBADMSG;", "(int)len, expected, out))\n\t\treturn 0;"),
    "the pager forgets who sleeps": (
        "pager.c", "pager->sleepers[pager->sleeper_count++] = sleeper;",
        "pager->sleepers[pager->sleeper_count] = sleeper;"),
    "the lock is not exclusive": (
        "frames.c", "atomic_load_explicit(&frames->words[block], memory_order_relaxed) & ~WORD_LOCKED;",
        "atomic_load_explicit(&frames->words[block], memory_order_relaxed);"),
}
# What a mutation needs beside.
EXTRA = {
    "what was read is dropped late, while others may be at it": [
        ("swapper_in.c", "if (result == 0)\n\t\tswap_store_drop(", "if (result == 1)\n\t\tswap_store_drop("),
        ("swapper_in.c", "(void)block_read_end(ram, job->block, job->map);",
         "(void)block_read_end(ram, job->block, job->map);\n\tswap_store_drop(swapper->store, job->block);")],
    "a move loses a release of a hold": [
        ("frames.c", "uint64_t old = atomic_load_explicit(word, memory_order_relaxed);",
         "uint64_t old = atomic_load_explicit(word, memory_order_relaxed);\n\tuint64_t before = old;")],
}

TESTS = [
    ("test_frames", ["tests/unit/test-frames"]),
    ("test_block", ["tests/unit/test-block", "2M"]),
    ("test_block", ["tests/unit/test-block", "4K"]),
    ("test_block_races", ["tests/unit/test-block-races", "2M"]),
    ("test_block_races", ["tests/unit/test-block-races", "4K"]),
    ("stress", ["tests/stress/stress", "--direct", "--seconds", "6"]),
    ("stress", ["tests/stress/stress", "--direct", "--seconds", "6", "--pages", "4K"]),
    ("stress", ["tests/stress/stress", "--seconds", "6"]),
    ("stress", ["tests/stress/stress", "--seconds", "6", "--pages", "4K"]),
]
TARGETS = sorted({command[0] for _, command in TESTS})
LIMIT_S = 60


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False, **options)


def build(copy):
    done = run(["ninja", "-C", f"{copy}/build", "-j2", *TARGETS])
    if done.returncode:
        sys.exit("mutate: does not build:\n" + done.stdout[-3000:])


def replace(copy, change):
    path = os.path.join(copy, "src", "memory", change[0])
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(change[1]) != 1:
        sys.exit(f"mutate: {change[0]} has {text.count(change[1])} times: {change[1]}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(change[1], change[2]))


def who_notices(copy):
    """Names of the tests that fail, in order; one of each is enough."""
    for name, command in TESTS:
        try:
            done = run(["tests/tools/with-hugepages", "40", f"{copy}/build/{command[0]}", *command[1:]],
                       cwd=copy, timeout=LIMIT_S)
            if done.returncode not in (0, 77):
                yield name
        except subprocess.TimeoutExpired:
            yield name + " (hangs)"


def main():
    words = sys.argv[1:]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="neap-mutate-") as copy:
        shutil.copytree(TREE, copy, dirs_exist_ok=True, ignore=lambda directory, names: [
            name for name in names if name in (".git", "__pycache__") or
            os.path.exists(os.path.join(directory, name, "build.ninja"))])
        run(["meson", "setup", "-Dwerror=false", "build"], cwd=copy)
        build(copy)
        if list(who_notices(copy)):
            sys.exit("mutate: the tests fail before anything is broken")
        for name, change in MUTATIONS.items():
            if words and not any(word in name for word in words):
                continue
            changes = [*EXTRA.get(name, []), change]
            kept = {change[0]: open(f"{copy}/src/memory/{change[0]}", encoding="utf-8").read()
                    for change in changes}
            for each in changes:
                replace(copy, each)
            build(copy)
            noticed = list(dict.fromkeys(who_notices(copy)))
            survivors += not noticed
            print(f"| {name} | {', '.join(noticed) or 'nobody'} |", flush=True)
            for file, text in kept.items():
                with open(f"{copy}/src/memory/{file}", "w", encoding="utf-8") as out:
                    out.write(text)
    sys.exit(1 if survivors else 0)


main()
