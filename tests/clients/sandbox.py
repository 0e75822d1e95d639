#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""sandbox.py UNIT COMMAND... - COMMAND as systemd would confine it by that unit, as far as a program can do
that to itself: its limits, no new privileges, no capabilities, its system calls and address families, no memory that is
writable and executable. What is not allowed ends the process, where systemd would only refuse it: so a
test sees it. Also a module: unit_settings(), allowed_calls().

Root stays root, since /dev/kvm may be root's alone, but has no rights beyond those of an owner.

Source: systemd.exec(5) "SystemCallFilter=", "MemoryDenyWriteExecute="; seccomp(2); struct seccomp_data.
"""
import ctypes
import os
import re
import resource
import struct
import subprocess
import sys

NUMBERS = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
CAPABILITIES = 41
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
LIMITS = {"MEMLOCK": resource.RLIMIT_MEMLOCK, "NOFILE": resource.RLIMIT_NOFILE, "NICE": resource.RLIMIT_NICE,
          "RTPRIO": resource.RLIMIT_RTPRIO}
PROT_WRITE, PROT_EXEC = 2, 4
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, SECCOMP_MODE_FILTER = 22, 38, 24, 2
ALLOW, KILL_PROCESS = 0x7fff0000, 0x80000000
LOAD, JUMP_EQUAL, JUMP_BITS, RETURN = 0x20, 0x15, 0x45, 0x06
AUDIT_ARCH_X86_64 = 0xc000003e
ARGUMENT = 16  # of the first; 8 bytes each, the low half first


def unit_settings(path):
    """{key: [values in their order]}"""
    settings = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            found = re.match(r"([A-Za-z]+)=(.*)", line)
            if found:
                settings.setdefault(found.group(1), []).append(found.group(2))
    return settings


def group_of_calls(name):
    text = subprocess.run(["systemd-analyze", "syscall-filter", name], stdout=subprocess.PIPE, text=True, check=True,
                          env={**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}).stdout
    words = [line.strip() for line in text.splitlines()[1:]]
    return [word for word in words if word and not word.startswith("#")]


def expand(name):
    if not name.startswith("@"):
        return {name}
    return set().union(*(expand(each) for each in group_of_calls(name)))


def allowed_calls(settings):
    """Names; @default is always among them."""
    allowed = expand("@default")
    for value in settings["SystemCallFilter"]:
        names = set().union(*(expand(word) for word in value.lstrip("~").split()))
        allowed = allowed - names if value.startswith("~") else allowed | names
    return allowed


def call_numbers():
    with open(NUMBERS, encoding="utf-8") as file:
        return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", file.read())}


def op(code, value, if_true=0, if_false=0):
    return struct.pack("=HBBI", code, if_true, if_false, value)


def forbid_bits(number, argument, bits):
    """The call only without all of these bits. The accumulator has the call's number before and after."""
    check = [op(LOAD, ARGUMENT + 8 * argument)]
    check += [op(JUMP_BITS, bit, 0, len(bits) - index) for index, bit in enumerate(bits)]
    check += [op(RETURN, KILL_PROCESS), op(RETURN, ALLOW)]
    return [op(JUMP_EQUAL, number, 0, len(check))] + check


def families_only(number, families):
    check = [op(LOAD, ARGUMENT)]
    for index, family in enumerate(families):
        check.append(op(JUMP_EQUAL, family, len(families) - index, 0))
    check += [op(RETURN, KILL_PROCESS), op(RETURN, ALLOW)]
    return [op(JUMP_EQUAL, number, 0, len(check))] + check


def program(settings):
    numbers = call_numbers()
    code = [op(LOAD, 4), op(JUMP_EQUAL, AUDIT_ARCH_X86_64, 1, 0), op(RETURN, KILL_PROCESS), op(LOAD, 0)]
    code += forbid_bits(numbers["mmap"], 2, [PROT_WRITE, PROT_EXEC])
    code += forbid_bits(numbers["mprotect"], 2, [PROT_EXEC])
    families = [FAMILIES[name] for name in " ".join(settings["RestrictAddressFamilies"]).split()]
    code += families_only(numbers["socket"], families)
    for name in sorted(allowed_calls(settings) & numbers.keys()):
        code += [op(JUMP_EQUAL, numbers[name], 0, 1), op(RETURN, ALLOW)]
    code.append(op(RETURN, KILL_PROCESS))
    return code


def limit(settings):
    """Those that differ from what everybody has. A nice value n is the limit 20 - n: setrlimit(2)."""
    for name, number in LIMITS.items():
        value = settings["Limit" + name][0]
        most = 20 - int(value) if name == "NICE" else int(value.rstrip("M")) << (20 if value.endswith("M") else 0)
        highest = resource.getrlimit(number)[1]
        if highest != resource.RLIM_INFINITY:
            most = min(most, highest)  # who may not raise a limit has what there is
        resource.setrlimit(number, (most, most))


def confine(settings):
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(program(settings))
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    for capability in range(CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # who may not has none
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(header), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp: " + os.strerror(ctypes.get_errno()))


def main():
    settings = unit_settings(sys.argv[1])
    limit(settings)
    os.umask(int(settings["UMask"][0], 8))
    confine(settings)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
