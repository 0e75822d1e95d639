/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* units.h - the only place where bytes, pages and frames are converted, and sizes are read and
 * shown.
 *
 * page  = 4 KiB, the unit of virtio-balloon (a PFN).
 * frame = the unit of host memory behind a guest: 2 MiB (hugetlb) or 4 KiB (memfd).
 */
#ifndef NEAP_BASE_UNITS_H
#define NEAP_BASE_UNITS_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

struct err;

enum {
	GUEST_PAGE_SHIFT = 12,
	KIB_SHIFT = 10,
	MIB_SHIFT = 20,
	GIB_SHIFT = 30,
	HUGE_FRAME_SHIFT = 21
};

#define GUEST_PAGE_BYTES     (UINT64_C(1) << GUEST_PAGE_SHIFT)
#define HUGE_FRAME_BYTES     (UINT64_C(1) << HUGE_FRAME_SHIFT)
#define PAGES_PER_HUGE_FRAME (HUGE_FRAME_BYTES / GUEST_PAGE_BYTES)
#define KIB_BYTES	     (UINT64_C(1) << KIB_SHIFT)
#define MIB_BYTES	     (UINT64_C(1) << MIB_SHIFT)
#define GIB_BYTES	     (UINT64_C(1) << GIB_SHIFT)
#define TIB_BYTES	     (UINT64_C(1) << 40)

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t pages_to_bytes(uint64_t pages)
{
	return pages << GUEST_PAGE_SHIFT;
}

static inline uint64_t bytes_to_pages(uint64_t bytes)
{
	return bytes >> GUEST_PAGE_SHIFT;
}

static inline uint64_t bytes_to_mib(uint64_t bytes)
{
	return bytes >> MIB_SHIFT;
}

static inline bool mib_to_bytes(uint64_t mib, uint64_t *ret_bytes)
{
	return !__builtin_mul_overflow(mib, MIB_BYTES, ret_bytes);
}

static inline uint64_t align_down(uint64_t value, uint64_t power_of_two)
{
	return value & ~(power_of_two - 1);
}

static inline bool align_up(uint64_t value, uint64_t power_of_two, uint64_t *ret_aligned)
{
	if (__builtin_add_overflow(value, power_of_two - 1, ret_aligned))
		return false;
	*ret_aligned = align_down(*ret_aligned, power_of_two);
	return true;
}

static inline bool is_aligned(uint64_t value, uint64_t power_of_two)
{
	return (value & (power_of_two - 1)) == 0;
}

/**
 * units_parse_size() - "512M", "2G", "1536MiB", "1T", "4096" (bytes) as bytes
 *
 * Suffixes K M G T, with or without B or iB, powers of 1024, in either case. No sign, no fraction.
 *
 * Return: 0; -EINVAL: not a size; -ERANGE: 2^64 bytes or more. @err names the text.
 */
int units_parse_size(const char *text, uint64_t *ret_bytes, struct err *err);

enum { UNITS_TEXT_BYTES = 32 };

/**
 * units_format_size() - bytes as a person reads them: "512 MiB", "1.5 GiB", "4096 B"
 *
 * One decimal at most, and none when it would be .0. Returns @text.
 */
const char *units_format_size(uint64_t bytes, char text[UNITS_TEXT_BYTES]);

/* The shortest text that units_parse_size() reads back as exactly @bytes: "512M". Returns @text. */
const char *units_format_exact(uint64_t bytes, char text[UNITS_TEXT_BYTES]);

#endif
