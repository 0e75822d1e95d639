/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* libc.c - the four functions a freestanding compiler may call. Ring 3 runs string instructions
 * natively. */
#include "libc.h"

void *memset(void *to, int byte, size_t len)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(len) : "a"(byte) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t len)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(len)::"memory");
	return to;
}

void *memmove(void *to, const void *from, size_t len)
{
	if ((uintptr_t)to - (uintptr_t)from >= len)
		return memcpy(to, from, len);
	for (char *at = to; len--;)
		at[len] = *(volatile const char *)((const char *)from + len);
	return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const unsigned char *x = a, *y = b;

	for (; len; len--, x++, y++)
		if (*(volatile const unsigned char *)x != *y)
			return *x - *y;
	return 0;
}
