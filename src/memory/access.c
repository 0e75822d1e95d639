/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* access.c - see access.h; what makes a pointer safe is in ram_internal.h. */
#include "memory/access.h"

#include <errno.h>
#include <string.h>

#include "memory/ram_internal.h"

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

int ram_read(struct ram *ram, gpa_t gpa, void *to, uint64_t len_bytes)
{
	void *from;
	int result = ram_ptr(ram, gpa, len_bytes, &from);

	if (result == 0)
		memcpy(to, from, len_bytes);
	return result;
}

int ram_write(struct ram *ram, gpa_t gpa, const void *from, uint64_t len_bytes)
{
	void *to;
	int result = ram_ptr(ram, gpa, len_bytes, &to);

	if (result == 0)
		memcpy(to, from, len_bytes);
	return result;
}

int ram_zero(struct ram *ram, gpa_t gpa, uint64_t len_bytes)
{
	void *to;
	int result = ram_ptr(ram, gpa, len_bytes, &to);

	if (result == 0)
		memset(to, 0, len_bytes);
	return result;
}

bool ram_contains(const struct ram *ram, gpa_t gpa, uint64_t len_bytes)
{
	uint64_t offset_bytes;

	return ram_layout_offset(&ram->layout, gpa, len_bytes, &offset_bytes);
}
