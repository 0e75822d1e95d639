/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* gpa.h - guest physical addresses, as a type of their own.
 *
 * A struct, so that the compiler refuses to mix a guest's number with a host pointer.
 * Only memory/access.c turns one into the other.
 */
#ifndef NEAP_BASE_GPA_H
#define NEAP_BASE_GPA_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
	uint64_t addr;
} gpa_t;

#define GPA(value) ((gpa_t){ .addr = (value) })

/* gpa + bytes; false when the sum passes 2^64. */
static inline bool gpa_add(gpa_t gpa, uint64_t bytes, gpa_t *ret_sum)
{
	return !__builtin_add_overflow(gpa.addr, bytes, &ret_sum->addr);
}

#endif
