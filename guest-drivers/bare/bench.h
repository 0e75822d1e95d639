/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench.h - what one operation costs the guest, by the TSC. Boot processor. */
#ifndef BARE_BENCH_H
#define BARE_BENCH_H

#include <stdbool.h>
#include <stdint.h>

struct bench_result {
	uint64_t mean_ns, median_ns, min_ns, mean_cycles;
};

/* mmio: read a virtio register. kick: write QueueNotify, nothing queued. irq: an interrupt to
 * oneself, until its handler has run. roundtrip: kick the balloon, spin until its answer. halt:
 * the same by halt and interrupt. pio: read a serial register. False: not known, or no device. */
bool bench_run(const char *name, uint64_t count, struct bench_result *ret_result);

#endif
