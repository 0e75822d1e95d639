/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* steady.c - see steady.h.
 *
 * MLOCK_ONFAULT (Linux 4.4): what is there stays, and what comes stays from then on.
 * Source: mlock2(2); dl_iterate_phdr(3).
 */
#include "memory/steady.h"

#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/units.h"

enum { STACK_BYTES = 64 * KIB_BYTES }; /* of a thread that serves; far more than it uses */

void steady_memory(const void *start, size_t len_bytes)
{
	uintptr_t from = align_down((uintptr_t)start, GUEST_PAGE_BYTES);
	uintptr_t end = (uintptr_t)start + len_bytes;

	(void)mlock2((const void *)from, end - from, MLOCK_ONFAULT);
}

/* The program itself has no name there. */
static int lock_object(struct dl_phdr_info *object, size_t size, void *ctx)
{
	(void)size;
	(void)ctx;
	if (object->dlpi_name[0] && !strstr(object->dlpi_name, "/libc.so"))
		return 0;
	for (unsigned i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];

		if (part->p_type == PT_LOAD)
			steady_memory((const void *)(object->dlpi_addr + part->p_vaddr),
				      part->p_memsz);
	}
	return 0;
}

void steady_stack(void)
{
	uintptr_t top = (uintptr_t)__builtin_frame_address(0);

	steady_memory((const void *)(top - STACK_BYTES), STACK_BYTES);
}

void steady_program(void)
{
	(void)dl_iterate_phdr(lock_object, NULL);
}
