#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""make_image.py ELF OUT.S - the guest as an assembler file with the symbols of image.h.

Bytes rather than .incbin, so that a changed guest is a changed source and nothing stays stale.
"""
import sys


def main():
    data = open(sys.argv[1], "rb").read()
    with open(sys.argv[2], "w", encoding="ascii") as out:
        out.write(".section .rodata\n.balign 4096\n.globl bare_guest_image, bare_guest_image_bytes\n")
        out.write("bare_guest_image:\n")
        for at in range(0, len(data), 16):
            out.write(".byte " + ",".join(map(str, data[at:at + 16])) + "\n")
        out.write(f".balign 8\nbare_guest_image_bytes: .quad {len(data)}\n")
        out.write('.section .note.GNU-stack,"",@progbits\n')


if __name__ == "__main__":
    main()
