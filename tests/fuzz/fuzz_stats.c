/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_stats.c - any bytes as a statistics buffer, against a parser written the slow way. */
#include <stdlib.h>
#include <string.h>

#include "balloon/stats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static uint64_t little_endian(const uint8_t *bytes, unsigned count)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < count; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct balloon_guest_stats stats, expected = { 0 };
	unsigned known = 0;

	for (size_t at = 0; at + STATS_ENTRY_BYTES <= size; at += STATS_ENTRY_BYTES) {
		uint64_t tag = little_endian(data + at, 2);

		if (tag >= BALLOON_STAT_COUNT)
			continue;
		expected.value[tag] = little_endian(data + at + 2, 8);
		expected.present |= 1u << tag;
		known++;
	}
	require(stats_parse(data, size, &stats) == known);
	require(stats.present == expected.present && stats.at_ns == 0);
	require(memcmp(stats.value, expected.value, sizeof(stats.value)) == 0);
	return 0;
}
