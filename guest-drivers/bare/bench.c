/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench.c - see bench.h. Medians of at most MAX_SAMPLES samples, means of all. */
#include "apic.h"
#include "balloon.h"
#include "bench.h"
#include "cpu.h"
#include "text.h"
#include "virtio.h"

enum { MAX_SAMPLES = 4096, VIRTIO_MAGIC_VALUE = 0x000, VIRTIO_QUEUE_NOTIFY = 0x050 };

static uint32_t samples[MAX_SAMPLES]; /* cycles */

static bool run_mmio(void)
{
	const struct virtio_device *device = virtio_nth(0);

	if (device)
		mmio_read32(device->base + VIRTIO_MAGIC_VALUE);
	return device;
}

static bool run_kick(void)
{
	const struct virtio_device *device = virtio_find(VIRTIO_ID_BALLOON);

	if (device)
		mmio_write32(device->base + VIRTIO_QUEUE_NOTIFY, 1);
	return device;
}

static bool run_irq(void)
{
	const volatile uint32_t *handled = &cpu_this()->irqs[VECTOR_IPI - VECTOR_GSI];
	uint32_t before = *handled;

	apic_send_wake(cpu_this()->apic_id);
	while (*handled == before)
		cpu_relax();
	return true;
}

static bool run_round_trip(void)
{
	return balloon_round_trip(false);
}

static bool run_halt(void)
{
	return balloon_round_trip(true);
}

static bool run_pio(void)
{
	port_read8(BOARD_SERIAL_PORT + 7); /* scratch register */
	return true;
}

static const struct {
	const char *name;
	bool (*run)(void);
} benches[] = {
	{ "mmio", run_mmio }, { "kick", run_kick },
	{ "irq", run_irq },   { "roundtrip", run_round_trip },
	{ "halt", run_halt }, { "pio", run_pio },
};

static void sort_samples(uint64_t count) /* shell sort */
{
	for (uint64_t gap = count / 2; gap; gap /= 2) {
		for (uint64_t i = gap; i < count; i++) {
			uint32_t sample = samples[i];
			uint64_t at = i;

			for (; at >= gap && samples[at - gap] > sample; at -= gap)
				samples[at] = samples[at - gap];
			samples[at] = sample;
		}
	}
}

static bool measure(bool (*run)(void), uint64_t count, struct bench_result *ret_result)
{
	uint64_t total = 0, kept = count < MAX_SAMPLES ? count : MAX_SAMPLES;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t start = cpu_tsc();

		if (!run())
			return false;
		uint64_t took = cpu_tsc() - start;

		samples[i % MAX_SAMPLES] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
		total += took;
	}
	sort_samples(kept);
	*ret_result = (struct bench_result){ cpu_tsc_to_ns(total / count),
					     cpu_tsc_to_ns(samples[kept / 2]),
					     cpu_tsc_to_ns(samples[0]), total / count };
	return true;
}

bool bench_run(const char *name, uint64_t count, struct bench_result *ret_result)
{
	for (unsigned i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
		if (text_equal(benches[i].name, name))
			return measure(benches[i].run, count, ret_result);
	return false;
}
