#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What fresh memory costs the embedded guest: bench_first_touch.py 2M|4K KERNEL_PAGING.

KERNEL_PAGING is neap linked so that the kernel answers page faults (kernel_paging.c): the same
guest, monitor and mappings, without userfaultfd. It and neap start alternately, a VM for each
sample; the first pair is dropped. The guest writes one word every 4 KiB (`pages`) or every 2 MiB
(`blocks`: little but the fault), upwards or in shuffled pieces, by its own TSC; right after it
started, or after a rest in which neap may prepare memory ahead (up to a quarter of the pool; it begins
with the start, on processors that nobody wants: on a busy host these figures are another thing).

Prints "name value unit": the mean per 2 MiB block, p50 and p99 of single pieces (blocks; shuffled
pages: pages), medians over the rounds; `neap_per_kernel` is the median of the pairs' ratios.
"""
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from neapvm import Vm, need_huge_pages, need_kvm, neap_path  # noqa: E402

ROUNDS = int(os.environ.get("NEAP_BENCH_ROUNDS", "7"))
RAM_MIB = 128
POOL_MIB = 256  # a quarter of it is 64 MiB
REST_MS = 300
BOOTED_MIB = 16  # at most, that a guest has touched itself
CASES = {
    "2M": {"blocks_upwards": "fresh 64M 2M", "blocks_shuffled": "fresh 64M 2M random 2M %d",
           "blocks_shuffled_beyond_the_stock": "fresh 112M 2M random 2M %d",
           "rested_blocks_upwards": "fresh 64M 2M", "rested_blocks_shuffled": "fresh 64M 2M random 2M %d",
           "rested_pages_upwards": "fresh 64M 4K", "rested_blocks_beyond_the_stock": "fresh 112M 2M"},
    "4K": {"pages_upwards": "fresh 64M 4K", "pages_in_shuffled_blocks": "fresh 64M 4K random 2M %d",
           "pages_shuffled": "fresh 64M 4K random 4K %d", "one_page_a_block": "fresh 64M 2M"},
}


def is_registered(pid):
    """Does the kernel ask a userfaultfd about any memory of that process?"""
    with open("/proc/%d/smaps" % pid) as smaps:
        return any({"um", "ui"} & set(line.split()) for line in smaps if line.startswith("VmFlags:"))


def check_baseline(vm):
    """Nothing but the kernel has put memory there, and only where the guest touched it."""
    if is_registered(vm.process.pid):
        raise AssertionError("guest memory is still registered with userfaultfd")
    resident_bytes = vm.call("vm.memory")["resident_bytes"]
    if resident_bytes > BOOTED_MIB << 20:
        raise AssertionError("%d bytes are there before they are touched" % resident_bytes)


def sample(program, pages, rested, command):
    # Nothing ahead under the kernel: the engine would take what the guest holds for prepared, and give it back.
    memory = "%dM%s" % (RAM_MIB, "" if program == neap_path() else ",ahead=0")
    with Vm(["--memory", memory, "--pages", pages, "--cmdline", "report_delay=3600000"], program=program) as vm:
        vm.expect("ready")
        if rested:
            vm.ask("idle %d" % REST_MS)
        if program != neap_path():
            check_baseline(vm)
        answer = vm.ask(command)
        return {"block": int(answer["ns"]) / int(answer["blocks"]) / 1000,
                "p50": int(answer["p50_ns"]) / 1000, "p99": int(answer["p99_ns"]) / 1000}


def bench(name, programs, pages, command):
    samples = {who: [] for who in programs}
    for seed in range(ROUNDS + 1):
        for who, program in programs.items():
            samples[who].append(sample(program, pages, name.startswith("rested"),
                                       command % seed if "%" in command else command))
    for who, rows in samples.items():
        for figure in rows[0]:
            print("first_touch_%s_%s_%s_%s %.6g us" % (pages.lower(), name, who, figure,
                  statistics.median(row[figure] for row in rows[1:])))
    ratios = [neap["block"] / kernel["block"]
              for neap, kernel in list(zip(samples["neap"], samples["kernel"]))[1:]]
    print("first_touch_%s_%s_neap_per_kernel %.4g x" % (pages.lower(), name,
                                                        statistics.median(ratios)), flush=True)


def main(pages, kernel_paging):
    need_kvm()
    if pages == "2M":
        need_huge_pages(POOL_MIB // 2)
    for name, command in CASES[pages].items():
        bench(name, {"kernel": kernel_paging, "neap": neap_path()}, pages, command)


if __name__ == "__main__":
    main(*sys.argv[1:])
