/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* access.c - see access.h; what makes a pointer safe is in ram_internal.h. */
#include "memory/access.h"

#include <errno.h>
#include <string.h>

#include "base/units.h"
#include "memory/hold.h"
#include "memory/ram_internal.h"

enum { WORD_BYTES = sizeof(uint64_t) };

/* The guest may write to what we copy from, and read what we copy to. So each byte there is
 * accessed once, by whole words where they are aligned: whatever the caller checks in its copy
 * stays true of the copy, and ThreadSanitizer knows that this race is meant. */
static void copy_from_guest(uint8_t *to, const uint8_t *from, uint64_t len_bytes)
{
	for (; len_bytes > 0 && !is_aligned((uintptr_t)from, WORD_BYTES); len_bytes--)
		*to++ = __atomic_load_n(from++, __ATOMIC_RELAXED);
	for (; len_bytes >= WORD_BYTES; len_bytes -= WORD_BYTES) {
		uint64_t word =
			__atomic_load_n((const uint64_t *)(const void *)from, __ATOMIC_RELAXED);

		memcpy(to, &word, WORD_BYTES);
		from += WORD_BYTES;
		to += WORD_BYTES;
	}
	for (; len_bytes > 0; len_bytes--)
		*to++ = __atomic_load_n(from++, __ATOMIC_RELAXED);
}

static void copy_to_guest(uint8_t *to, const uint8_t *from, uint64_t len_bytes)
{
	for (; len_bytes > 0 && !is_aligned((uintptr_t)to, WORD_BYTES); len_bytes--)
		__atomic_store_n(to++, *from++, __ATOMIC_RELAXED);
	for (; len_bytes >= WORD_BYTES; len_bytes -= WORD_BYTES) {
		uint64_t word;

		memcpy(&word, from, WORD_BYTES);
		__atomic_store_n((uint64_t *)(void *)to, word, __ATOMIC_RELAXED);
		from += WORD_BYTES;
		to += WORD_BYTES;
	}
	for (; len_bytes > 0; len_bytes--)
		__atomic_store_n(to++, *from++, __ATOMIC_RELAXED);
}

int ram_ptr(struct ram *ram, gpa_t gpa, uint64_t len_bytes, void **ret_pointer)
{
	uint64_t offset_bytes;
	int result;

	if (!ram_layout_offset(&ram->layout, gpa, len_bytes, &offset_bytes))
		return -EFAULT;
	result = ram_back_offset(ram, offset_bytes, len_bytes);
	if (result)
		return result;
	*ret_pointer = ram->guest.base + gpa.addr;
	return 0;
}

/* Too many holds on a frame pass, as a famine does: the caller asks again. */
static int hold(struct ram *ram, gpa_t gpa, uint64_t len_bytes, void **ret_pointer)
{
	int result = ram_hold(ram, gpa, len_bytes, ret_pointer);

	return result == 0 || result == -EFAULT ? result : -ENOSPC;
}

int ram_read(struct ram *ram, gpa_t gpa, void *to, uint64_t len_bytes)
{
	void *from;
	int result = hold(ram, gpa, len_bytes, &from);

	if (result)
		return result;
	copy_from_guest(to, from, len_bytes);
	ram_release(ram, gpa, len_bytes);
	return 0;
}

int ram_write(struct ram *ram, gpa_t gpa, const void *from, uint64_t len_bytes)
{
	void *to;
	int result = hold(ram, gpa, len_bytes, &to);

	if (result)
		return result;
	copy_to_guest(to, from, len_bytes);
	ram_release(ram, gpa, len_bytes);
	return 0;
}

int ram_zero(struct ram *ram, gpa_t gpa, uint64_t len_bytes)
{
	void *to;
	int result = hold(ram, gpa, len_bytes, &to);

	if (result)
		return result;
	memset(to, 0, len_bytes);
	ram_release(ram, gpa, len_bytes);
	return 0;
}

bool ram_contains(const struct ram *ram, gpa_t gpa, uint64_t len_bytes)
{
	uint64_t offset_bytes;

	return ram_layout_offset(&ram->layout, gpa, len_bytes, &offset_bytes);
}
