/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_memory.c - any sequence of accesses and discards, with any addresses and lengths.
 *
 * An input is a list of 17-byte operations: kind, address, length (little endian). A guest that
 * reaches past the hole, on 4 KiB frames, is accessed, discarded and read back. What must hold:
 * an answer is 0 or -EFAULT/-ERANGE, a pointer given out is in a view, and a discarded frame reads
 * as zeros.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "memory/access.h"
#include "memory/discard.h"

enum { MAX_OPERATIONS = 64 };

#define FUZZ_RAM_BYTES	  (RAM_HOLE_START + 64 * MIB_BYTES)
#define FUZZ_ACCESS_BYTES (256 * KIB_BYTES) /* longer ranges are only checked, not touched */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct operation {
	uint8_t kind;
	uint64_t addr, len_bytes;
} __attribute__((packed));

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void access_range(struct ram *ram, gpa_t gpa, uint64_t len_bytes)
{
	void *at = NULL;
	int result = ram_ptr(ram, gpa, len_bytes, &at);

	require(result == (ram_contains(ram, gpa, len_bytes) ? 0 : -EFAULT));
	if (result == 0 && len_bytes > 0)
		memset(at, 0xaa, len_bytes);
}

static void discard_range(struct ram *ram, gpa_t gpa, uint64_t frame_count)
{
	uint64_t frame, word = 1;

	if (!ram_frame_of(ram, gpa, &frame)) {
		require(!ram_contains(ram, gpa, 1));
		return;
	}
	if (frame_count > ram_frame_count(ram) - frame) {
		require(ram_discard(ram, frame, frame_count) == -ERANGE);
		return;
	}
	require(ram_discard(ram, frame, frame_count) == 0);
	gpa.addr = align_down(gpa.addr, sizeof(word));
	if (frame_count == 0)
		return;
	require(ram_read(ram, gpa, &word, sizeof(word)) == 0);
	require(word == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ram *ram; /* opened once: what one input leaves behind, the next may meet */
	const struct ram_config config = { .ram_bytes = FUZZ_RAM_BYTES,
					   .frame_bytes = GUEST_PAGE_BYTES };
	struct operation operation;

	if (!ram && ram_open(&config, &ram, NULL))
		abort();
	for (int i = 0; i < MAX_OPERATIONS && size >= sizeof(operation); i++) {
		memcpy(&operation, data, sizeof(operation));
		data += sizeof(operation);
		size -= sizeof(operation);
		if (operation.kind & 1)
			discard_range(ram, GPA(operation.addr), operation.len_bytes);
		else if (operation.len_bytes <= FUZZ_ACCESS_BYTES)
			access_range(ram, GPA(operation.addr), operation.len_bytes);
		else
			(void)ram_contains(ram, GPA(operation.addr), operation.len_bytes);
	}
	require(ram_discard(ram, 0, ram_frame_count(ram)) == 0);
	require(ram_resident_bytes(ram) == 0);
	return 0;
}
