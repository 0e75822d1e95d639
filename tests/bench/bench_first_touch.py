#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What fresh memory costs the embedded guest: bench_first_touch.py 2M|4K KERNEL_PAGING.

KERNEL_PAGING is neap linked so that the kernel answers page faults (kernel_paging.c): the same
guest, monitor and mappings, without userfaultfd. It and neap start alternately, a VM for each
sample; the first pair is dropped. The guest writes one word every 4 KiB (`pages`) or every 2 MiB
(`blocks`: little but the fault), upwards or in shuffled pieces, by its own TSC.

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
FRESH_MIB = 96
CASES = {  # words of `fresh` after the size
    "2M": {"blocks_upwards": "2M", "blocks_shuffled": "2M random 2M %d",
           "pages_upwards": "4K", "pages_in_shuffled_blocks": "4K random 2M %d"},
    "4K": {"pages_upwards": "4K", "pages_in_shuffled_blocks": "4K random 2M %d",
           "pages_shuffled": "4K random 4K %d", "one_page_a_block": "2M"},
}


def is_registered(pid):
    """Does the kernel ask a userfaultfd about any memory of that process?"""
    with open("/proc/%d/smaps" % pid) as smaps:
        return any({"um", "ui"} & set(line.split()) for line in smaps if line.startswith("VmFlags:"))


def sample(program, pages, words):
    with Vm(["--memory", "%dM" % RAM_MIB, "--pages", pages, "--cmdline", "report_delay=3600000"],
            program=program) as vm:
        vm.expect("ready")
        if program != neap_path() and is_registered(vm.process.pid):
            raise AssertionError("%s still registers guest memory with userfaultfd" % program)
        answer = vm.ask("fresh %dM %s" % (FRESH_MIB, words))
        return {"block": int(answer["ns"]) / int(answer["blocks"]) / 1000,
                "p50": int(answer["p50_ns"]) / 1000, "p99": int(answer["p99_ns"]) / 1000}


def bench(name, programs, pages, words):
    samples = {who: [] for who in programs}
    for seed in range(ROUNDS + 1):
        for who, program in programs.items():
            samples[who].append(sample(program, pages, words % seed if "%" in words else words))
    for who, rows in samples.items():
        for figure in rows[0]:
            print("first_touch_%s_%s_%s_%s %.4g us" % (pages.lower(), name, who, figure,
                  statistics.median(row[figure] for row in rows[1:])))
    ratios = [neap["block"] / kernel["block"]
              for neap, kernel in list(zip(samples["neap"], samples["kernel"]))[1:]]
    print("first_touch_%s_%s_neap_per_kernel %.3g x" % (pages.lower(), name,
                                                        statistics.median(ratios)), flush=True)


def main(pages, kernel_paging):
    need_kvm()
    if pages == "2M":
        need_huge_pages(RAM_MIB // 2)
    for name, words in CASES[pages].items():
        bench(name, {"kernel": kernel_paging, "neap": neap_path()}, pages, words)


if __name__ == "__main__":
    main(*sys.argv[1:])
